"""The annotations of an image, as a user gives them, and the candidates for them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from captum_ssgc._arguments import shown
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector

Labels = Tensor | Sequence[int] | Sequence[str]
Boxes = Tensor | np.ndarray | Sequence[Sequence[float]]


def check_annotations(boxes: Boxes, labels: Labels, crowd: Tensor | None) -> tuple[Tensor, Tensor]:
    """The boxes as float32 and the crowds as bool, on the CPU.

    Raises:
        TypeError: if they are no tensors.
        ValueError: for a wrong shape, or boxes that are not finite or end before they begin.
    """
    if isinstance(boxes, (list, tuple, np.ndarray)):
        boxes = _tensor_of(boxes)
    if not isinstance(boxes, Tensor):
        raise TypeError(f"boxes: expected a tensor (G, 4), got {type(boxes).__name__}.")
    boxes = boxes.detach().cpu().float()
    if boxes.numel() == 0:
        boxes = boxes.reshape(0, 4)
    if boxes.dim() != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes: expected shape (G, 4), got {tuple(boxes.shape)}.")
    if not bool(boxes.isfinite().all()) or bool((boxes[:, 2:] < boxes[:, :2]).any()):
        raise ValueError(
            "boxes: expected finite x1, y1, x2, y2 in pixels, x1 <= x2 and y1 <= y2; COCO's x, y, "
            "width, height are brought there by torchvision.ops.box_convert."
        )
    count = len(_listed(labels))
    if count != len(boxes):
        raise ValueError(f"labels: expected one for each of {len(boxes)} boxes, got {count}.")
    if crowd is None:
        return boxes, torch.zeros(len(boxes), dtype=torch.bool, device="cpu")
    if not isinstance(crowd, Tensor) or crowd.dtype != torch.bool:
        raise TypeError("crowd: expected a bool tensor (G,), or None.")
    if crowd.shape != (len(boxes),):
        raise ValueError(f"crowd: expected shape ({len(boxes)},), got {tuple(crowd.shape)}.")
    return boxes, crowd.cpu()


def _tensor_of(boxes: Any) -> Tensor:
    """Boxes in lists or an array, as files of annotations have them."""
    try:
        if isinstance(boxes, np.ndarray):
            return torch.from_numpy(np.asarray(boxes, dtype=np.float32))
        sides = [[float(side) for side in row] for row in boxes]
        return torch.tensor(sides, device="cpu")
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"boxes: expected x1, y1, x2, y2 in numbers for each box, (G, 4): {error}"
        ) from None


def label_indices(labels: Labels, detector: Detector, classes: int) -> Tensor:
    """Class indices ``(G,)`` of indices or names.

    Raises:
        TypeError: for labels that are neither.
        ValueError: for one that the detector does not have.
    """
    entries = _listed(labels)
    names = list(detector.label_names or ())
    indices = []
    for entry in entries:
        if isinstance(entry, str):
            if entry not in names:
                known = f"one of {', '.join(names)}" if names else "class indices: it has no names"
                raise ValueError(f"labels: the detector knows no {entry!r}; expected {known}.")
            indices.append(names.index(entry))
        else:
            indices.append(_index(entry))
    wrong = [entry for entry in indices if not 0 <= entry < classes]
    if wrong:
        raise ValueError(f"labels: expected 0 to {classes - 1}, as the detector's, got {wrong[0]}.")
    return torch.tensor(indices, dtype=torch.int64, device="cpu")


def _listed(labels: Any) -> list[Any]:
    """Labels one by one, as Python's own numbers and texts where they are in a tensor or array."""
    entries = labels.tolist() if isinstance(labels, (Tensor, np.ndarray)) else labels
    if isinstance(entries, (str, bytes, bytearray)) or not isinstance(entries, Sequence):
        raise TypeError(
            "labels: expected class indices or names in a list or tensor, one for each box, got "
            f"{shown(labels)}."
        )
    return list(entries)


def _index(entry: object) -> int:
    """A whole number of Python, NumPy or PyTorch."""
    try:
        if not isinstance(entry, bool):
            return operator.index(entry)  # type: ignore[arg-type]
    except TypeError:
        pass
    raise TypeError(f"labels: expected class indices or names, got {entry!r}.")


def candidates_for(
    candidates: Detections, boxes: Tensor, labels: Tensor
) -> tuple[list[int], list[float]]:
    """For each box the candidate of its label with the highest IoU times score, and its IoU.

    Args:
        candidates: every candidate with every class.
        boxes: ``(G, 4)``.
        labels: ``(G,)``.

    Raises:
        ValueError: if none of a label overlaps its box.
    """
    overlap = box_iou(boxes.cpu().double(), candidates.boxes.cpu().double()).nan_to_num()
    overlap = overlap * (labels[:, None] == candidates.labels.cpu())
    rows, ious = [], []
    for place, (of_box, fit) in enumerate(zip(overlap, overlap * candidates.scores.cpu())):
        if not len(fit) or float(fit.max()) == 0.0:
            raise ValueError(
                f"boxes: no candidate of label {int(labels[place])} overlaps box {place}, "
                f"{boxes[place].tolist()}: the detector has nothing there to explain."
            )
        rows.append(int(fit.argmax()))
        ious.append(float(of_box[rows[-1]]))
    return rows, ious


def is_among(some: Detections, others: Detections) -> Tensor:
    """``(M,)`` bool: which of ``some`` are the same candidate under the same label as another."""
    same = some.candidates[:, None] == others.candidates
    return (same & (some.labels[:, None] == others.labels)).any(1)
