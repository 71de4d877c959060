"""Fields of a FiftyOne sample: the detections, and a heat map for each of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from captum_ssgc.exchange.table import DetectionTable, array

HEAT_MAP = "heat_map"


def to_fiftyone(table: DetectionTable, image_size: tuple[int, int], field: str) -> dict[str, Any]:
    """Labels by the name of their field.

    FiftyOne draws heat maps of samples, not of detections: each has a field of its own, which the
    detection names. Other columns are attributes of the detections.

    Args:
        table: with the columns ``class_name`` and ``heat_map``.
        image_size: ``(H, W)``.
        field: of the detections; those of the maps begin with it.

    Raises:
        ImportError: if FiftyOne is not installed.
    """
    import fiftyone as fo

    height, width = image_size
    boxes = array(table.boxes.double()).reshape(-1, 4)
    shares = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
    shares = shares / np.array([width, height, width, height])
    figures = {name: column for name, column in table.columns.items() if name != HEAT_MAP}
    names = figures.pop("class_name")
    maps = table.columns[HEAT_MAP]
    fields: dict[str, Any] = {}
    found = []
    for row, (share, score) in enumerate(zip(shares, table.scores.tolist())):
        place = f"{field}_{HEAT_MAP}_{row + 1}"
        fields[place] = fo.Heatmap(map=maps[row], range=[0.0, float(maps[row].max()) or 1.0])
        found.append(
            fo.Detection(
                label=str(names[row]),
                bounding_box=share.tolist(),
                confidence=score,
                **{HEAT_MAP: place},
                **{name: column[row].item() for name, column in figures.items()},
            )
        )
    return {field: fo.Detections(detections=found), **fields}
