"""What a model finally reports is what is scored, whatever came after its head."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
import torchvision
from detectors.family import spread

import captum_ssgc as ssgc

Report = dict[str, torch.Tensor]


def taken(report: Report, rows: torch.Tensor) -> Report:
    return {name: tensor[rows] for name, tensor in report.items()}


def left_to_right(report: Report) -> Report:
    return taken(report, report["boxes"][:, 0].argsort())


def without_the_best(report: Report) -> Report:
    return taken(report, torch.arange(1, len(report["scores"])))


def without_small_ones(report: Report) -> Report:
    low, high = report["boxes"].split(2, 1)
    areas = (high - low).prod(1)
    return taken(report, areas >= areas.median())


def worst_first_and_twice(report: Report) -> Report:
    rows = torch.arange(len(report["scores"])).flip(0)
    return taken(report, rows.repeat_interleave(2))


def relabelled(report: Report) -> Report:
    labels = report["labels"]
    return {**report, "labels": torch.where(labels > 1, labels - 1, labels + 1)}


def labels_of_another_data_set(report: Report) -> Report:
    return {**report, "labels": report["labels"] + 1000}


def recalibrated(report: Report) -> Report:
    return {**report, "scores": report["scores"] ** 0.9}


def shifted(report: Report) -> Report:
    return {**report, "boxes": report["boxes"] + 3.0}


def boxes_of_others(report: Report) -> Report:
    return {**report, "boxes": report["boxes"].roll(1, 0)}


ACCEPTED = [left_to_right, without_the_best, without_small_ones, worst_first_and_twice]
REFUSED = [relabelled, labels_of_another_data_set, recalibrated, shifted, boxes_of_others]


@pytest.fixture(scope="module")
def two_stage(picture):
    torch.manual_seed(2)
    model = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=6,
        box_score_thresh=0.0,
        min_size=96,
        max_size=200,
        rpn_post_nms_top_n_test=60,
        box_detections_per_img=20,
    ).eval()
    with torch.no_grad():  # proposals stay near their anchors
        model.rpn.head.bbox_pred.weight.mul_(0.05)
    spread([model.roi_heads.box_predictor.cls_score], lambda: model([picture[0]]))
    return model


@pytest.fixture
def returned():
    """A detector whose model returns its reports as the latest call changes them."""
    hooks = []

    def detector(model: torch.nn.Module, change: Callable[[list[Report]], Any]) -> ssgc.Detector:
        while hooks:
            hooks.pop().remove()
        hooks.append(model.register_forward_hook(lambda module, args, output: change(output)))
        return ssgc.wrap_detector(model)

    yield detector
    while hooks:
        hooks.pop().remove()


@pytest.fixture(params=["faster-rcnn", "retinanet", "ssdlite", "detr", "conditional-detr"])
def changed_by(request, build_family, two_stage, returned):
    """A detector whose model changes its final output in the way that it is told."""
    if request.param in ("faster-rcnn", "retinanet", "ssdlite"):
        if request.param == "faster-rcnn":
            model = two_stage
        else:
            model = build_family("torchvision", request.param).detector.model
        return lambda change: returned(model, lambda reports: [change(one) for one in reports])
    detector = build_family("transformers", request.param).detector

    def changed(change):
        processor = copy.copy(detector.processor)
        original = processor.post_process_object_detection
        processor.post_process_object_detection = lambda *args, **options: [
            change(report) for report in original(*args, **options)
        ]
        wrapped = ssgc.wrap_detector(detector.model, processor=detector.processor)
        wrapped.preprocess.processor, wrapped.score_threshold = processor, 0.0
        return wrapped

    return changed


@pytest.mark.parametrize("change", ACCEPTED)
def test_another_order_or_choice_is_scored_as_it_is_shown(changed_by, picture, change):
    plain = changed_by(lambda report: report).detect(picture)[0]
    assert len(plain) >= 5
    detector = changed_by(change)
    found = detector.detect(picture)[0]
    report = {"boxes": plain.boxes, "labels": plain.labels, "scores": plain.scores}
    expected = change(report)
    assert torch.equal(found.boxes, expected["boxes"])
    assert torch.equal(found.labels, expected["labels"])
    with torch.no_grad():
        scores = ssgc.InstanceScoreWrapper(detector, found)(picture)[0]
        left = ssgc.InstanceScoreWrapper(detector, found, "left")(picture)[0]
    torch.testing.assert_close(scores, expected["scores"], atol=2e-6, rtol=1e-5)
    inside = found.boxes[:, 0] > 0
    torch.testing.assert_close(left[inside], found.boxes[inside, 0], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("change", REFUSED)
def test_what_is_no_candidate_is_refused(changed_by, picture, change):
    with pytest.raises(ValueError, match=r"detections were not found among the candidates"):
        changed_by(change).detect(picture)


def test_a_transform_that_pads_in_the_middle_is_refused(two_stage, picture):
    """Its boxes come back right, and the geometry of torchvision's own would put them elsewhere."""
    model = copy.deepcopy(two_stage)
    transform = model.transform
    batch, back = transform.batch_images, transform.postprocess

    def centred(images, size_divisible=32):
        padded = batch(images, size_divisible)
        return padded.roll(16, 2)

    def postprocess(result, image_shapes, original_sizes):
        moved = [{**one, "boxes": one["boxes"] - torch.tensor([0, 16, 0, 16])} for one in result]
        return back(moved, image_shapes, original_sizes)

    transform.batch_images, transform.postprocess = centred, postprocess
    with pytest.raises(ValueError, match=r"have boxes .* pixels away"):
        ssgc.wrap_detector(model).detect(picture)


