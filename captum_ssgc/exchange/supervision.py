"""``supervision.Detections``, the format of Roboflow's tools."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from captum_ssgc.exchange.table import DetectionTable, array, needed

CORNERS = "xyxyxyxy"  # supervision's own name of oriented boxes


def to_supervision(table: DetectionTable) -> Any:
    """Further columns, such as maps, stand in ``data``.

    Raises:
        ImportError: if supervision is not installed.
    """
    import supervision as sv

    data: dict[str, Any] = dict(table.columns)
    if table.corners is not None:
        data[CORNERS] = array(table.corners.float())
    masks = table.hard_masks()
    return sv.Detections(
        xyxy=array(table.boxes.float()).reshape(-1, 4),
        mask=None if masks is None else array(masks),
        confidence=array(table.scores.float()),
        class_id=array(table.labels).astype(np.int64),
        data=data,
    )


def from_supervision(found: Any) -> DetectionTable:
    """Boxes, class ids, confidences, masks and oriented boxes; nothing else of ``data``.

    Raises:
        TypeError: for anything else.
        ValueError: without class ids or confidences.
    """
    of = "supervision.Detections"
    if not hasattr(found, "xyxy"):
        raise TypeError(f"found: expected {of}, got {type(found).__name__}.")
    masks, corners = found.mask, found.data.get(CORNERS)
    if masks is not None:
        masks = torch.from_numpy(np.array(getattr(masks, "to_dense", lambda: masks)(), dtype=bool))
    return DetectionTable(
        boxes=torch.from_numpy(np.array(found.xyxy, dtype=np.float32)),
        labels=torch.from_numpy(np.array(needed(found.class_id, "class_id", of), dtype=np.int64)),
        scores=torch.from_numpy(
            np.array(needed(found.confidence, "confidence", of), dtype=np.float32)
        ),
        corners=None if corners is None else torch.from_numpy(np.array(corners, dtype=np.float32)),
        masks=masks,
    )
