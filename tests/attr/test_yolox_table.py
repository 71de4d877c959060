"""The pointing games of an independent implementation on YOLOX-nano and 50 images of COCO."""

from __future__ import annotations

import json
import warnings
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
COLUMNS = ("P(b)", "P(m)", "eP(b)", "eP(m)")
EXPECTED = {
    ("neck", "grad-cam"): (0.339, 0.273, 0.228, 0.175),
    ("neck", "grad-cam++"): (0.091, 0.083, 0.089, 0.065),
    ("neck", "odam"): (0.975, 0.893, 0.906, 0.752),
    ("neck", "ssgrad-cam"): (0.975, 0.893, 0.897, 0.740),
    ("neck", "ssgrad-cam++ as_is"): (0.992, 0.934, 0.906, 0.761),
    ("neck", "ssgrad-cam++ split"): (0.992, 0.934, 0.869, 0.708),
    ("Mul_196", "odam"): (0.818, 0.678, 0.674, 0.520),
    ("Mul_196", "ssgrad-cam"): (0.769, 0.661, 0.638, 0.487),
    ("Mul_196", "ssgrad-cam++ as_is"): (0.405, 0.380, 0.375, 0.308),
    ("Mul_196", "ssgrad-cam++ split"): (0.926, 0.785, 0.654, 0.487),
}
EXPECTED_EMPTY = {
    ("Mul_196", "ssgrad-cam++ as_is"): 0.30,
    ("Mul_196", "ssgrad-cam++ split"): 0.0,
}


def canvas_of(path: Path) -> tuple[Tensor, float]:
    """The letterboxed image ``(1, 3, 416, 416)`` and its scale, resized as the table's was."""
    image = Image.open(path).convert("RGB")
    scale = min(SIDE / image.width, SIDE / image.height)
    size = round(image.width * scale), round(image.height * scale)
    canvas = Image.new("RGB", (SIDE, SIDE), (114, 114, 114))
    canvas.paste(image.resize(size, Image.Resampling.BILINEAR), (0, 0))
    return ssgc.load_image(canvas), scale


def decode(segmentation: Any, height: int, width: int) -> Image.Image:
    """A COCO segmentation, polygons or compressed run lengths, as a mask image."""
    if isinstance(segmentation, dict):
        coco_mask = pytest.importorskip("pycocotools.mask", reason="needs captum-ssgc[coco]")
        return Image.fromarray(coco_mask.decode(segmentation).astype(bool))
    mask = Image.new("1", (width, height))
    for polygon in segmentation:
        ImageDraw.Draw(mask).polygon(polygon, fill=1, outline=1)
    return mask


def mask_on_canvas(annotation: dict[str, Any], image: dict[str, Any], scale: float) -> Tensor:
    mask = decode(annotation["segmentation"], image["height"], image["width"])
    size = round(image["width"] * scale), round(image["height"] * scale)
    placed = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    placed[: size[1], : size[0]] = torch.from_numpy(
        np.asarray(mask.resize(size, Image.Resampling.NEAREST)).copy()
    )
    return placed


def match(
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


def games(heat_map: Tensor, box: Tensor, mask: Tensor) -> list[float]:
    """Pointing game and energy share, in box and mask, and whether the map is empty."""
    if float(heat_map.max()) == 0.0:
        return [0.0, 0.0, 0.0, 0.0, 1.0]
    centres = torch.arange(SIDE) + 0.5
    x1, y1, x2, y2 = box
    inside = ((centres >= y1) & (centres <= y2))[:, None] & ((centres >= x1) & (centres <= x2))
    y, x = divmod(int(heat_map.argmax()), SIDE)
    energy = heat_map.sum()
    shares = [float(heat_map[inside].sum() / energy), float(heat_map[mask].sum() / energy)]
    return [float(inside[y, x]), float(mask[y, x]), *shares, 0.0]


def heat_maps(
    detector: ssgc.Detector, canvas: Tensor, found: ssgc.Detections, targets: list[int]
) -> dict[tuple[str, str], list[Tensor]]:
    """For each layer and method the maps ``(416, 416)`` of the targets."""
    maps: dict[tuple[str, str], list[Tensor]] = {}
    for place, layer in (("neck", None), ("Mul_196", "Mul_196")):
        explained = ssgc.explain(
            detector,
            canvas,
            ["grad-cam", "grad-cam++", "odam", "ssgrad-cam", "ssgrad-cam++"],
            layer=layer,
            score_threshold=0.4,
            mask="box",
            method_options={"ssgrad-cam++": {"signed_activations": "split"}},
        )
        for entry in explained:
            name = "ssgrad-cam++ split" if entry.method == "ssgrad-cam++" else entry.method
            if entry.index in targets:
                maps.setdefault((place, name), []).append(entry.heat_map)
    backbone = detector.model.get_submodule("Mul_196")
    cam = ssgc.SSGradCAMPlusPlus(
        ssgc.InstanceScoreWrapper(detector, found), [*detector.level_layers(), backbone]
    )
    options = {"mask": "box", "signed_activations": "as_is", "interpolate_mode": "bilinear"}
    *levels, last = cam.attribute_instances(canvas, targets, **options)
    maps["neck", "ssgrad-cam++ as_is"] = [
        levels[int(found.levels[target])][row, 0] for row, target in enumerate(targets)
    ]
    maps["Mul_196", "ssgrad-cam++ as_is"] = list(last[:, 0])
    return maps


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence:UserWarning")  # onnx2torch
def test_reproduces_the_table_of_an_independent_implementation(shared_data: Path) -> None:
    pytest.importorskip("onnx2torch", reason="needs captum-ssgc[onnx]")
    from captum_ssgc.detectors import yolox

    coco = json.loads((shared_data / "coco_val_50" / "instances.json").read_text())
    categories = sorted(entry["id"] for entry in coco["categories"])
    detector = yolox(shared_data / "yolox_nano_coco.onnx", level_layers=LEVELS, score_threshold=0.4)
    results: dict[tuple[str, str], list[list[float]]] = {}
    for image in coco["images"]:
        annotations = [
            entry
            for entry in coco["annotations"]
            if entry["image_id"] == image["id"] and not entry["iscrowd"]
        ]
        canvas, scale = canvas_of(shared_data / "coco_val_50" / "images" / image["file_name"])
        found = detector.detect(canvas)[0]
        pairs = [
            match(box, categories[int(label)], annotations, scale)
            for box, label in zip(found.boxes, found.labels, strict=True)
        ]
        targets = [target for target, pair in enumerate(pairs) if pair is not None]
        if not targets:
            continue
        truths = [
            (pair[1], mask_on_canvas(pair[0], image, scale)) for pair in pairs if pair is not None
        ]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*all-zero map")
            maps = heat_maps(detector, canvas, found, targets)
        for key, of_targets in maps.items():
            for heat_map, (box, mask) in zip(of_targets, truths, strict=True):
                results.setdefault(key, []).append(games(heat_map, box, mask))
    means = {key: np.mean(rows, axis=0) for key, rows in results.items()}
    print("\nlayer    method              ", *(f"{name:>6}" for name in (*COLUMNS, "empty")))
    for (place, name), row in means.items():
        print(f"{place:8} {name:20}", *(f"{value:6.3f}" for value in row))
    assert {len(rows) for rows in results.values()} == {121}
    for key, expected in EXPECTED.items():
        assert means[key][:4] == pytest.approx(expected, abs=0.02), key
    for key, share in EXPECTED_EMPTY.items():
        assert means[key][4] == pytest.approx(share, abs=0.02), key