@pytest.mark.parametrize("name", ["yolov8n", "yolo26n-e2e"])
def test_rows_of_yolo_in_another_order(build_family, picture, name):
    family = build_family("ultralytics", name)
    model = family.detector.model
    options = {"image_size": 128, "score_threshold": 0.0, "max_detections": 25}
    detector = ssgc.wrap_detector(model, **options)
    plain = detector.detect(picture)[0]
    assert len(plain) >= 5
    axis = 1 if name.endswith("e2e") else 2
    for change, accepted in ((lambda raw: raw.flip(axis), True), (lambda raw: raw * 0.99, False)):
        handle = model.register_forward_hook(
            lambda module, args, output, change=change: (change(output[0]), *output[1:])
        )
        try:
            if accepted:
                found = detector.detect(picture)[0]
                with torch.no_grad():
                    scores = ssgc.InstanceScoreWrapper(detector, found)(picture)[0]
                torch.testing.assert_close(scores, found.scores, atol=2e-6, rtol=1e-5)
                if axis == 2:  # a one-to-one head has chosen before, the best first
                    assert sorted(found.candidates.tolist()) == sorted(plain.candidates.tolist())
            else:
                with pytest.raises(ValueError, match="not found among the candidates"):
                    detector.detect(picture)
        finally:
            handle.remove()


class Found(NamedTuple):
    boxes: torch.Tensor
    labels: torch.Tensor
    scores: torch.Tensor


def as_objects(reports: list[Report]) -> list[Found]:
    return [Found(one["boxes"], one["labels"].int(), one["scores"]) for one in reports]


def as_arrays(reports: list[Report]) -> list[dict[str, Any]]:
    return [{name: one.numpy() for name, one in report.items()} for report in reports]


def with_flat_masks(reports: list[Report]) -> list[Report]:
    """As a subclass gives them that takes the axis of channels off."""
    return [{**one, "masks": torch.zeros(len(one["boxes"]), 75, 101)} for one in reports]


CONTAINERS: dict[str, Callable[[list[Report]], Any]] = {
    "behind-losses": lambda reports: ({}, reports),
    "tuple": tuple,
    "objects": as_objects,
    "arrays": as_arrays,
    "flat-masks": with_flat_masks,
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_reports_may_come_in_other_containers(two_stage, returned, picture, container):
    expected = ssgc.wrap_detector(two_stage).detect(picture)[0]
    found = returned(two_stage, CONTAINERS[container]).detect(picture)[0]
    assert torch.equal(found.boxes, expected.boxes)
    assert torch.equal(found.labels, expected.labels)
    assert found.labels.dtype == torch.int64
    assert (found.masks is not None) == (container == "flat-masks")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda reports: reports[:0], r"a list of 0 \(\) for 1 images"),
        (lambda reports: reports * 2, r"a list of 2 \(dict, dict\) for 1 images"),
        (lambda reports: reports[0], "a dict with boxes, labels, scores for 1 images"),
        (lambda reports: [{"boxes": one["boxes"]} for one in reports], r"a list of 1 \(dict\)"),
        (lambda reports: [{**reports[0], "labels": "cat"}], r"a list of 1 \(dict\)"),
    ],
    ids=["none", "twice", "dict", "boxes-only", "words"],
)
def test_what_is_no_report_is_named(two_stage, returned, picture, change, message):
    with pytest.raises(ValueError, match=f"the model returned {message}.*: expected a list"):
        returned(two_stage, change).detect(picture)
