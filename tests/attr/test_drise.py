"""D-RISE: masks and weights against the references, and the promises of its docstring."""

from __future__ import annotations

import inspect
import weakref
from functools import partial

import numpy as np
import pytest
import references
import torch
from captum.attr import FeatureAblation, PerturbationAttribution
from captum.metrics import sensitivity_max
from hypothesis import given, settings
from hypothesis import strategies as st

import captum_ssgc as ssgc
from captum_ssgc._similarity import largest_of_each_image
from captum_ssgc.attr._random_masks import MaskShape
from captum_ssgc.attr.drise import similarity


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def drise(wrapper):
    return ssgc.DRISE(wrapper)


QUICK = {"n_masks": 24, "grid": (4, 4), "perturbations_per_eval": 24}


@pytest.mark.parametrize(
    ("size", "grid"),
    [((8, 8), (4, 4)), ((7, 11), (2, 3)), ((5, 9), (16, 16)), ((12, 6), (1, 1)), ((6, 5), (3, 1))],
    ids=str,
)
def test_masks_are_the_references(size, grid):
    shape = MaskShape(size, grid, 0.5)
    cells, shifts = shape.draw(6, seeded())
    masks = shape.upsample(cells.double(), shifts)
    assert masks.shape == (6, 1, *size)
    for cell, shift, mask in zip(cells, shifts.tolist(), masks, strict=True):
        expected = references.drise_mask(cell[0].numpy(), shift, size)
        np.testing.assert_allclose(mask[0].numpy(), expected, rtol=0, atol=1e-10)


def test_masks_have_the_stated_distribution():
    shape = MaskShape((20, 30), (5, 4), 0.3)
    cells, shifts = shape.draw(4000, seeded())
    assert cells.unique().tolist() == [0.0, 1.0]
    assert cells.mean().item() == pytest.approx(0.3, abs=0.005)
    assert cells.mean(0).sub(0.3).abs().max() < 0.04
    assert shape.cell == (4, 8)
    assert shifts.amin(0).tolist() == [0, 0]
    assert shifts.amax(0).tolist() == [3, 7]
    masks = shape.upsample(cells, shifts)
    assert masks.mean().item() == pytest.approx(0.3, abs=0.005)
    assert masks.mean(0).sub(0.3).abs().max() < 0.04


sides = st.floats(0.0, 20.0).map(lambda side: round(side, 6))  # areas that single precision has
boxes = st.tuples(*[sides] * 4).map(
    lambda b: [min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3])]
)
classes = st.lists(st.just(0.0) | st.floats(1e-3, 1.0), min_size=3, max_size=3)
objects = st.tuples(boxes, classes, st.floats(0.0, 1.0))


def detections_of(found):
    count = len(found)
    return ssgc.Detections(
        boxes=torch.tensor([entry[0] for entry in found]).reshape(count, 4),
        labels=torch.zeros(count, dtype=torch.int64),
        scores=torch.tensor([entry[2] for entry in found]).reshape(count),
        candidates=torch.zeros(count, dtype=torch.int64),
        regions=torch.zeros(count, 4),
        levels=torch.zeros(count, dtype=torch.int64),
        class_scores=torch.tensor([entry[1] for entry in found]).reshape(count, 3),
        image_size=(20, 20),
    )


@given(
    explained=st.lists(objects, min_size=1, max_size=3),
    found=st.lists(objects, max_size=4),
    with_objectness=st.booleans(),
)
@settings(max_examples=100, derandomize=True)
def test_weights_are_the_references(explained, found, with_objectness):
    objectness = (lambda entry: entry.scores) if with_objectness else None
    compared = partial(similarity, objectness=objectness)
    images = [detections_of(part) for part in (found, [], found[:1])]
    ours, nothing, _ = largest_of_each_image(compared, detections_of(explained), images)
    assert not nothing.any()
    expected = [
        references.drise_weight(
            np.float32(box).tolist(),
            scores,
            [np.float32(entry[0]).tolist() for entry in found],
            [entry[1] for entry in found],
            [entry[2] for entry in found] if with_objectness else None,
        )
        for box, scores, _ in explained
    ]
    assert ours.tolist() == pytest.approx(expected, abs=1e-4)
    assert ours.min() >= 0.0
    assert ours.max() <= 1.0 + 1e-5


