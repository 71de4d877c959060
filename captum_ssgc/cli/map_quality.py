"""What ``captum-ssgc evaluate`` measures of one image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector
from captum_ssgc.explanations import Explanation
from captum_ssgc.metrics import (
    DeletionInsertion,
    deletion_insertion,
    energy_pointing_game,
    pointing_game,
)

CURVES = {"Del s1": "s1", "Del s2": "s2", "Ins s1": "s1", "Ins s2": "s2"}
"""The columns of curves, and the score that each is read with."""
COLUMNS = (*CURVES, "P", "eP")


@dataclass(frozen=True, eq=False)
class MapQuality:
    """The maps of an image and what was measured of them.

    Args:
        image: ``(1, 3, H, W)`` in [0, 1].
        detections: ``K`` of them.
        maps: for each method ``(K, H, W)``.
        curves: for each method.
        rows: for each detection one record for each method: its label, score and method, whether
            the map is ``empty``, and a figure for each of :data:`COLUMNS`; ``None`` where a curve
            cannot be divided by an initial score of 0.
    """

    image: Tensor
    detections: Detections
    maps: dict[str, Tensor]
    curves: dict[str, DeletionInsertion]
    rows: list[list[dict[str, Any]]]

    @property
    def records(self) -> list[dict[str, Any]]:
        """Those of all detections and methods."""
        return [record for row in self.rows for record in row]


def measure_maps(
    detector: Detector,
    image: Tensor,
    explanations: Sequence[Explanation],
    preset: str,
    batch_size: int,
) -> MapQuality:
    """Measure all explanations of one image, on the device where they are.

    Args:
        detector: the detector.
        image: ``(1, 3, H, W)`` in [0, 1].
        explanations: the same methods for each detection.
        preset: the name of the settings of Deletion and Insertion.
        batch_size: changed images in one forward.
    """
    image = image.to(explanations[0].heat_map.device)
    by_method: dict[str, list[Explanation]] = {}
    for one in explanations:
        by_method.setdefault(one.method, []).append(one)
    indices = [one.index for one in next(iter(by_method.values()))]
    detections = detector.detect(image)[0][indices]
    maps = {name: torch.stack([one.heat_map for one in ones]) for name, ones in by_method.items()}
    curves = deletion_insertion(
        detector, image, detections, maps, preset, perturbations_per_eval=batch_size
    )
    regions = _regions(detections)
    by_name = {
        name: _records(ones, maps[name], regions, curves[name]) for name, ones in by_method.items()
    }
    rows = [list(row) for row in zip(*by_name.values(), strict=True)]
    return MapQuality(image, detections, maps, curves, rows)


def _regions(detections: Detections) -> dict[str, Tensor]:
    """Where the map of an object should lie, as the pointing games take it: the closest known."""
    if detections.masks is not None:
        return {"masks": detections.mask_pixels()}
    if detections.corners is not None:
        return {"corners": detections.corners}
    return {"boxes": detections.boxes}


def _records(
    explanations: Sequence[Explanation],
    maps: Tensor,
    regions: dict[str, Tensor],
    curves: DeletionInsertion,
) -> list[dict[str, Any]]:
    sides = {"Del": curves.deletion, "Ins": curves.insertion}
    columns = {name: sides[name[:3]][score].area.tolist() for name, score in CURVES.items()}
    points = pointing_game(maps, **regions)
    columns["P"] = points.values.tolist()
    columns["eP"] = energy_pointing_game(maps, **regions).values.tolist()
    return [
        {
            "label": one.label,
            "score": one.score,
            "method": one.method,
            "empty": not bool(points.valid[row]),
            **{
                name: values[row] if math.isfinite(values[row]) else None
                for name, values in columns.items()
            },
        }
        for row, one in enumerate(explanations)
    ]
