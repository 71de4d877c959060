"""DESIGN section 3, invariants (a) to (d), on every vendor's models."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest
import torch
from detectors.family import SIZE, scene, sixteenths
from torchvision.ops import box_iou

import captum_ssgc as ssgc
from captum_ssgc._hooks import forward_hooks
from captum_ssgc.detector import EDGES
from captum_ssgc.detectors import _rows

BATCH = torch.cat([scene(3), scene(3).flip(-1)])


@cache
def reference(family, picture):
    """Enough detections, and on enough levels, for the tests to mean something."""
    found = family.detector.detect(picture)[0]
    assert len(found) >= 5
    if family.levels > 1:
        assert len(found.levels.unique()) >= 2
    return found


def scoring_run(family, detections, images):
    """One forward for the candidates only, as the wrapper makes it."""
    with torch.no_grad():
        return family.detector.run(images, [detections])


def full_run(family, images):
    with torch.no_grad():
        return family.detector.run(images)


def values(family, raw, detections, output="score"):
    with torch.no_grad():
        return family.detector.values(raw, [detections], output)[0]


def test_detections_are_the_vendors_own(family, picture):
    reference(family, picture)
    found = family.detector.detect(BATCH)
    for ours, theirs in zip(found, family.on_canvas(BATCH), strict=True):
        assert torch.equal(ours.boxes, theirs["boxes"])
        assert torch.equal(ours.labels, theirs["labels"])
        assert torch.equal(ours.scores, theirs["scores"])
        rows = torch.arange(len(ours))
        assert torch.equal(ours.class_scores[rows, ours.labels], ours.scores)
        assert ours.image_size == SIZE
        for name in ("corners", "masks"):
            assert (getattr(ours, name) is not None) == (name in family.shapes)
        for name in family.shapes:
            assert getattr(ours, name).dtype == theirs[name].dtype
            assert torch.equal(getattr(ours, name), theirs[name])
        if "corners" in family.shapes:
            around = torch.cat([ours.corners.amin(1), ours.corners.amax(1)], 1)
            assert torch.equal(ours.boxes, around)


def test_a_full_run_serves_the_candidates_of_another_image(family, picture):
    found = reference(family, picture)
    changed = picture.flip(-1) * 0.8
    with torch.no_grad():
        full = family.detector.run(changed)
        shared = family.detector.run_from(full, changed, [found])
    alone = scoring_run(family, found, changed)
    for output in ("score", "left"):
        torch.testing.assert_close(
            values(family, shared, found, output), values(family, alone, found, output)
        )


def test_the_canvas_is_the_vendors_within_two_bytes(family):
    if family.from_bytes is None:
        pytest.skip("this vendor does not round to bytes")
    pixels = (scene(5)[0] * 255).round().to(torch.uint8)
    theirs, _ = family.from_bytes(pixels)
    ours = family.detector.preprocess(pixels[None] / 255)[0]
    processor = getattr(family.detector, "processor", None)
    if processor is not None and processor.do_normalize:
        mean, std = torch.tensor([processor.image_mean, processor.image_std])[:, :, None, None]
        ours = ours * std + mean
    torch.testing.assert_close(ours, theirs, atol=2 / 255, rtol=0.0)


def test_a_network_that_writes_to_its_canvas_leaves_the_image_alone(family):
    image = scene(3, family.detector.geometry(SIZE).canvas_size)
    before, written = image.clone(), []

    def write(module, args):
        if not written:
            written.append(args[0].zero_())

    modules = family.detector.model.modules()
    before_each = {one: write for one in modules if isinstance(one, torch.nn.Conv2d)}
    with forward_hooks(before=before_each), torch.no_grad():
        family.detector.run(image)
    assert written
    assert torch.equal(image, before)


def test_detections_match_the_vendors_on_an_image_in_bytes(family):
    if family.from_bytes is None:
        pytest.skip("this vendor does not round to bytes")
    pixels = sixteenths(3, family.doubled)
    canvas, theirs = family.from_bytes(pixels)
    geometry = family.detector.geometry(family.doubled)
    assert canvas.shape[-2:] == geometry.canvas_size
    assert geometry.scale == (2.0, 2.0)
    ours = family.detector.detect(pixels[None] / 255)[0]
    assert len(ours) == len(theirs["scores"]) >= 5
    torch.testing.assert_close(ours.scores, theirs["scores"], atol=1e-3, rtol=1e-3)
    overlaps = box_iou(ours.boxes, theirs["boxes"]) >= 0.99
    same = overlaps & (ours.labels[:, None] == theirs["labels"])
    assert same.any(0).all()
    assert same.any(1).all()


def test_the_wrapper_gives_the_scores_of_the_reference_image(family, picture):
    found = reference(family, picture)
    with torch.no_grad():
        scores = ssgc.InstanceScoreWrapper(family.detector, found)(picture)[0]
    torch.testing.assert_close(scores, found.scores, atol=2e-6, rtol=1e-5)


def test_one_full_forward_gives_the_same_values(family, picture):
    """``explain`` scores what it selects in one run; the wrapper runs for the candidates only."""
    found = reference(family, picture)
    with torch.no_grad():
        full = family.detector.run(picture)
    candidates_only = scoring_run(family, found, picture)
    for output in ("score", "logit", *EDGES):
        expected = values(family, candidates_only, found, output)
        in_one = values(family, full, found, output)
        torch.testing.assert_close(in_one, expected, atol=1e-5, rtol=1e-5)


def test_detections_have_no_graph(family, picture):
    """``explain`` selects while gradients are on."""
    with torch.enable_grad():
        found = family.detector.select(family.detector.run(picture))[0]
    tensors = [value for value in vars(found).values() if isinstance(value, torch.Tensor)]
    assert len(tensors) == 7 + len(family.shapes)
    assert not any(tensor.requires_grad for tensor in tensors)


def test_candidates_are_all_scores_above_the_threshold(family, picture, monkeypatch):
    monkeypatch.setattr(_rows, "MOST_CANDIDATES", 10**9)
    raw = full_run(family, picture)
    everything = family.detector.candidates_above(raw, -1.0)[0]
    threshold = float(everything.scores.quantile(0.7))
    found = family.detector.candidates_above(raw, threshold)[0]
    above = int((everything.scores > threshold).sum())
    assert 0 < len(found) == above < len(everything)
    names = ["boxes", "labels", "scores", "candidates", "regions", "levels", "class_scores"]
    for name in [*names, *(name for name in family.shapes if name == "corners")]:
        assert torch.equal(getattr(found, name), getattr(everything, name)[:above])
    assert (everything.scores.diff() <= 0).all()
    rows = torch.arange(len(everything))
    assert torch.equal(everything.class_scores[rows, everything.labels], everything.scores)
    # every candidate with every class, once
    first = int(everything.labels.min())
    classes = everything.class_scores.shape[1] - first
    pairs = torch.stack([everything.candidates, everything.labels], 1)
    assert len(pairs.unique(dim=0)) == len(pairs) == len(everything.candidates.unique()) * classes


def test_reported_detections_are_among_the_candidates(family, picture):
    found = reference(family, picture)
    lowest = float(found.scores.min()) * 0.999
    candidates = family.detector.candidates_above(full_run(family, picture), lowest)[0]
    assert len(candidates) >= len(found)
    for row in range(len(found)):
        same = (candidates.candidates == found.candidates[row]) & (
            candidates.labels == found.labels[row]
        )
        assert same.sum() == 1
        [place] = same.nonzero()[0].tolist()
        for name, value in vars(found[row]).items():
            if isinstance(value, torch.Tensor) and name != "masks":
                theirs = getattr(candidates[place], name)
                torch.testing.assert_close(theirs, value, atol=1e-3, rtol=1e-5)
        assert candidates.scores[place] == found.scores[row]


def test_candidates_have_the_values_that_the_wrapper_gives(family, picture):
    """Each with its own row, label and box, clipped or not."""
    raw = full_run(family, picture)
    candidates = family.detector.candidates_above(raw, 0.0)[0]
    assert not candidates.scores.requires_grad
    some = candidates[torch.arange(0, len(candidates), max(len(candidates) // 40, 1))]
    torch.testing.assert_close(values(family, raw, some), some.scores, atol=2e-6, rtol=1e-5)
    edges = torch.stack([values(family, raw, some, edge) for edge in EDGES], 1)
    torch.testing.assert_close(some.boxes, family.reported(edges), atol=1e-3, rtol=1e-5)


def test_candidates_of_a_batch_are_those_of_its_images(family):
    detector, raw = family.detector, full_run(family, BATCH)
    both = detector.candidates_above(raw, 0.0)
    assert len(both) == 2
    for image, together in zip(BATCH, both, strict=True):
        alone = detector.candidates_above(full_run(family, image[None]), 0.0)[0]
        assert len(alone) == len(together)
        torch.testing.assert_close(together.scores, alone.scores, atol=1e-4, rtol=1e-3)
    for image, together in zip(detector.image_candidates(raw), both, strict=True):
        scores = image.scores()
        rows, labels, _ = _rows.rows_above(scores, 0.0, image.first_label, image.sizes)
        alone = image.detections(scores, rows, labels, image.reported_boxes(rows, labels))
        for name, tensor in vars(alone).items():
            if isinstance(tensor, torch.Tensor):
                torch.testing.assert_close(getattr(together, name), tensor, atol=1e-4, rtol=1e-5)


def test_values_of_a_batch_are_those_of_its_images(family):
    raw = full_run(family, BATCH)
    both = family.detector.candidates_above(raw, 0.0)
    some = [one[:: max(len(one) // count, 1)] for one, count in zip(both, (5, 9), strict=True)]
    none = [some[0][:0], some[1]]
    with torch.no_grad():
        for output in ("score", "-score", "left", "logit"):
            each = family.detector.values(raw, some, output)
            assert [len(values) for values in each] == [len(one) for one in some]
            if output.endswith("score"):
                for values, one in zip(each, some, strict=True):
                    sign = -1 if output.startswith("-") else 1
                    torch.testing.assert_close(values, sign * one.scores, atol=2e-6, rtol=1e-5)
            empty, again = family.detector.values(raw, none, output)
            assert len(empty) == 0
            torch.testing.assert_close(again, each[1], atol=1e-4, rtol=1e-5)


def test_edges_are_the_boxes_before_clipping(family, picture):
    found = reference(family, picture)
    raw = scoring_run(family, found, picture)
    boxes = torch.stack([values(family, raw, found, edge) for edge in EDGES], 1)
    torch.testing.assert_close(family.reported(boxes), found.boxes, atol=1e-3, rtol=1e-5)


def test_logits_of_all_classes_give_the_scores(family, picture):
    found = reference(family, picture)
    raw = scoring_run(family, found, picture)
    classes = found.class_scores.shape[1]
    no_object = family.activation == "softmax" and hasattr(family.detector, "processor")
    logits = []
    for label in range(min(classes + no_object, 12)):
        relabelled = replace(found, labels=torch.full_like(found.labels, label))
        logits.append(values(family, raw, relabelled, "logit"))
    logits = torch.stack(logits, 1)
    expected = found.class_scores[:, : logits.shape[1]]
    if family.activation == "sigmoid":
        scores = logits.sigmoid()
    elif family.activation == "softmax":
        scores = logits.softmax(-1)[:, :classes]
    else:  # the square of FCOS's score is the class's sigmoid times one number per point
        ratios = expected**2 / logits.sigmoid()
        scores = (ratios.mean(1, keepdim=True) * logits.sigmoid()).sqrt()
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-4)


def test_images_of_a_batch_do_not_meet(family, picture):
    found = [entry[:6] for entry in family.detector.detect(BATCH)]
    wrapper = ssgc.InstanceScoreWrapper(family.detector, found)
    with torch.no_grad():
        together = wrapper(BATCH, torch.tensor([0, 1]))
        swapped = wrapper(BATCH.flip(0), torch.tensor([1, 0]))
    assert together.shape == (2, max(map(len, found)))
    for image, entry in enumerate(found):
        torch.testing.assert_close(
            together[image, : len(entry)], entry.scores, atol=1e-5, rtol=1e-4
        )
        torch.testing.assert_close(
            swapped[1 - image, : len(entry)], entry.scores, atol=1e-5, rtol=1e-4
        )


def test_regions_and_levels_belong_to_the_candidates(family, picture):
    found = reference(family, picture)
    assert torch.isfinite(found.regions).all()
    assert (found.regions[:, 2:] >= found.regions[:, :2]).all()
    assert int(found.levels.min()) >= 0
    assert int(found.levels.max()) < family.levels
    by_level = [found.candidates[found.levels == level] for level in found.levels.unique()]
    for lower, upper in pairwise(by_level):
        assert int(lower.max()) < int(upper.min())


def test_candidates_of_another_detector_are_refused(family, picture):
    """Negative rows must not count from the end."""
    found = reference(family, picture)
    some = replace(found, candidates=found.candidates - 10**9)
    with torch.no_grad():
        raw = family.detector.run(picture)
    with pytest.raises(ValueError, match=r"detections: .* come from (else|an image)"):
        family.detector.values(raw, [some], "score")
