"""What one layer gave for the images: its activations as a grid, and where its cells lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from captum_ssgc._windows import Window, hull, windows_of_rows
from captum_ssgc.attr._maps import WholeGrid
from captum_ssgc.attr._masks import Mask, resolve_mask
from captum_ssgc.detections import Detections
from captum_ssgc.geometry import CellGrid, ImageGeometry

Reshape = Callable[[Tensor], Tensor]


class LayerGrid:
    """A layer's activations ``(N, C, h, w)``, at least in single precision.

    Args:
        tensor: what the layer gave, with or without graph.
        count: of the images.
        name: of the layer.
        advice: what to use instead.
        reshape: brings ``tensor`` to ``(N, C, h, w)``; ``None`` where it is.
        geometry: of the images.
        cells: ``(h, w)`` to where the cells lie.

    Raises:
        ValueError: if it is not of that shape, with one row per image.
    """

    def __init__(
        self,
        tensor: Tensor,
        count: int,
        name: str,
        advice: Callable[[], str],
        reshape: Reshape | None,
        geometry: Callable[[], ImageGeometry],
        cells: Callable[[tuple[int, int]], CellGrid],
    ) -> None:
        self.reshaped = reshape is not None
        self.tensor, self._reshape, self._geometry, self._cells = tensor, reshape, geometry, cells
        grid = self.on_grid(tensor)
        if grid.dim() != 4:
            raise ValueError(
                f"layer {name!r}: expected an output (N, C, h, w), got shape "
                f"{tuple(grid.shape)}; pass reshape_transform, for tokens (N, h * w, C) for "
                "example lambda t: t.transpose(1, 2).unflatten(2, (h, w))."
            )
        if grid.shape[0] != count:
            raise ValueError(
                f"layer {name!r}: expected {count} rows, one per image, got "
                f"{grid.shape[0]} (a layer of a region head has one per region); {advice()}"
            )
        self.activations = grid
        self.size = (grid.shape[-2], grid.shape[-1])
        self._everything = WholeGrid(grid)

    def on_grid(self, tensor: Tensor) -> Tensor:
        """The layer's output, or a gradient of its shape, as ``(N, C, h, w)``, without graph."""
        tensor = tensor.detach()
        if self._reshape is not None:
            tensor = self._reshape(tensor)
        return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor

    @property
    def geometry(self) -> ImageGeometry:
        """Of the images."""
        return self._geometry()

    @cached_property
    def cells(self) -> CellGrid:
        """Where its cells lie on the canvas."""
        return self._cells(self.size)

    def masks(self, mask: Mask, count: int, instances: Detections | None) -> GridMasks:
        """The user's mask for each of ``count`` instances."""
        resolved = None
        if mask is not None:
            resolved = resolve_mask(
                mask, self.activations, count, self.geometry, self.cells, instances
            )
        return GridMasks(self.activations, resolved, self._everything)

    def to_image(self, maps: Tensor, mode: str) -> Tensor:
        """Maps ``(K, C, h, w)`` on this grid in image pixels, ``(K, C, H, W)``."""
        return self.geometry.grid_to_image(maps, mode, self.cells)


class GridMasks:
    """The masks of several instances on one layer's grid.

    Args:
        activations: ``(N, C, h, w)``.
        mask: ``(1|K, 1|C, h, w)``; ``None`` for all cells.
        everything: of the activations without mask.
    """

    def __init__(self, activations: Tensor, mask: Tensor | None, everything: WholeGrid) -> None:
        self._activations, self.mask, self._everything = activations, mask, everything
        self._windows = [] if mask is None else windows_of_rows(mask)
        self._last: tuple[list[int], Tensor | None, WholeGrid] | None = None

    def of(self, rows: Sequence[int]) -> tuple[Tensor | None, WholeGrid]:
        """The masks of some instances, ``(1|R, 1|C, h, w)``, and the sums over them.

        Those that were asked for last are remembered, for the next method.
        """
        if self._last is None or self._last[0] != rows:
            self._last = (list(rows), *self._of(rows))
        return self._last[1:]

    def _of(self, rows: Sequence[int]) -> tuple[Tensor | None, WholeGrid]:
        if self.mask is None:
            return None, self._everything
        some = self.mask
        if len(some) > 1:
            some = torch.cat([some[row : row + 1] for row in rows])
        around = hull([window for row in rows if (window := self.window(row)) is not None])
        inside = around.of(self._activations)
        return some, WholeGrid(inside, around.of(some), self._everything.cells)

    def window(self, row: int) -> Window | None:
        """Where it is not zero; ``None`` without a mask."""
        if self.mask is None:
            return None
        return self._windows[row if len(self._windows) > 1 else 0]

    def of_examples(self) -> tuple[Tensor | None, WholeGrid]:
        """All masks, one per example, and the sums over them."""
        if self.mask is None:
            return None, self._everything
        return self.mask, WholeGrid(self._activations, self.mask)
