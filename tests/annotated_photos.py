"""Photos of COCO on YOLOX's canvas, with its detections and the annotation of each.

The choices are those of the table in the data's README: a detection counts if the annotation of
its class that it overlaps most has an IoU above 0.5, is no crowd, and is larger than 24 x 24 px.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision.ops import box_iou

import captum_ssgc as ssgc

SIDE = 416
LEVELS = ["Mul_246", "Mul_272", "Mul_298"]


@dataclass(frozen=True)
class AnnotatedPhoto:
    """A photo and those of its detections that are annotated.

    Args:
        canvas: ``(1, 3, 416, 416)``.
        found: all detections.
        targets: the annotated ones.
        boxes: of their annotations, on the canvas.
        masks: of their annotations, on the canvas.
    """

    canvas: Tensor
    found: ssgc.Detections
    targets: list[int]
    boxes: list[Tensor]
    masks: list[Tensor]


def yolox_nano(folder: Path) -> ssgc.Detector:
    pytest.importorskip("onnxruntime", reason="needs captum-ssgc[onnx]")
    from captum_ssgc.detectors import yolox

    return yolox(folder / "yolox_nano_coco.onnx", level_layers=LEVELS, score_threshold=0.4)


def annotated_photos(folder: Path, detector: ssgc.Detector) -> Iterator[AnnotatedPhoto]:
    """The photos that have at least one annotated detection, in the order of the data set."""
    coco = json.loads((folder / "coco_val_50" / "instances.json").read_text())
    categories = sorted(entry["id"] for entry in coco["categories"])
    for image in coco["images"]:
        known = [
            entry
            for entry in coco["annotations"]
            if entry["image_id"] == image["id"] and not entry["iscrowd"]
        ]
        canvas, scale = _canvas_of(folder / "coco_val_50" / "images" / image["file_name"])
        found = detector.detect(canvas)[0]
        pairs = [
            _match(box, categories[int(label)], known, scale)
            for box, label in zip(found.boxes, found.labels, strict=True)
        ]
        matched = {row: pair for row, pair in enumerate(pairs) if pair is not None}
        if matched:
            yield AnnotatedPhoto(
                canvas,
                found,
                list(matched),
                [box for _, box in matched.values()],
                [_mask_on_canvas(entry, image, scale) for entry, _ in matched.values()],
            )


def _canvas_of(path: Path) -> tuple[Tensor, float]:
    """The letterboxed image ``(1, 3, 416, 416)`` and its scale, resized as the table's was."""
    image = Image.open(path).convert("RGB")
    scale = min(SIDE / image.width, SIDE / image.height)
    size = round(image.width * scale), round(image.height * scale)
    canvas = Image.new("RGB", (SIDE, SIDE), (114, 114, 114))
    canvas.paste(image.resize(size, Image.Resampling.BILINEAR), (0, 0))
    return ssgc.load_image(canvas), scale


def _match(
    box: Tensor, category: int, annotations: list[dict[str, Any]], scale: float
) -> tuple[dict[str, Any], Tensor] | None:
    """The annotation of the same class with the highest IoU, if above 0.5 and large enough."""
    same = [entry for entry in annotations if entry["category_id"] == category]
    if not same:
        return None
    boxes = torch.tensor([entry["bbox"] for entry in same]) * scale
    boxes[:, 2:] += boxes[:, :2]
    overlap, best = box_iou(box[None], boxes)[0].max(0)
    width, height = boxes[best, 2:] - boxes[best, :2]
    if overlap <= 0.5 or width * height <= 24 * 24:
        return None
    return same[int(best)], boxes[best]


def _mask_on_canvas(annotation: dict[str, Any], image: dict[str, Any], scale: float) -> Tensor:
    mask = _decode(annotation["segmentation"], image["height"], image["width"])
    size = round(image["width"] * scale), round(image["height"] * scale)
    placed = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    placed[: size[1], : size[0]] = torch.from_numpy(
        np.asarray(mask.resize(size, Image.Resampling.NEAREST)).copy()
    )
    return placed


def _decode(segmentation: Any, height: int, width: int) -> Image.Image:
    """A COCO segmentation, polygons or compressed run lengths, as a mask image."""
    if isinstance(segmentation, dict):
        coco_mask = pytest.importorskip("pycocotools.mask", reason="needs captum-ssgc[coco]")
        return Image.fromarray(coco_mask.decode(segmentation).astype(bool))
    mask = Image.new("1", (width, height))
    for polygon in segmentation:
        ImageDraw.Draw(mask).polygon(polygon, fill=1, outline=1)
    return mask
