"""The dictionaries of torchmetrics, which are those that torchvision's detectors return."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from captum_ssgc.exchange.table import DetectionTable, needed


def to_torchmetrics(table: DetectionTable) -> dict[str, Tensor]:
    """``boxes``, ``scores``, ``labels``, and ``masks`` where there are any."""
    found = {"boxes": table.boxes, "scores": table.scores, "labels": table.labels}
    masks = table.hard_masks()
    if masks is not None:
        found["masks"] = masks
    return {name: value.detach() for name, value in found.items()}


def from_torchmetrics(found: Mapping[str, Tensor]) -> DetectionTable:
    """Masks may be ``(K, H, W)`` or, as torchvision has them, ``(K, 1, H, W)``.

    Raises:
        ValueError: if a part is missing.
    """
    boxes, scores, labels = (
        needed(found.get(name), name, "the dictionary") for name in ("boxes", "scores", "labels")
    )
    masks = found.get("masks")
    if masks is not None:
        masks = masks[:, 0] if masks.dim() == 4 else masks
        masks = masks if masks.is_floating_point() else masks.to(torch.bool)
    return DetectionTable(boxes.reshape(-1, 4), labels.long(), scores, masks=masks)
