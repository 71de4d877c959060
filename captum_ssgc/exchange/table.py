"""Detections as any package has them: boxes, labels, scores, and columns of whatever else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from captum_ssgc._box_checks import check_corners_in_pixels

_ROUNDING = 1e-4


@dataclass(frozen=True, eq=False)
class DetectionTable:
    """``K`` detections of one image.

    Args:
        boxes: ``(K, 4)`` x1, y1, x2, y2 in pixels.
        labels: ``(K,)`` int64.
        scores: ``(K,)`` float.
        corners: ``(K, 4, 2)`` of oriented boxes, or ``None``.
        masks: ``(K, H, W)`` bool, or float in [0, 1] where they are soft, or ``None``.
        columns: further ones by their name, arrays with ``K`` entries.

    Raises:
        ValueError: if a part has another number of detections, or boxes are no ``(K, 4)``.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    corners: Tensor | None = None
    masks: Tensor | None = None
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.boxes.dim() != 2 or self.boxes.shape[1] != 4:
            raise ValueError(f"boxes: expected shape (K, 4), got {tuple(self.boxes.shape)}.")
        parts: dict[str, Any] = {"labels": self.labels, "scores": self.scores, **self.columns}
        parts |= {"corners": self.corners, "masks": self.masks}
        for name, value in parts.items():
            if value is not None and len(value) != len(self.boxes):
                raise ValueError(
                    f"{name}: expected one for each of {len(self.boxes)} boxes, got {len(value)}."
                )

    def check_plausible(self, image_size: tuple[int, int]) -> None:
        """Check what comes from elsewhere, where boxes and scores may mean something else.

        Raises:
            ValueError: for boxes that are not finite, end before they begin, lie outside the image
                or are shares of it, and for scores outside [0, 1].
        """
        check_corners_in_pixels(self.boxes, image_size)
        scores = self.scores.detach().cpu().double()
        known = (scores >= 0) & (scores <= 1 + _ROUNDING)  # NaN is in no range
        if not bool(known.all()):
            row = int(known.logical_not().nonzero()[0])
            raise ValueError(
                f"scores: expected numbers in [0, 1], got {float(scores[row])} in row {row}."
            )

    def hard_masks(self) -> Tensor | None:
        """The masks as bool; soft ones from 0.5 on."""
        if self.masks is None or self.masks.dtype == torch.bool:
            return self.masks
        return self.masks >= 0.5

    def with_column(self, name: str, values: np.ndarray) -> DetectionTable:
        """The same with a further column, or another one in its place."""
        return replace(self, columns={**self.columns, name: values})

    def class_indices(self, classes: int | None) -> tuple[Tensor, int]:
        """The labels, and how many there may be: ``classes``, or one more than the highest.

        Raises:
            ValueError: if a label is not among them.
        """
        low, high = (int(self.labels.min()), int(self.labels.max())) if len(self.labels) else (0, 0)
        count = high + 1 if classes is None else classes
        if low < 0 or high >= count:
            raise ValueError(f"labels: expected 0 to {count - 1}, got {low} to {high}.")
        return self.labels, count


def names_of(labels: Tensor, names: Sequence[str]) -> np.ndarray:
    """The name of each label; its number where there is none."""
    known = dict(enumerate(names))
    return np.array([known.get(label, str(label)) for label in labels.tolist()], dtype=str)


def labels_named(entries: Sequence[str], names: Sequence[str] | None) -> Tensor:
    """The other way: the label of each name ``(K,)``; of a number the number.

    Raises:
        ValueError: for one that is neither, or stands there twice.
    """
    known = list(names or ())
    labels = []
    for entry in entries:
        if known.count(entry) > 1:
            raise ValueError(f"label_names: expected {entry!r} once, got several of that name.")
        if entry not in known and not (entry.isascii() and entry.isdigit()):
            shown = ", ".join(known[:8]) + (" and more" if len(known) > 8 else "")
            raise ValueError(
                f"label_names: expected the model's names with {entry!r} among them, got "
                f"{shown or 'none'}."
            )
        labels.append(known.index(entry) if entry in known else int(entry))
    return torch.tensor(labels, dtype=torch.int64, device="cpu")


def array(value: Tensor) -> np.ndarray:
    """On the CPU, without graph, in a precision that NumPy has."""
    value = value.detach().cpu()
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()


def needed(value: Any, name: str, of: str) -> Any:
    """``value`` unless it is missing.

    Raises:
        ValueError: if it is ``None``; annotations have no scores.
    """
    if value is None:
        raise ValueError(
            f"{name}: expected those of detections, got none in {of}; to explain annotations, pass "
            "their boxes and labels: explain(model, image, boxes=..., labels=...)."
        )
    return value
