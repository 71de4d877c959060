"""The pointing games of an independent implementation on YOLOX-nano and 50 images of COCO."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from annotated_photos import SIDE, annotated_photos, yolox_nano
from torch import Tensor

import captum_ssgc as ssgc

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
@pytest.mark.slow
def test_reproduces_the_table_of_an_independent_implementation(shared_data: Path) -> None:
    detector = yolox_nano(shared_data)
    results: dict[tuple[str, str], list[list[float]]] = {}
    for photo in annotated_photos(shared_data, detector):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*all-zero map")
            maps = heat_maps(detector, photo.canvas, photo.found, photo.targets)
        for key, of_targets in maps.items():
            for heat_map, box, mask in zip(of_targets, photo.boxes, photo.masks, strict=True):
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
