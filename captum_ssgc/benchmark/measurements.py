"""Numbers of one image as they come in, group of detections by group."""

from __future__ import annotations

import math

from torch import Tensor

from captum_ssgc.benchmark.records import CurveSum
from captum_ssgc.benchmark.small_maps import packed

_DIGITS = 9


class Measurements:
    """What is measured on the detections of one image, by row and column."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, tuple[float | None, ...]]] = {}
        self.curves: dict[str, dict[str, CurveSum]] = {}
        self.seconds: dict[str, float] = {}
        self.small_maps: dict[str, tuple[str, ...]] = {}
        self.problems: tuple[str, ...] = ()

    def add(self, row: str, column: str, numbers: Tensor) -> None:
        """Numbers of further detections."""
        columns = self.values.setdefault(row, {})
        further = (
            rounded(one) if math.isfinite(one) else None for one in numbers.detach().cpu().tolist()
        )
        columns[column] = (*columns.get(column, ()), *further)

    def add_curves(self, row: str, column: str, scores: Tensor) -> None:
        """Curves ``(K, S + 1)`` of further detections; those with NaN are left out."""
        scores = scores.detach().cpu().double()
        finite = scores[scores.isfinite().all(1)]
        columns = self.curves.setdefault(row, {})
        before = columns.get(column, CurveSum(0, (0.0,) * scores.shape[1]))
        total = (rounded(a + b) for a, b in zip(before.sum, finite.sum(0).tolist()))
        columns[column] = CurveSum(before.count + len(finite), tuple(total))

    def add_seconds(self, seconds: dict[str, float]) -> None:
        """Seconds that rows took for further detections."""
        for row, took in seconds.items():
            self.seconds[row] = rounded(self.seconds.get(row, 0.0) + took)

    def add_small_maps(self, row: str, heat_maps: Tensor) -> None:
        """Maps ``(K, H, W)`` of which the pictures of examples are made."""
        self.small_maps[row] = tuple(packed(heat_map) for heat_map in heat_maps)


def rounded(number: float) -> float:
    """What float32 can tell apart.

    Raises:
        ValueError: for NaN and infinity, which JSON does not have.
    """
    if not math.isfinite(number):
        raise ValueError(f"expected a finite number, got {number}.")
    return float(f"{number:.{_DIGITS}g}")
