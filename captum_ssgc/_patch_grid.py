"""Patches of an image: small where a detection is, larger with the distance to it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from captum_ssgc._exact import has_double, on_host, sent
from captum_ssgc._resampling import resampled

GROWTH = 1.5  # of the side of a patch, from one to the next one away from the box
LEAST = 3.0  # cells, the least side of a patch


class PatchGrid:
    """Rectangles that cover a grid of cells, rows times columns of unequal size.

    As patches grow with the distance, each of them matters about as much as any other, and few
    serve an image of any size.

    Args:
        box: ``x1, y1, x2, y2`` in cells.
        size: ``(h, w)`` cells.
        per_side: patches along each side of the box, fewer where they would be too small.
        device: of the cells.
    """

    def __init__(
        self, box: Sequence[float], size: tuple[int, int], per_side: int, device: torch.device
    ) -> None:
        left, top, right, bottom = box
        self.edges = (
            _edges(top, bottom, size[0], per_side),
            _edges(left, right, size[1], per_side),
        )
        self.shape = (len(self.edges[0]) - 1, len(self.edges[1]) - 1)
        rows, columns = (_repeated(edges) for edges in self.edges)
        self.index = (rows[:, None] * self.shape[1] + columns).to(device)
        heights, widths = (torch.tensor(edges, device="cpu").diff() for edges in self.edges)
        self.areas = (heights[:, None] * widths).flatten().double()

    def __len__(self) -> int:
        return self.shape[0] * self.shape[1]

    def sums(self, maps: Tensor) -> Tensor:
        """Of maps ``(M, h, w)`` over each patch, ``(M, P)`` float64 on the CPU."""
        return sums_of_each([self], [maps])[0]

    def spread(self, values: Tensor) -> Tensor:
        """``(h, w)``: values ``(P,)`` at the middles of the patches, bilinear in between."""
        spread = sent(values.reshape(self.shape), self.index.device)
        for axis, edges in enumerate(self.edges):
            spread = resampled(spread, axis, _between(edges, spread))
        return spread

    def kinship(self) -> Tensor:
        """How much patches are expected to share, ``(P, P)``: 1 for one with itself."""
        rows, columns = (torch.arange(count, device="cpu").double() for count in self.shape)
        near = [torch.exp(-0.5 * (one[:, None] - one) ** 2) for one in (rows, columns)]
        return torch.kron(near[0], near[1])


def sums_of_each(grids: Sequence[PatchGrid], maps: Sequence[Tensor]) -> list[Tensor]:
    """:meth:`PatchGrid.sums` of maps of one device and precision, ``(M, h, w)`` for each grid.

    The host waits for the device once.
    """
    if maps and not has_double(maps[0].device):
        maps = on_host(maps)
    sums = []
    for grid, some in zip(grids, maps, strict=True):
        flat = some.flatten(1).double()
        totals = torch.zeros(len(flat), len(grid), dtype=torch.float64, device=flat.device)
        sums.append(totals.index_add_(1, grid.index.flatten().to(flat.device), flat))
    return on_host(sums)


def _edges(low: float, high: float, count: int, per_side: int) -> list[int]:
    """Where patches begin along one axis, and its end."""
    low = max(0.0, min(low, count - 1.0))
    high = min(float(count), max(high, low + 1.0))
    inside = max(1, min(per_side, int((high - low) // LEAST)))
    step = (high - low) / inside
    places = [low + number * step for number in range(inside + 1)]
    below = [low - one for one in _steps(step, low)]
    above = [high + one for one in _steps(step, count - high)]
    return sorted({0, count, *(round(place) for place in (*below, *places, *above))})


def _steps(step: float, room: float) -> list[float]:
    """Distances from the box at which patches begin."""
    places, place = [], 0.0
    step = max(step, LEAST) * GROWTH
    while room - place > 1.6 * step:
        place += step
        places.append(place)
        step *= GROWTH
    return places


def _repeated(edges: Sequence[int]) -> Tensor:
    """Number of the patch of each cell along one axis."""
    lengths = torch.tensor(edges, device="cpu").diff()
    return torch.arange(len(lengths), device="cpu").repeat_interleave(lengths)


def _between(edges: Sequence[int], like: Tensor) -> tuple[Tensor, Tensor]:
    """The two patches that each cell lies between, and their weights."""
    bounds = torch.tensor(edges, device="cpu").double()
    middles = (bounds[1:] + bounds[:-1]) / 2
    cells = torch.arange(edges[-1], device="cpu") + 0.5
    above = torch.bucketize(cells, middles).clamp(max=len(middles) - 1)
    below = (above - 1).clamp(min=0)
    gap = (middles[above] - middles[below]).clamp(min=1e-9)
    share = ((cells - middles[below]) / gap).clamp(0.0, 1.0)
    weights = torch.stack([1.0 - share, share])
    return torch.stack([below, above]).to(like.device), weights.to(like)
