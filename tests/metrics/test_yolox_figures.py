"""The Deletion and Insertion of an independent implementation on YOLOX-nano and images of COCO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.ops import box_iou

import captum_ssgc as ssgc

SIDE = 416
COUNT = 60
LEVELS = ["Mul_246", "Mul_272", "Mul_298"]
COLUMNS = (("deletion", "s1"), ("deletion", "s2"), ("insertion", "s1"), ("insertion", "s2"))
EXPECTED = {
    "grad-cam": (0.094, 0.175, 0.466, 0.694),
    "odam": (0.062, 0.158, 0.478, 0.690),
    "ssgrad-cam": (0.060, 0.157, 0.474, 0.678),
    "ssgrad-cam++ as_is": (0.060, 0.150, 0.489, 0.713),
    "ssgrad-cam++ split": (0.059, 0.145, 0.491, 0.712),
}


def canvas_of(path: Path) -> tuple[Tensor, float]:
    """The letterboxed image ``(1, 3, 416, 416)`` and its scale."""
    image = Image.open(path).convert("RGB")
    scale = min(SIDE / image.width, SIDE / image.height)
    size = round(image.width * scale), round(image.height * scale)
    canvas = Image.new("RGB", (SIDE, SIDE), (114, 114, 114))
    canvas.paste(image.resize(size, Image.Resampling.BILINEAR), (0, 0))
    return ssgc.load_image(canvas), scale


def is_annotated(
    box: Tensor, category: int, annotations: list[dict[str, Any]], scale: float
) -> bool:
    """Whether the best annotation of that class overlaps by more than 0.5 and is not small."""
    boxes = [entry["bbox"] for entry in annotations if entry["category_id"] == category]
    if not boxes:
        return False
    corners = torch.tensor(boxes) * scale
    corners[:, 2:] += corners[:, :2]
    overlap, best = box_iou(box[None], corners)[0].max(0)
    width, height = corners[best, 2:] - corners[best, :2]
    return bool(overlap > 0.5) and float(width * height) > 24 * 24


def heat_maps(detector: ssgc.Detector, canvas: Tensor, targets: list[int]) -> dict[str, Tensor]:
    """For each method the maps ``(K, 416, 416)`` of the targets, on the neck of their level."""
    maps: dict[str, dict[int, Tensor]] = {name: {} for name in EXPECTED}
    for signs, names in (
        ("split", ["grad-cam", "odam", "ssgrad-cam", "ssgrad-cam++"]),
        ("as_is", ["ssgrad-cam++"]),
    ):
        options = {"ssgrad-cam++": {"signed_activations": signs}}
        for entry in ssgc.explain(
            detector, canvas, names, score_threshold=0.4, mask="box", method_options=options
        ):
            name = f"{entry.method} {signs}" if entry.method == "ssgrad-cam++" else entry.method
            maps[name][entry.index] = entry.heat_map
    return {name: torch.stack([of[target] for target in targets]) for name, of in maps.items()}
