"""Windows of a layer's grid: where a gradient, or a mask, is not zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Window:
    """The cells ``top <= y < bottom``, ``left <= x < right`` of a grid; may hold none."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """``(height, width)`` in cells."""
        return self.bottom - self.top, self.right - self.left

    @property
    def is_empty(self) -> bool:
        """Whether it holds no cell."""
        return self.bottom <= self.top or self.right <= self.left

    def overlaps(self, other: Window) -> bool:
        """Whether the two have a cell in common."""
        return (
            max(self.top, other.top) < min(self.bottom, other.bottom)
            and max(self.left, other.left) < min(self.right, other.right)
        )  # fmt: skip

    def grown(self, cells: int, grid: tuple[int, int]) -> Window:
        """With so many cells more on each side, as far as the grid goes."""
        return Window(
            max(self.top - cells, 0),
            min(self.bottom + cells, grid[0]),
            max(self.left - cells, 0),
            min(self.right + cells, grid[1]),
        )

    def of(self, values: Tensor) -> Tensor:
        """This part of ``(..., h, w)``, as a view."""
        return values[..., self.top : self.bottom, self.left : self.right]

    def within(self, outer: Window) -> Window:
        """The same cells of a window that holds them, counted from its corner."""
        return Window(
            self.top - outer.top,
            self.bottom - outer.top,
            self.left - outer.left,
            self.right - outer.left,
        )

    def padded(self, values: Tensor, window: Window) -> Tensor:
        """``values`` on this window, ``(..., *size)``, on a larger one, zero outside."""
        if window == self:
            return values
        margins = (
            self.left - window.left,
            window.right - self.right,
            self.top - window.top,
            window.bottom - self.bottom,
        )
        return F.pad(values, margins)

    @classmethod
    def whole(cls, grid: tuple[int, int]) -> Window:
        """All cells."""
        return cls(0, grid[0], 0, grid[1])


@dataclass(frozen=True)
class WindowGradient:
    """The gradient of one value at a layer, on a window outside of which it is zero.

    Args:
        window: of the layer's grid.
        values: ``(N, C, *window.size)``.
    """

    window: Window
    values: Tensor


def nonzero_windows(tensors: Sequence[Tensor]) -> list[Window]:
    """The smallest window that holds all non-zero cells of each ``(N, C, h, w)``.

    What is in the rows and columns of all of them comes to the host at once.
    """
    hits = [_nonzero_cells(tensor) for tensor in tensors]
    return _windows_of([hit.any(1) for hit in hits], [hit.any(0) for hit in hits])


def windows_of_rows(masks: Tensor) -> list[Window]:
    """:func:`nonzero_windows` of each of ``K`` masks ``(K, C, h, w)`` of true and false."""
    cells = masks.any(1)
    return _windows_of([*cells.any(2)], [*cells.any(1)])


def _windows_of(rows: Sequence[Tensor], columns: Sequence[Tensor]) -> list[Window]:
    """From what is set in the rows ``(h,)`` and in the columns ``(w,)`` of each grid."""
    if not rows:
        return []
    marked, start = torch.cat([*rows, *columns]).tolist(), 0
    limits = []
    for side in (*rows, *columns):
        limits.append(_limits(marked[start : start + len(side)]))
        start += len(side)
    pairs = zip(limits[: len(rows)], limits[len(rows) :], strict=True)
    return [Window(*vertical, *horizontal) for vertical, horizontal in pairs]


def hull(windows: Sequence[Window]) -> Window:
    """The smallest window that holds these."""
    some = [window for window in windows if not window.is_empty] or [Window(0, 0, 0, 0)]
    return Window(
        min(window.top for window in some),
        max(window.bottom for window in some),
        min(window.left for window in some),
        max(window.right for window in some),
    )


def aligned(windows: Sequence[Window], grid: tuple[int, int]) -> list[Window]:
    """Windows of one size within the grid that hold these, each its own."""
    height = max(window.size[0] for window in windows)
    width = max(window.size[1] for window in windows)
    tops = [min(window.top, grid[0] - height) for window in windows]
    lefts = [min(window.left, grid[1] - width) for window in windows]
    return [Window(top, top + height, left, left + width) for top, left in zip(tops, lefts)]


def gathered(values: Tensor, windows: Sequence[Window]) -> Tensor:
    """``(1|K, C, h, w)`` on a window of its own for each of ``K`` rows, all of one size."""
    if len(set(windows)) == 1:
        return windows[0].of(values)
    shared = len(values) == 1
    each = zip(windows, [values] * len(windows) if shared else values.split(1), strict=True)
    return torch.cat([window.of(own) for window, own in each])


def _nonzero_cells(tensor: Tensor) -> Tensor:
    if tensor.dtype != torch.bool:
        return torch.logical_or(tensor.amax((0, 1)), tensor.amin((0, 1)))  # takes no memory
    return tensor[0, 0] if tensor.shape[:2] == (1, 1) else tensor.any(1).any(0)


def _limits(hit: Sequence[bool]) -> tuple[int, int]:
    """The first that is set, and the one after the last; nothing, where none is."""
    if True not in hit:
        return 0, 0
    return hit.index(True), len(hit) - hit[::-1].index(True)
