"""Models of Ultralytics from their descriptions, with random weights."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import ultralytics
from detectors.family import SIZE, Family, calibrate, known_images, spread
from torch import Tensor
from ultralytics import RTDETR, YOLO
from ultralytics.models.yolo.obb import OBBPredictor
from ultralytics.nn.modules.head import OBB, Segment, WorldDetect
from ultralytics.utils import nms, ops

import captum_ssgc as ssgc
from captum_ssgc._vendor_versions import yolo_predictions

SIDE = 128
MOST = 25


def build(name: str) -> Family:
    return rtdetr(name) if name.startswith("rtdetr") else yolo(name)


def described(kind: Any, name: str) -> Any:
    """A model of one of Ultralytics' descriptions; skips the test where this version lacks it."""
    try:
        return kind(f"{name}.yaml")
    except FileNotFoundError:
        pytest.skip(f"ultralytics {ultralytics.__version__} has no {name}")


def scaled_back(boxes: Tensor, geometry: ssgc.ImageGeometry) -> Tensor:
    """Where ``scale_boxes`` puts boxes ``(K, 4)`` in the image that the canvas has there.

    It is where they are, but in Ultralytics 8.3, whose one scale for both axes is not that of the
    rounded size. Boxes of centre and size are those that it does not clip.
    """
    points = geometry.boxes_to_canvas(boxes).reshape(-1, 2)
    points = torch.cat([points, torch.zeros_like(points)], 1)
    points = ops.scale_boxes(geometry.canvas_size, points, geometry.image_size, xywh=True)
    return points[:, :2].reshape(-1, 4)


def choose_head(model: Any, one_to_one: bool) -> None:
    """Set which head is used; skips the test where this version cannot."""
    with contextlib.suppress(AttributeError):  # early 8.4 has no setter
        model.end2end = one_to_one
    if bool(model.model[-1].end2end) != one_to_one:
        pytest.skip(f"ultralytics {ultralytics.__version__} cannot choose the head of this model")
    if not one_to_one:
        return
    pixels = torch.rand(1, 3, 64, 64, requires_grad=True)
    reported, *_ = yolo_predictions(model.model[-1], model(pixels))
    if torch.autograd.grad(reported.sum(), pixels, allow_unused=True)[0] is None:
        pytest.skip(f"ultralytics {ultralytics.__version__} cuts the gradient before this head")


def yolo(name: str) -> Family:
    torch.manual_seed(2)
    stem, one_to_one = name.removesuffix("-e2e"), name.endswith("-e2e")
    vendor = described(YOLO, stem)
    model: Any = vendor.model.eval()
    choose_head(model, one_to_one)
    detector = ssgc.wrap_detector(vendor, image_size=SIDE, score_threshold=0.0, max_detections=MOST)

    def run_known() -> list[Any]:
        return [model(detector.preprocess(batch)[0]) for batch in known_images((45, 64))]

    calibrate(model, run_known)
    head = model.model[-1]
    prefix = "one2one_" if one_to_one else ""
    boxes, classes = getattr(head, f"{prefix}cv2"), getattr(head, f"{prefix}cv3")
    for level in range(head.nl):
        mean = -1.0 if isinstance(head, WorldDetect) else level - 1.5  # coarse levels are small
        spread([classes[level][-1]], run_known, mean)
        spread([boxes[level][-1]], run_known, mean=3.0, std=0.4)

    def on_canvas(batch: Tensor) -> list[dict[str, Tensor]]:
        canvas, _ = detector.preprocess(batch)
        with torch.no_grad():
            raw, *_, prototypes = yolo_predictions(head, model(canvas))
        if isinstance(head, OBB):
            return [oriented(one) for one in postprocessed(model, raw, canvas, batch)]
        kept = nms.non_max_suppression(
            raw, 0.0, 0.7, max_det=MOST, nc=head.nc, max_time_img=1e9, end2end=head.end2end
        )
        reports = []
        for image, one in enumerate(kept):
            report = {}
            if prototypes is not None:
                masks = ops.process_mask(
                    prototypes[image], one[:, 6:], one[:, :4], canvas.shape[2:], upsample=True
                )
                one = one[masks.amax((-2, -1)) > 0]
            boxes = ops.scale_boxes(canvas.shape[2:], one[:, :4].clone(), batch.shape[-2:])
            if prototypes is not None:
                masks = ops.process_mask_native(
                    prototypes[image], one[:, 6:], boxes, batch.shape[-2:]
                )
                report = {"masks": masks.bool()}
            report |= {"boxes": boxes, "scores": one[:, 4], "labels": one[:, 5].long()}
            reports.append(report)
        return reports

    settings = {"nms": False} if one_to_one else {}
    return Family(
        detector,
        on_canvas,
        "sigmoid",
        levels=head.nl,
        clips=not isinstance(head, OBB),
        shapes=shapes_of(head),
        # Oriented boxes are all the vendor's.
        scaled_back=None
        if isinstance(head, OBB)
        else partial(scaled_back, geometry=detector.geometry(SIZE)),
        from_bytes=lambda pixels: predicted(vendor, pixels, **settings),
        doubled=(45, 64),
    )


