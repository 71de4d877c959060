"""Interpolation along one axis after the other, by the cells that are read and their weights."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

Taps = tuple[Tensor, Tensor]


@lru_cache(maxsize=64)
def taps(
    mode: str,
    count: int,
    places: int,
    start: float,
    step: float,
    dtype: torch.dtype,
    device: torch.device,
) -> Taps:
    """Which cells are read, and with which weights, at the indices ``start + i * step``.

    Args:
        mode: of interpolation.
        count: cells of the axis; beyond them the outermost cell is read.
        places: how many indices.
        start: the first one; a whole number is the centre of a cell.
        step: from one to the next.
        dtype: of the weights.
        device: of both.

    Returns:
        Cells (int64) and weights, ``(T, places)`` each, for ``T`` taps.
    """
    with torch.inference_mode(False):  # what is remembered must serve later gradients, too
        at = start + step * torch.arange(places, dtype=torch.float64, device="cpu")
        if mode == "nearest":
            first, weights = (at + 0.5).floor(), torch.ones_like(at)[None]
        elif mode == "bilinear":
            first = at.floor()
            weights = torch.stack([1.0 - (at - first), at - first])
        else:
            first = at.floor() - 1.0
            away = [(at - first - tap).abs() for tap in range(4)]
            weights = torch.stack([_far(away[0]), _near(away[1]), _near(away[2]), _far(away[3])])
        further = torch.arange(len(weights), dtype=torch.float64, device="cpu")
        cells = (first + further[:, None]).clamp(0, count - 1).long()
        return cells.to(device), weights.to(dtype).to(device)


def _near(distance: Tensor) -> Tensor:
    """Keys' cubic kernel with a = -0.75, as PyTorch's, at distances up to 1."""
    return (1.25 * distance - 2.25) * distance * distance + 1.0


def _far(distance: Tensor) -> Tensor:
    """The same from 1 to 2."""
    return ((-0.75 * distance + 3.75) * distance - 6.0) * distance + 3.0


def resampled(values: Tensor, dim: int, taps: Taps) -> Tensor:
    """Weighted sums of the entries of one axis of ``(h, w)``; no matrix product.

    Products could be rounded to fewer digits by settings of the caller's.
    """
    cells, weights = taps
    weights = weights.unsqueeze(2 - dim)
    result = values.index_select(dim, cells[0]).mul_(weights[0])
    for cell, weight in zip(cells[1:], weights[1:], strict=True):
        result.addcmul_(values.index_select(dim, cell), weight)
    return result