def test_the_map_is_the_references(wrapper, detections, image):
    drise = ssgc.DRISE(wrapper, score_threshold=0.12)
    found = drise.attribute_instances(image, generator=seeded(), n_masks=20, grid=(3, 2))
    shape = MaskShape((8, 8), (3, 2), 0.5)
    cells, shifts = shape.draw(20, seeded())
    masks = [
        references.drise_mask(cell[0].numpy(), shift, (8, 8))
        for cell, shift in zip(cells, shifts.tolist(), strict=True)
    ]
    weights, counts = [], set()
    for mask in masks:
        masked = wrapper.detector.run(image * torch.from_numpy(mask).float()).candidates
        above = masked.class_scores[0].amax(1) > 0.12
        counts.add(int(above.sum()))
        weights.append(
            [
                references.drise_weight(
                    box.tolist(),
                    scores.tolist(),
                    masked.boxes[0, above].clamp(0.0, 8.0).tolist(),
                    masked.class_scores[0, above].tolist(),
                )
                for box, scores in zip(detections.boxes, detections.class_scores, strict=True)
            ]
        )
    assert len(counts) > 2
    for target, heat_map in enumerate(found):
        expected = references.drise_map(masks, [row[target] for row in weights], 0.5)
        np.testing.assert_allclose(heat_map[0].numpy(), expected, rtol=1e-4, atol=1e-5)


def test_follows_captums_conventions(drise, wrapper):
    assert isinstance(drise, PerturbationAttribution)
    assert drise.forward_func is wrapper
    ours = list(inspect.signature(drise.attribute).parameters)
    captums = list(inspect.signature(FeatureAblation(wrapper).attribute).parameters)
    assert ours[:1] + ours[1:3] == ["inputs", "target", "additional_forward_args"]
    assert ours[3:5] == ["perturbations_per_eval", "show_progress"]
    assert set(ours[:5]) <= set(captums)


def test_a_tuple_in_gives_a_tuple_out(drise, image):
    """As everywhere in Captum; its ``sensitivity_max`` passes one and relies on it."""
    (found,) = drise.attribute((image,), target=0, generator=seeded(), **QUICK)
    assert torch.equal(found, drise.attribute(image, target=0, generator=seeded(), **QUICK))
    value = sensitivity_max(
        lambda pixels, **kwargs: drise.attribute(pixels, generator=seeded(), **kwargs),
        image.expand(2, -1, -1, -1),
        target=[0, 1],
        n_perturb_samples=2,
        **QUICK,
    )
    assert value.shape == (2,)
    assert value.min() > 0


@pytest.mark.parametrize("per_eval", [5, 24, 100])
def test_the_batch_size_changes_nothing(drise, image, per_eval):
    options = {"n_masks": 24, "grid": (4, 4)}
    one = drise.attribute_instances(image, generator=seeded(), **options)
    several = drise.attribute_instances(
        image, perturbations_per_eval=per_eval, generator=seeded(), **options
    )
    torch.testing.assert_close(several, one, rtol=1e-6, atol=1e-7)


