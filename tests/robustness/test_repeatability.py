"""What is the same to the last bit, what but for the last digits, and when the host waits."""

from __future__ import annotations

import pytest
import torch
from elsewhere import Elsewhere
from leftovers import tensors_left_by
from robustness.subjects import CALLS, Subject, quarters, small_image
from robustness.synchronising import Waits

import captum_ssgc as ssgc
from captum_ssgc import metrics
from captum_ssgc.attr import METHODS


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_repeated_to_the_last_bit(name, own):
    first = own.calls()[name]()
    assert torch.equal(own.calls()[name](), first)
    assert torch.equal(Subject.of(quarters(), small_image()).calls()[name](), first)


@pytest.mark.filterwarnings("ignore:.*all-zero map")
def test_no_call_leaves_tensors_to_the_garbage_collector(own, demo_subject):
    def all_calls() -> None:
        for subject in (own, demo_subject):
            for call in subject.calls().values():
                call()

    assert not tensors_left_by(all_calls)


def test_no_method_leaves_tensors_to_the_garbage_collector(own, demo_subject):
    def all_methods() -> None:
        for subject in (own, demo_subject):
            for method in METHODS:
                if method != "refined-cam" or subject is own:  # the other takes seconds
                    of_top(subject, 2, method)

    assert not tensors_left_by(all_methods)


@pytest.mark.slow
def test_refining_leaves_no_tensors_to_the_garbage_collector(demo_subject):
    assert not tensors_left_by(lambda: of_top(demo_subject, 2, "refined-cam"))


def of_top(subject: Subject, count: int, method: str) -> list[ssgc.Explanation]:
    options = {
        "d-rise": {"n_masks": 6, "generator": torch.Generator().manual_seed(0)},
        "refined-cam": {"forwards": 20},
    }
    return ssgc.explain(
        subject.detector,
        subject.image,
        method,
        score_threshold=0.1,
        top_k=count,
        method_options={name: own for name, own in options.items() if name == method},
    )


@pytest.mark.parametrize(
    "method",
    [pytest.param(name, marks=[pytest.mark.slow] * (name == "refined-cam")) for name in METHODS],
)
def test_top_1_is_the_first_of_top_2_but_for_the_last_digits(method, own, demo_subject):
    for subject in (own, demo_subject):
        alone, first = of_top(subject, 1, method)[0], of_top(subject, 2, method)[0]
        assert (alone.index, alone.score) == (first.index, first.score)
        peak = float(first.heat_map.max())
        torch.testing.assert_close(alone.heat_map, first.heat_map, rtol=0, atol=1e-4 * peak)


def test_drise_does_not_depend_on_the_batch_but_for_the_last_digits(demo_subject):
    drise = ssgc.DRISE(demo_subject.wrapper)
    maps = [
        drise.attribute_instances(
            demo_subject.image,
            n_masks=6,
            perturbations_per_eval=size,
            generator=torch.Generator().manual_seed(0),
        )
        for size in (1, 2, 4, 6)
    ]
    for one in maps[1:]:
        torch.testing.assert_close(one, maps[0], rtol=0, atol=1e-4 * float(maps[0].max()))


@pytest.mark.filterwarnings("ignore:.*all-zero map")  # one mask may hide what there is
def test_random_numbers_are_drawn_where_they_are_said_to_be(own):
    before = torch.get_rng_state()
    for call in own.calls().values():
        call()
    assert torch.equal(torch.get_rng_state(), before)
    drise = ssgc.DRISE(own.wrapper)
    drise.attribute(own.image, target=0, n_masks=1, grid=(2, 2), probability=1.0)
    assert not torch.equal(torch.get_rng_state(), before)
    torch.set_rng_state(before)


def waits_of(subject: Subject, count: int) -> dict[str, int]:
    found = subject.detector.detect(subject.image)[0][:count]
    assert len(found) == count
    wrapper = ssgc.InstanceScoreWrapper(subject.detector, found)
    cam = ssgc.SSGradCAMPlusPlus(wrapper, subject.detector.level_layers())
    maps = torch.rand(count, *subject.image.shape[-2:])
    calls = {
        "explain": lambda: ssgc.explain(
            subject.detector,
            subject.image,
            [name for name in METHODS if METHODS[name].gradient_based],
            score_threshold=0.0,
            top_k=count,
        ),
        "attribute_instances": lambda: cam.attribute_instances(subject.image, fuse_layers="max"),
        "D-RISE": lambda: ssgc.DRISE(wrapper).attribute_instances(
            subject.image,
            n_masks=4,
            perturbations_per_eval=2,
            grid=(3, 3),
            generator=torch.Generator().manual_seed(0),
        ),
        "pointing games": lambda: (
            metrics.pointing_game(maps, boxes=found.boxes),
            metrics.energy_pointing_game(maps, boxes=found.boxes),
        ),
    }
    counts = {}
    for name, call in calls.items():
        with Waits() as waits:
            call()
        counts[name] = sum(waits.places.values())
    return counts


