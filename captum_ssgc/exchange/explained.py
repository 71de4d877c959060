"""What ``explain`` found, as columns: for other packages, and for a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from captum_ssgc._explained import Listed
from captum_ssgc.exchange.table import DetectionTable, array


class Exchanged(Listed, Protocol):
    """What is read of a :class:`captum_ssgc.Explanation`."""

    @property
    def label_index(self) -> int: ...
    @property
    def box(self) -> Tensor: ...
    @property
    def heat_map(self) -> Tensor: ...
    @property
    def detected(self) -> bool: ...
    @property
    def asked_iou(self) -> float | None: ...
    @property
    def corners(self) -> Tensor | None: ...
    @property
    def mask(self) -> Tensor | None: ...
    def energy_in_box(self) -> float: ...


def table_of(
    found: Sequence[Exchanged], method: str | None, image_size: tuple[int, int]
) -> DetectionTable:
    """The detections with the maps of one method.

    Args:
        found: the explanations.
        method: whose maps; ``None`` for the first explanation's.
        image_size: ``(H, W)``.

    Raises:
        ValueError: if there is no map of that method.
    """
    methods = list(dict.fromkeys(one.method for one in found))
    if method is not None and method not in methods:
        known = ", ".join(methods) or "no explanation at all"
        raise ValueError(f"method: expected one of the explanations', {known}, got {method!r}.")
    own = [one for one in found if one.method == (methods[0] if method is None else method)]
    return DetectionTable(
        boxes=torch.stack([one.box for one in own]) if own else torch.zeros(0, 4, device="cpu"),
        labels=torch.tensor([one.label_index for one in own], dtype=torch.int64, device="cpu"),
        scores=torch.tensor([one.score for one in own], dtype=torch.float32, device="cpu"),
        corners=_of_all([one.corners for one in own]),
        masks=_of_all([one.mask for one in own]),
        columns={
            "class_name": np.array([one.label for one in own], dtype=str),
            "heat_map": _maps(own, image_size),
            "method": np.array([one.method for one in own], dtype=str),
            "layer": np.array([one.layer for one in own], dtype=str),
            "index": np.array([one.index for one in own], dtype=np.int64),
            "detected": np.array([one.detected for one in own], dtype=bool),
            "energy_in_box": np.array([one.energy_in_box() for one in own], dtype=np.float64),
        },
    )


def columns_of(found: Sequence[Exchanged], image_size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Everything that an explanation holds, one row for each; ``asked_iou`` NaN for ``None``.

    Corners and masks only where all have them.
    """
    ious = [float("nan") if one.asked_iou is None else one.asked_iou for one in found]
    shapes = {
        "corners": _of_all([one.corners for one in found]),
        "masks": _of_all([one.mask for one in found]),
    }
    further = {name: array(values) for name, values in shapes.items() if values is not None}
    return further | {
        "maps": _maps(found, image_size),
        "boxes": np.stack([array(one.box) for one in found]) if found else np.zeros((0, 4)),
        "labels": np.array([one.label_index for one in found], dtype=np.int64),
        "names": np.array([one.label for one in found], dtype=str),
        "scores": np.array([one.score for one in found], dtype=np.float64),
        "method": np.array([one.method for one in found], dtype=str),
        "layer": np.array([one.layer for one in found], dtype=str),
        "index": np.array([one.index for one in found], dtype=np.int64),
        "detected": np.array([one.detected for one in found], dtype=bool),
        "asked_iou": np.array(ious, dtype=np.float64),
    }


def rows_of(columns: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """The other way: the arguments of each explanation."""
    ious = columns["asked_iou"].tolist()
    return [
        {
            "index": int(columns["index"][row]),
            "label": str(columns["names"][row]),
            "label_index": int(columns["labels"][row]),
            "score": float(columns["scores"][row]),
            "box": torch.from_numpy(columns["boxes"][row]),
            "heat_map": torch.from_numpy(columns["maps"][row]),
            "method": str(columns["method"][row]),
            "layer": str(columns["layer"][row]),
            "detected": bool(columns["detected"][row]),
            "asked_iou": None if np.isnan(iou) else iou,
            **{
                argument: torch.from_numpy(columns[name][row])
                for name, argument in (("corners", "corners"), ("masks", "mask"))
                if name in columns
            },
        }
        for row, iou in enumerate(ious)
    ]


def _of_all(values: Sequence[Tensor | None]) -> Tensor | None:
    """One for all; ``None`` where one is missing."""
    known = [value for value in values if value is not None]
    return torch.stack(known) if known and len(known) == len(values) else None


def _maps(found: Sequence[Exchanged], image_size: tuple[int, int]) -> np.ndarray:
    maps = [array(one.heat_map) for one in found]
    return np.stack(maps) if maps else np.zeros((0, *image_size), dtype=np.float32)
