"""Boxes that another tool found: what can be done with them, and what cannot."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import box_iou

import captum_ssgc as ssgc
from captum_ssgc import Detections, demo


@pytest.fixture(scope="module")
def image():
    return demo.scene(26).image[None]


@pytest.fixture(scope="module")
def foreign(detector, image) -> Detections:
    """What a second detector might report: the same objects, boxes a little off."""
    found = detector.detect(image)[0].above(0.5).to_torchmetrics()
    found["boxes"] = found["boxes"] + torch.tensor([2.0, -2.0, 3.0, 1.0])
    size = (image.shape[-2], image.shape[-1])
    return Detections.from_torchmetrics(found, size, class_count=len(demo.CLASS_NAMES))


def test_they_are_explained_by_their_boxes(detector, image, foreign):
    """By the candidate that is like them, which need not be the one that was reported."""
    own = detector.detect(image)[0].above(0.5)
    found = ssgc.explain(detector, image, boxes=foreign.boxes, labels=foreign.labels)
    assert [one.label_index for one in found] == own.labels.tolist()
    for place, one in enumerate(found):
        reported = float(box_iou(own.boxes[place][None], foreign.boxes[place][None]))
        assert one.asked_iou * one.score >= reported * float(own.scores[place]) > 0.7


def test_what_went_out_and_comes_back_is_what_was_reported(detector, image):
    own = detector.detect(image)[0].above(0.5)
    names = [demo.CLASS_NAMES[label] for label in own.labels.tolist()]
    boxes = own.to_torchmetrics()["boxes"]
    named = ssgc.wrap_detector(detector.model, label_names=demo.CLASS_NAMES)
    for one, same in zip(
        ssgc.explain(named, image, boxes=boxes, labels=names), ssgc.explain(detector, image)
    ):
        assert one.detected
        assert one.asked_iou == pytest.approx(1.0)
        torch.testing.assert_close(one.heat_map, same.heat_map, rtol=1e-4, atol=1e-7)


def test_nothing_is_scored_at_a_candidate_that_they_do_not_name(detector, image, foreign):
    wrapper = ssgc.InstanceScoreWrapper(detector, foreign)
    told = r"name no candidate .* explain\(model, image, boxes=found.boxes, labels=found.labels\)"
    with pytest.raises(ValueError, match=told):
        wrapper(image)
    cam = ssgc.SSGradCAMPlusPlus(wrapper, detector.level_layers())
    with pytest.raises(ValueError, match=told):
        cam.attribute(image, target=0)
    with pytest.raises(ValueError, match=told):
        cam.attribute_instances(image)


def test_what_only_runs_the_detector_takes_them(image, foreign):
    """A function that reports boxes has no candidates either, so that nothing is missing."""

    def service(array):
        report = foreign.to_torchmetrics()
        return {**report, "scores": report["scores"] * float(array.mean() > 0)}

    black_box = ssgc.detectors.BlackBoxDetector(service, takes="array")
    wrapper = ssgc.InstanceScoreWrapper(black_box, foreign)
    assert torch.equal(wrapper(image)[0], foreign.scores)
    assert wrapper(image * 0)[0].tolist() == [0.0] * 3


def test_d_rise(detector, image, foreign):
    wrapper = ssgc.InstanceScoreWrapper(detector, foreign)
    maps = ssgc.DRISE(wrapper).attribute_instances(
        image, n_masks=4, probability=1.0, perturbations_per_eval=4
    )
    assert maps.shape == (3, 1, 320, 400)
    # Nothing is masked: each map is the similarity of the box to the best candidate.
    assert all(0.7 < float(one.max()) < 1.0 for one in maps)
