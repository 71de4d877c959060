"""How often the detector runs, and that it does not matter how."""

from __future__ import annotations

import pytest
import torch

from captum_ssgc.detector import Detector
from captum_ssgc.metrics import (
    CurveSettings,
    deletion,
    deletion_insertion,
    insertion,
)

CANDIDATE = CurveSettings(steps=5)
OUTPUTS = CurveSettings(steps=5, match="iou")


def some_maps(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 6, 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("measure", [deletion, insertion])
def test_one_image_per_step_and_two_shared_endpoints(pair, measure):
    detector, image, found = pair
    detector.batches.clear()
    measure(detector, image, found, some_maps(2), CANDIDATE)
    assert sum(detector.batches) == 2 * (5 - 1) + 2


@pytest.mark.parametrize("measure", [deletion, insertion])
def test_the_last_step_of_a_box_budget_is_no_endpoint(pair, measure):
    detector, image, found = pair
    detector.batches.clear()
    measure(detector, image, found, some_maps(2), CurveSettings(steps=4, budget="box"))
    assert sum(detector.batches) == 2 * 4 + 2


def test_endpoints_are_shared_by_methods_detections_and_both_curves(pair):
    detector, image, found = pair
    maps = {name: some_maps(2, seed) for seed, name in enumerate("abc")}
    detector.batches.clear()
    deletion_insertion(detector, image, found, maps, OUTPUTS)
    assert sum(detector.batches) == 3 * 2 * 2 * (5 - 1) + 2


def test_both_scores_of_outputs_come_from_one_run(pair):
    detector, image, found = pair
    sizes = []
    for scores in (("s1",), ("s2",), ("s1", "s2")):
        detector.batches.clear()
        deletion_insertion(detector, image, found, {"a": some_maps(2)}, OUTPUTS, scores=scores)
        sizes.append(sum(detector.batches))
    assert sizes == [18, 18, 18]


@pytest.mark.parametrize(("fixed", "images"), [(True, 18), (False, 36)])
def test_candidates_that_stay_need_no_run_of_their_own(pair, monkeypatch, fixed, images):
    detector, image, found = pair
    expected = deletion_insertion(detector, image, found, {"a": some_maps(2)}, CANDIDATE)["a"]
    if not fixed:
        monkeypatch.setattr(type(detector), "run_from", Detector.run_from)
    detector.batches.clear()
    result = deletion_insertion(detector, image, found, {"a": some_maps(2)}, CANDIDATE)["a"]
    assert sum(detector.batches) == images
    for score in ("s1", "s2"):
        assert torch.equal(result.deletion[score].scores, expected.deletion[score].scores)
        assert torch.equal(result.insertion[score].scores, expected.insertion[score].scores)


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_batches_are_bounded_and_do_not_change_the_result(pair, size):
    detector, image, found = pair
    expected = deletion_insertion(detector, image, found, {"a": some_maps(2)}, OUTPUTS)["a"]
    detector.batches.clear()
    result = deletion_insertion(
        detector, image, found, {"a": some_maps(2)}, OUTPUTS, perturbations_per_eval=size
    )["a"]
    images = 2 * 2 * (5 - 1) + 2  # the ends are not a batch of their own
    whole, rest = divmod(images, size)
    assert detector.batches == [size] * whole + [rest] * (rest > 0)
    for kind in ("deletion", "insertion"):
        for score in ("s1", "s2"):
            one, other = getattr(result, kind)[score], getattr(expected, kind)[score]
            torch.testing.assert_close(one.scores, other.scores)


def test_all_together_is_each_alone(pair):
    detector, image, found = pair
    maps = {name: some_maps(2, seed) for seed, name in enumerate("ab")}
    together = deletion_insertion(detector, image, found, maps, OUTPUTS)
    for name, heat_maps in maps.items():
        for row in range(2):
            alone = deletion(detector, image, found[row], heat_maps[row : row + 1], OUTPUTS)
            torch.testing.assert_close(
                alone.scores, together[name].deletion["s1"].scores[row : row + 1]
            )


def test_several_images_are_each_image_in_turn(pair):
    detector, image, _ = pair
    images = torch.cat([image, image.flip(-1), image * 0.9])
    detections = detector.detect(images)
    detections[1] = detections[1][[]]
    maps = [some_maps(2, 1), some_maps(0), some_maps(2, 2)]
    detector.batches.clear()
    for settings in (CANDIDATE, CurveSettings(score="s2", normalize=True), OUTPUTS):
        result = insertion(detector, images, detections, maps, settings)
        parts = [
            insertion(detector, images[n : n + 1], detections[n], maps[n], settings) for n in (0, 2)
        ]
        torch.testing.assert_close(result.scores, torch.cat([part.scores for part in parts]))
        joined = insertion(detector, images, detections, torch.cat(maps), settings)
        assert torch.equal(joined.scores, result.scores)


def test_nothing_to_measure_runs_nothing(pair):
    detector, image, found = pair
    detector.batches.clear()
    result = deletion(detector, image, found[[]], torch.zeros(0, 6, 8), CANDIDATE)
    assert result.scores.shape == (0, 6)
    assert result.area.shape == result.valid.shape == (0,)
    assert len(result) == 0
    several = deletion_insertion(detector, image, found[[]], {"a": torch.zeros(0, 1, 6, 8)})
    assert several["a"].insertion["s2"].scores.shape == (0, 11)
    assert deletion_insertion(detector, image, found, {}) == {}
    assert detector.batches == []


def test_neither_images_nor_maps_are_changed_and_nothing_is_differentiated(pair):
    detector, image, found = pair
    image.requires_grad_()
    maps = some_maps(2).requires_grad_()
    before = image.detach().clone(), maps.detach().clone()
    result = insertion(detector, image, found, maps, CANDIDATE)
    assert not result.scores.requires_grad
    assert torch.equal(image.detach(), before[0])
    assert torch.equal(maps.detach(), before[1])
    assert torch.is_grad_enabled()


def test_a_detector_that_fails_leaves_gradients_enabled(pair):
    detector, image, found = pair

    def broken(images):
        raise RuntimeError("broken")

    detector.network = broken
    with pytest.raises(RuntimeError, match="broken"):
        deletion(detector, image, found, some_maps(2))
    assert torch.is_grad_enabled()
