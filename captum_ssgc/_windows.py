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

    The bounds of all of them come to the host at once.
    """
    if not tensors:
        return []
    bounds = torch.stack([_bounds(tensor) for tensor in tensors]).tolist()
    return [Window(*(int(bound) for bound in four)) for four in bounds]


def _bounds(tensor: Tensor) -> Tensor:
    hit = (tensor != 0) if tensor.dtype == torch.bool else (tensor.abs().amax((0, 1)) != 0)
    if hit.dim() == 4:
        hit = hit.any(1).any(0)
    limits = [_first_and_end(hit.any(1)), _first_and_end(hit.any(0))]
    return torch.cat(limits) * hit.any()


def _first_and_end(hit: Tensor) -> Tensor:
    places = torch.arange(len(hit), device=hit.device)
    first = torch.where(hit, places, len(hit)).amin()
    end = torch.where(hit, places + 1, 0).amax()
    return torch.stack([first, end])
