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
        TypeError: for anything but a dictionary of tensors.
        ValueError: if a part is missing, or a label is no whole number.
    """
    if not isinstance(found, Mapping):
        raise TypeError(
            f"found: expected a dictionary of boxes, scores and labels, got {type(found).__name__}."
        )
    for name, value in found.items():
        if name in ("boxes", "scores", "labels", "masks") and not isinstance(value, Tensor):
            raise TypeError(f"{name}: expected a tensor, got {type(value).__name__}.")
    boxes, scores, labels = (
        needed(found.get(name), name, "the dictionary") for name in ("boxes", "scores", "labels")
    )
    masks = found.get("masks")
    if masks is not None:
        masks = masks[:, 0] if masks.dim() == 4 else masks
        masks = masks if masks.is_floating_point() else masks.to(torch.bool)
    if labels.is_floating_point() and not bool((labels == labels.round()).all()):
        raise ValueError(f"labels: expected whole numbers, got {labels.tolist()[:8]}.")
    whole = torch.promote_types(boxes.dtype, torch.float32)  # pixels may be integers
    return DetectionTable(boxes.reshape(-1, 4).to(whole), labels.long(), scores, masks=masks)