def test_the_seed_decides(drise, image):
    first, again, other = (
        drise.attribute(image, target=0, generator=seeded(seed), **QUICK) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_the_default_generator_is_torchs(drise, image):
    torch.manual_seed(5)
    first = drise.attribute(image, target=0, **QUICK)
    torch.manual_seed(5)
    assert torch.equal(drise.attribute(image, target=0, **QUICK), first)


def test_instances_share_masks_and_forwards(drise, wrapper, detections, image):
    runs = []
    hook = wrapper.model.register_forward_pre_hook(lambda module, args: runs.append(len(args[0])))
    try:
        together = drise.attribute_instances(
            image, generator=seeded(), **{**QUICK, "perturbations_per_eval": 10}
        )
    finally:
        hook.remove()
    assert runs == [10, 10, 4]
    assert together.shape == (len(detections), 1, 8, 8)
    for target in range(len(detections)):
        alone = drise.attribute(image, target=target, generator=seeded(), **QUICK)
        torch.testing.assert_close(together[target : target + 1], alone)
    chosen = drise.attribute_instances(image, [3, 1], generator=seeded(), **QUICK)
    torch.testing.assert_close(chosen, together[[3, 1]])


def test_a_batch_of_examples_sees_the_same_masks(drise, image):
    batch = torch.cat([image, image.flip(-1)])
    runs = []
    hook = drise.forward_func.model.register_forward_pre_hook(
        lambda module, args: runs.append(len(args[0]))
    )
    try:
        together = drise.attribute(
            batch, target=[0, 2], generator=seeded(), **{**QUICK, "perturbations_per_eval": 8}
        )
    finally:
        hook.remove()
    assert runs == [16, 16, 16]
    for row, target in enumerate([0, 2]):
        alone = drise.attribute(batch[row : row + 1], target=target, generator=seeded(), **QUICK)
        torch.testing.assert_close(together[row : row + 1], alone)


def test_several_reference_images(detector, image):
    images = torch.cat([image, image.flip(-1)])
    references_ = detector.detect(images)
    wrapper = ssgc.InstanceScoreWrapper(detector, references_)
    found = ssgc.DRISE(wrapper).attribute(
        images,
        target=[0, 1],
        additional_forward_args=torch.tensor([0, 1]),
        generator=seeded(),
        **QUICK,
    )
    alone = ssgc.DRISE(ssgc.InstanceScoreWrapper(detector, references_[1]))
    expected = alone.attribute(images[1:], target=1, generator=seeded(), **QUICK)
    torch.testing.assert_close(found[1:], expected)


def test_runs_without_gradients(drise, wrapper, image):
    seen = []
    hook = wrapper.model.register_forward_hook(
        lambda module, args, output: seen.append(output.class_scores.requires_grad)
    )
    try:
        found = drise.attribute(image.requires_grad_(), target=0, **QUICK)
    finally:
        hook.remove()
    assert not any(seen)
    assert not found.requires_grad


def test_a_detector_without_gradients_or_layers():
    """Finds the bright quarter by rounding, which has no gradient."""

    def network(pixels):
        box = torch.tensor([[[0.0, 0.0, 16.0, 16.0]]]).expand(len(pixels), 1, 4)
        bright = (pixels[..., :16, :16].mean((1, 2, 3)) > 0.4).float()
        return box, 0.9 * bright.reshape(-1, 1, 1)

    image = torch.ones(1, 3, 32, 32)
    detector = ssgc.wrap_detector(network, score_threshold=0.5)
    wrapper = ssgc.InstanceScoreWrapper(detector, detector.detect(image)[0])
    found = ssgc.DRISE(wrapper).attribute(
        image, target=0, n_masks=400, grid=(4, 4), perturbations_per_eval=100, generator=seeded()
    )
    inside = found[0, 0, :16, :16]
    assert inside.mean() > 1.15 * found[0, 0, 16:, 16:].mean()


def test_no_memory_is_kept_for_the_masks(drise, image, monkeypatch):
    seen: list[weakref.ref[torch.Tensor]] = []
    alive = []
    upsample = MaskShape.upsample

    def watched(self, cells, shifts):
        masks = upsample(self, cells, shifts)
        seen.append(weakref.ref(masks))
        alive.append(sum(reference() is not None for reference in seen))
        return masks

    monkeypatch.setattr(MaskShape, "upsample", watched)
    drise.attribute(image, target=0, n_masks=40, perturbations_per_eval=2, grid=(2, 2))
    assert len(alive) == 20
    assert max(alive) <= 2


def test_only_one_batch_of_masks_exists(drise, image, monkeypatch):
    counts = []
    draw = MaskShape.draw
    monkeypatch.setattr(
        MaskShape,
        "draw",
        lambda self, count, generator=None: counts.append(count) or draw(self, count, generator),
    )
    drise.attribute(image, target=0, **{**QUICK, "perturbations_per_eval": 7})
    assert counts == [7, 7, 7, 3]


def test_one_visible_mask_gives_the_weight_itself(drise, wrapper, image):
    """probability = 1: every mask is 1, every weight is the best overlap, which is itself: 1."""
    found = drise.attribute(image, target=0, n_masks=3, probability=1.0, grid=(2, 2))
    torch.testing.assert_close(found, torch.ones(1, 1, 8, 8))


@pytest.mark.parametrize(
    "given",
    [None, torch.ones(1), torch.ones(5, 1), [0.5] * 5],
    ids=["none", "one", "(J, 1)", "list"],
)
def test_an_objectness_of_another_shape_is_refused(wrapper, image, given):
    with pytest.raises(ValueError, match=r"objectness: expected \(\d+,\), one for each candidate"):
        ssgc.DRISE(wrapper, objectness=lambda _: given).attribute(image, 0, n_masks=2)


def test_objectness_weighs_the_detections(wrapper, image):
    options = {"target": 0, "n_masks": 3, "probability": 1.0, "grid": (2, 2)}
    half = ssgc.DRISE(wrapper, objectness=lambda found: torch.full((len(found),), 0.5))
    torch.testing.assert_close(half.attribute(image, **options), torch.full((1, 1, 8, 8), 0.5))


def test_progress(drise, image, capsys):
    drise.attribute(image, target=0, **QUICK)
    assert capsys.readouterr().err == ""
    drise.attribute(image, target=0, show_progress=True, **QUICK)
    assert "24/24" in capsys.readouterr().err


def test_warns_where_the_object_is_never_found(image):
    def network(pixels):
        box = torch.tensor([[[0.0, 0.0, 8.0, 8.0]]]).expand(len(pixels), 1, 4)
        whole = (pixels - image).abs().amax((1, 2, 3)) == 0
        return box, whole.float().reshape(-1, 1, 1)

    detector = ssgc.wrap_detector(network, score_threshold=0.5)
    wrapper = ssgc.InstanceScoreWrapper(detector, detector.detect(image)[0])
    drise = ssgc.DRISE(wrapper)
    for call in (drise.attribute, drise.attribute_instances):
        with pytest.warns(UserWarning, match="1 all-zero map.*on none of 24 masked") as log:
            assert call(image, **QUICK).max() == 0
        assert log[0].filename == __file__


def test_needs_the_wrapper(classifier):
    with pytest.raises(TypeError, match=r"needs captum_ssgc.InstanceScoreWrapper.*got Sequential"):
        ssgc.DRISE(classifier)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_masks": 0}, "n_masks: expected at least 1, got 0"),
        ({"perturbations_per_eval": 0}, "perturbations_per_eval: expected at least 1, got 0"),
        ({"grid": (0, 4)}, "grid: expected two numbers of cells"),
        ({"probability": 0.0}, r"probability: expected a value in \(0, 1\], got 0.0"),
        ({"probability": 1.5}, "got 1.5"),
    ],
    ids=str,
)
def test_options_out_of_range(drise, image, options, message):
    with pytest.raises(ValueError, match=message):
        drise.attribute(image, target=0, **options)