def test_more_detections_do_not_wait_more_often(own, demo_subject):
    """One wait per image, and for the masks one per level, none per detection."""
    for subject in (own, demo_subject):
        waits_of(subject, 1)  # what is remembered from the first call on
    assert waits_of(own, 1) == waits_of(own, 4)
    levels = demo_subject.detector.detect(demo_subject.image)[0].levels
    more = len(levels[:2].unique()) - 1
    one, two = waits_of(demo_subject, 1), waits_of(demo_subject, 2)
    assert two == {**one, "explain": one["explain"] + more}


@pytest.mark.parametrize("masks", [8, 24])
def test_masks_wait_three_times_per_batch_and_twice_per_call(masks, own):
    """For where the masks lie, which candidates are above the threshold, and of which image."""
    with Waits() as waits:
        ssgc.DRISE(own.wrapper).attribute_instances(
            own.image, n_masks=masks, perturbations_per_eval=8, grid=(3, 3)
        )
    of_candidates = {place: n for place, n in waits.places.items() if "_rows" in place}
    assert sum(of_candidates.values()) == 2 * masks // 8
    assert sum(waits.places.values()) <= 3 * masks // 8 + 2


@pytest.mark.parametrize("count", [1, 4])
def test_refining_waits_three_times_per_round_beside_its_images(count, own):
    """For which proposals are new, what patches they hold, and the scores, of all detections.

    Once more for a choice, and where proposals are none new and others are drawn.
    """
    image, rounds, shares = own.image, 7, 5
    found = own.detector.detect(image)[0][:count]
    maps = torch.rand(count, *image.shape[-2:], generator=torch.Generator().manual_seed(0))
    refined = ssgc.RefinedCAM(ssgc.InstanceScoreWrapper(own.detector, found))
    with Waits() as waits:
        refined.attribute_instances(
            image, forwards=60, perturbations_per_eval=1000, prior_maps=maps
        )
    of_images = sum(n for place, n in waits.places.items() if "detectors/" in place)
    assert of_images <= 3 * rounds
    further = sum(waits.places.values()) - of_images - (3 * rounds + shares)
    again = further - 2  # the boxes, and the patches of the maps
    assert 0 <= again <= 3 * rounds


def test_smallest_sets_and_similarity_do_not_wait_for_each_detection():
    """On a device: the search itself is on the host."""
    detector, image = quarters(), small_image()
    mode = Elsewhere()
    with mode as device:
        detector.model.to(device)
        there = image.to(device)
        all_found = detector.detect(there)[0]

        def waits_of_metrics(count: int) -> list[int]:
            found, maps = all_found[:count], image[0, 0].sin().expand(count, -1, -1).to(device)
            counts = []
            for call in (
                lambda: metrics.rank_correlation(maps, maps.sin()),
                lambda: metrics.structural_similarity(maps, maps.sin()),
                lambda: metrics.minimal_sets(
                    detector, there, found, maps, forwards=2, perturbations_per_eval=100
                ),
            ):
                mode.waits.clear()
                call()
                counts.append(len(mode.waits))
            return counts

        one, two, four = (waits_of_metrics(count) for count in (1, 2, 4))
        assert one[:2] == four[:2] == [1, 0]
        assert two == four


@pytest.mark.parametrize("match", ["candidate", "iou"])
def test_curves_wait_three_times_per_batch(match, own):
    """As masks do; and for whether the candidate is there at all."""
    settings = metrics.CurveSettings(steps=4, match=match)
    found, count = own.detections, len(own.detections)
    maps = torch.rand(count, *own.image.shape[-2:])
    batches = -(-(count * 2 * 3 + 2) // 5)
    with Waits() as waits:
        metrics.deletion_insertion(
            own.detector, own.image, found, {"a": maps}, settings, perturbations_per_eval=5
        )
    of_candidates = sum(n for place, n in waits.places.items() if "_rows" in place)
    assert of_candidates == 2 * batches
    of_batches = sum(n for place, n in waits.places.items() if "_lookup" in place)
    assert of_batches == (batches if match == "candidate" else 0)
    assert sum(waits.places.values()) <= of_candidates + of_batches + 3


def test_other_metrics_do_not_wait_for_each_detection(own):
    detector, image = own.detector, own.image
    all_found = detector.detect(image)[0]

    def waits_of_metrics(count: int) -> dict[str, int]:
        found = all_found[:count]
        maps = torch.rand(count, *image.shape[-2:])
        counts = {}
        for name, call in {
            "ODI": lambda: metrics.object_discrimination_index(
                maps, torch.arange(count), boxes=found.boxes
            ),
            "compactness": lambda: metrics.compactness(maps, found.boxes),
            "rank correlation": lambda: metrics.rank_correlation(maps, maps.sin()),
            "structural similarity": lambda: metrics.structural_similarity(maps, maps.sin()),
            "evidence": lambda: metrics.evidence_energy(maps, maps > 0.5),
            "reliance": lambda: metrics.reliance(
                detector, image, found, maps, images_per_forward=8
            ),
        }.items():
            with Waits() as waits:
                call()
            counts[name] = sum(waits.places.values())
        return counts

    assert len(all_found) >= 4
    assert waits_of_metrics(4) == waits_of_metrics(1)
