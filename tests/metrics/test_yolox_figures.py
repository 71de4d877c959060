"""Deletion and Insertion of an independent implementation on YOLOX-nano and 50 images of COCO.

Its figures are means over 60 of the 121 detections. Which 60 is not known, nor how it ordered
pixels of equal value, which most pixels of a rectified map are. So all 121 are measured here, tied
pixels in random order, and a figure has to lie within what a random choice of 60 can do: three
standard errors, 0.03 to 0.06.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from annotated_photos import AnnotatedPhoto, annotated_photos, yolox_nano
from torch import Tensor

import captum_ssgc as ssgc
from captum_ssgc.metrics import CurveSettings, deletion_insertion

ALL, CHOSEN = 121, 60
ERRORS = 3.0
COLUMNS = ("del s1", "del s2", "ins s1", "ins s2")
FIGURES = {
    "grad-cam": (0.094, 0.175, 0.466, 0.694),
    "odam": (0.062, 0.158, 0.478, 0.690),
    "ssgrad-cam": (0.060, 0.157, 0.474, 0.678),
    "ssgrad-cam++ as_is": (0.060, 0.150, 0.489, 0.713),
    "ssgrad-cam++ split": (0.059, 0.145, 0.491, 0.712),
}
SETTINGS = CurveSettings(baseline=114 / 255, match="iou", ties="random")


def heat_maps(detector: ssgc.Detector, photo: AnnotatedPhoto) -> dict[str, Tensor]:
    """For each method the maps ``(K, 416, 416)`` of the targets, on the neck of their level."""
    maps: dict[str, dict[int, Tensor]] = {name: {} for name in FIGURES}
    for signs, names in (
        ("split", ["grad-cam", "odam", "ssgrad-cam", "ssgrad-cam++"]),
        ("as_is", ["ssgrad-cam++"]),
    ):
        options = {"ssgrad-cam++": {"signed_activations": signs}}
        for entry in ssgc.explain(
            detector, photo.canvas, names, score_threshold=0.4, mask="box", method_options=options
        ):
            name = f"{entry.method} {signs}" if entry.method == "ssgrad-cam++" else entry.method
            maps[name][entry.index] = entry.heat_map
    return {name: torch.stack([of[row] for row in photo.targets]) for name, of in maps.items()}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence:UserWarning")  # onnx2torch
def test_agrees_with_an_independent_implementation(shared_data: Path) -> None:
    detector = yolox_nano(shared_data)
    areas: dict[str, list[list[float]]] = {name: [] for name in FIGURES}
    for photo in annotated_photos(shared_data, detector):
        found = photo.found[photo.targets]
        measured = deletion_insertion(
            detector, photo.canvas, found, heat_maps(detector, photo), SETTINGS
        )
        for name, both in measured.items():
            curves = [both.deletion["s1"], both.deletion["s2"]]
            curves += [both.insertion["s1"], both.insertion["s2"]]
            areas[name] += torch.stack([curve.area for curve in curves], 1).tolist()
    print("\nmethod; mean of 121 ± error of a mean of 60 / figure:", *COLUMNS)
    for name, figures in FIGURES.items():
        rows = np.array(areas[name])
        assert rows.shape == (ALL, 4)
        mean = rows.mean(0)
        # of the mean of 60 drawn from these 121 without replacement
        error = rows.std(0, ddof=1) * np.sqrt((1 - CHOSEN / ALL) / CHOSEN)
        cells = zip(mean, error, figures, strict=True)
        print(f"{name:20}", *(f"{m:.3f}±{e:.3f}/{f:.3f}" for m, e, f in cells))
        assert (np.abs(mean - figures) < ERRORS * error).all(), name