def test_targets_out_of_range(drise, image):
    with pytest.raises(IndexError, match="there are 5 detections"):
        drise.attribute(image, target=5)
    with pytest.raises(IndexError, match="there are 5 detections"):
        drise.attribute_instances(image, [0, 9])


def test_the_map_does_not_depend_on_what_the_detector_reports(wrapper, detections, image):
    detector = wrapper.detector
    maps = []
    for threshold, overlap in ((0.9, 0.1), (0.0, 1.0)):
        detector.score_threshold, detector.iou_threshold = threshold, overlap
        maps.append(ssgc.DRISE(wrapper).attribute_instances(image, generator=seeded(), **QUICK))
    assert maps[0].amax() > 0.0
    assert torch.equal(*maps)


@pytest.mark.parametrize("threshold", [-0.1, 1.5])
def test_a_score_threshold_is_a_probability(wrapper, threshold):
    with pytest.raises(ValueError, match="score_threshold: expected a value in"):
        ssgc.DRISE(wrapper, score_threshold=threshold)


def test_a_high_score_threshold_leaves_nothing(wrapper, image):
    with pytest.warns(UserWarning, match="lower score_threshold"):
        found = ssgc.DRISE(wrapper, score_threshold=1.0).attribute_instances(image, **QUICK)
    assert found.abs().amax() == 0.0