def shapes_of(head: Any) -> tuple[str, ...]:
    """What reports of a head hold beside boxes."""
    if isinstance(head, OBB):
        return ("corners",)
    return ("masks",) if isinstance(head, Segment) else ()


def oriented(result: Any) -> dict[str, Tensor]:
    """What ``Results.obb`` says."""
    found = result.obb
    return {
        "boxes": found.xyxy,
        "corners": found.xyxyxyxy,
        "scores": found.conf,
        "labels": found.cls.long(),
    }


def postprocessed(model: Any, raw: Tensor, canvas: Tensor, batch: Tensor) -> list[Any]:
    """The results of the vendor's own predictor for images and what the network gave for them."""
    predictor = OBBPredictor(overrides={"conf": 0.0, "iou": 0.7, "max_det": MOST})
    predictor.model, predictor.batch = model, [[""] * len(batch)]
    images = [np.zeros((*batch.shape[-2:], 3), np.uint8) for _ in batch]
    with torch.no_grad():
        found: list[Any] = predictor.postprocess(raw.clone(), canvas, images)
    return found


def predicted(vendor: Any, pixels: Tensor, **settings: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """What ``predict`` makes of an image in bytes: its canvas and its detections."""
    source = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()[..., ::-1])
    common = {"imgsz": SIDE, "conf": 0.0, "max_det": MOST, "verbose": False}
    result = vendor.predict(source, **common, **settings)[0]
    if result.obb is not None:
        report = oriented(result)
    else:
        found = result.boxes
        report = {"boxes": found.xyxy, "scores": found.conf, "labels": found.cls.long()}
    return vendor.predictor.preprocess([source]), report


def rtdetr(name: str) -> Family:
    torch.manual_seed(2)
    model: Any = described(RTDETR, name)
    network = model.model.eval()
    detector = ssgc.wrap_detector(model, image_size=SIDE, score_threshold=0.0, max_detections=MOST)
    known = [detector.preprocess(batch)[0] for batch in known_images((64, 64))]
    calibrate(network, lambda: [network(batch) for batch in known])

    def on_canvas(batch: Tensor) -> list[dict[str, Tensor]]:
        with torch.no_grad():
            found = network(detector.preprocess(batch)[0])[0]
        height, width = batch.shape[-2:]
        return [
            {
                "boxes": ops.xywh2xyxy(one[:MOST, :4]) * torch.tensor([width, height] * 2),
                "scores": one[:MOST, 4],
                "labels": one[:MOST, 5].long(),
            }
            for one in found
        ]

    return Family(
        detector,
        on_canvas,
        "sigmoid",
        clips=False,
        from_bytes=lambda pixels: predicted(model, pixels),
        doubled=(64, 64),
    )
