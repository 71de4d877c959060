"""Where things are: layer grid, the model's canvas (resized and padded), image pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ssgc._arguments import shown
from captum_ssgc._autocast import own_precision
from captum_ssgc._exact import exact
from captum_ssgc._resampling import resampled, taps

MODES = ("nearest", "bilinear", "bicubic")


@dataclass(frozen=True)
class CellGrid:
    """Where the cells of a layer's grid lie on the canvas: where each of them looks.

    The centre of cell ``(i, j)`` is ``origin + (i, j) * stride``, in canvas pixels; the centre of
    the first pixel of the canvas is at 0.5.

    Args:
        size: ``(h, w)`` of the grid, in cells.
        stride: ``(y, x)``, canvas pixels from one cell to the next.
        origin: ``(y, x)``, centre of cell ``(0, 0)`` in canvas pixels.

    Raises:
        ValueError: if a size or stride is not positive.

    Example:
        >>> from captum_ssgc import ImageGeometry
        >>> ImageGeometry.identity((64, 96)).cells((2, 3))
        CellGrid(size=(2, 3), stride=(32.0, 32.0), origin=(16.0, 16.0))
    """

    size: tuple[int, int]
    stride: tuple[float, float]
    origin: tuple[float, float]

    def __post_init__(self) -> None:
        if min(*self.size, *self.stride) <= 0:
            raise ValueError(f"CellGrid: size and stride must be positive, got {self}.")


@dataclass(frozen=True)
class ImageGeometry:
    """How one image lies on the canvas that the network sees.

    An image point ``(x, y)`` is at ``(x * scale_x + left, y * scale_y + top)`` on the canvas.

    Args:
        image_size: ``(H, W)`` of the original image, in pixels.
        canvas_size: ``(H, W)`` of the network's input, padding included, in canvas pixels.
        scale: ``(scale_y, scale_x)``, canvas pixels per image pixel.
        offset: ``(top, left)`` of the image content on the canvas, in canvas pixels.
        binary_strides: the network's strides are powers of two although its canvas need not be a
            multiple of them (an unpadded canvas), so that a grid may divide it by chance.
        level_strides: strides that the detector itself states for its levels, in canvas pixels;
            a grid that one of them explains has that stride.

    Raises:
        ValueError: if a size or scale is not positive.

    Example:
        >>> import torch
        >>> from captum_ssgc import ImageGeometry
        >>> geometry = ImageGeometry((300, 410), (320, 448), (320 / 300, 437 / 410))
        >>> geometry.boxes_to_canvas(torch.tensor([[0.0, 0.0, 410.0, 300.0]]))
        tensor([[  0.,   0., 437., 320.]])
        >>> geometry.grid_to_image(torch.rand(1, 1, 10, 14)).shape
        torch.Size([1, 1, 300, 410])
    """

    image_size: tuple[int, int]
    canvas_size: tuple[int, int]
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    binary_strides: bool = False
    level_strides: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if min(*self.image_size, *self.canvas_size, *self.scale) <= 0:
            raise ValueError(f"ImageGeometry: sizes and scales must be positive, got {self}.")

    @classmethod
    def identity(cls, image_size: tuple[int, int]) -> ImageGeometry:
        """The geometry of a network that sees the image as it is."""
        return cls(image_size, image_size)

    def boxes_to_canvas(self, boxes: Tensor) -> Tensor:
        """Boxes ``(..., 4)``, xyxy in image pixels, in canvas pixels."""
        places = exact(boxes)
        scale, offset = self._xyxy(places)
        return (places * scale + offset).to(boxes)

    def boxes_to_image(self, boxes: Tensor) -> Tensor:
        """Boxes ``(..., 4)``, xyxy in canvas pixels, in image pixels (not clipped)."""
        places = exact(boxes)
        scale, offset = self._xyxy(places)
        return ((places - offset) / scale).to(boxes)

    def grid_to_image(
        self, maps: Tensor, mode: str = "bilinear", cells: CellGrid | None = None
    ) -> Tensor:
        """Maps on a layer grid, sampled at the centre of every image pixel.

        The value at an image pixel is read off the grid at the place where that pixel lies on the
        canvas, in one interpolation; padding never enters, and outside the outermost cell centres
        the nearest value is kept. What was cut off the image, so that it does not lie on the
        canvas, has 0.

        Args:
            maps: ``(N, C, h, w)``.
            mode: ``"nearest"``, ``"bilinear"`` or ``"bicubic"``.
            cells: where the cells lie; ``None``: as :meth:`cells` says.

        Returns:
            ``(N, C, H, W)`` at image size.

        Raises:
            ValueError: for another mode or number of dimensions, or cells of another grid.
        """
        if maps.dim() != 4:
            raise ValueError(f"maps: expected (N, C, h, w), got shape {tuple(maps.shape)}.")
        check_mode(mode)
        size = (maps.shape[-2], maps.shape[-1])
        cells = self.cells(size) if cells is None else cells
        if cells.size != size:
            raise ValueError(f"cells: expected those of a grid {size}, got {cells.size}.")
        values = maps if maps.dtype == torch.float64 else maps.float()
        rows, columns = (
            taps(
                mode,
                cells.size[axis],
                self.image_size[axis],
                (self.offset[axis] + 0.5 * self.scale[axis] - cells.origin[axis])
                / cells.stride[axis],
                self.scale[axis] / cells.stride[axis],
                values.dtype,
                maps.device,
            )
            for axis in (0, 1)
        )
        in_image = values.new_empty(*maps.shape[:2], *self.image_size)
        places = product(*map(range, maps.shape[:2]))
        with own_precision(maps.device):
            for place in places:  # one by one: memory is what takes the time
                in_image[place] = resampled(resampled(values[place], 1, columns), 0, rows)
        for axis in (0, 1):
            first, end = self._on_canvas(axis)
            along = in_image.movedim(2 + axis, 0)
            along[:first] = 0
            along[end:] = 0
        return in_image.to(maps.dtype) if maps.is_floating_point() else in_image

    def _on_canvas(self, axis: int) -> tuple[int, int]:
        """Which image pixels lie there, from the first to the one behind the last."""
        offset, scale, size = self.offset[axis], self.scale[axis], self.image_size[axis]
        # By their centres, half a pixel of the canvas being left to rounding.
        first = math.ceil((-0.5 - offset) / scale - 0.5)
        last = math.floor((self.canvas_size[axis] + 0.5 - offset) / scale - 0.5)
        return min(max(first, 0), size), min(max(last + 1, 0), size)

    def cells(self, grid: tuple[int, int]) -> CellGrid:
        """Where cells lie by the size of their grid alone: cell ``i`` at ``(i + 0.5) * stride``.

        That holds for patches that lie side by side. Where a layer of a known network is meant,
        :meth:`captum_ssgc.Detector.cell_grid` knows more.
        """
        height, width = self.strides(grid)
        return CellGrid(grid, (height, width), (height / 2, width / 2))

    def strides(self, grid: tuple[int, int]) -> tuple[float, float]:
        """Canvas pixels per cell, ``(y, x)``.

        Where the grid does not divide the canvas, a convolution has rounded: up, then its last cell
        reaches beyond the canvas, or down, then it ends before. The stride is the power of two that
        explains the grid.
        """
        height, width = (
            self._stated_stride(canvas, cells) or _stride(canvas, cells, self.binary_strides)
            for canvas, cells in zip(self.canvas_size, grid, strict=True)
        )
        return height, width

    def _stated_stride(self, canvas: int, cells: int) -> float | None:
        explains = (one for one in self.level_strides if math.ceil(canvas / one) == cells)
        return next(explains, None)

    def boxes_to_grid(self, boxes: Tensor, grid: CellGrid | tuple[int, int]) -> Tensor:
        """Boxes as binary masks on a layer grid.

        Args:
            boxes: ``(K, 4)`` xyxy in image pixels.
            grid: where the cells lie; with ``(h, w)`` alone, as :meth:`cells` says.

        Returns:
            ``(K, 1, h, w)`` bool: the cells whose centre lies inside the box, at least the cell
            that holds the box's own centre (clamped to the grid).
        """
        canvas = exact(self.boxes_to_canvas(boxes))
        cells = grid if isinstance(grid, CellGrid) else self.cells(grid)
        rows, columns = (
            _inside(
                (canvas[:, 1 - axis] - cells.origin[axis]) / cells.stride[axis],
                (canvas[:, 3 - axis] - cells.origin[axis]) / cells.stride[axis],
                cells.size[axis],
            )
            for axis in (0, 1)
        )
        return (rows[:, :, None] & columns[:, None, :])[:, None].to(boxes.device)

    def mask_to_grid(self, mask: Tensor, grid: CellGrid | tuple[int, int]) -> Tensor:
        """Masks in image pixels as binary masks on a layer grid.

        Args:
            mask: ``(N, C, H, W)`` at image size, non-zero inside.
            grid: where the cells lie; with ``(h, w)`` alone, as :meth:`cells` says.

        Returns:
            ``(N, C, h, w)`` bool: the cells of which at least half is covered, at least the
            best-covered cell of a mask that is not empty. A cell reaches half-way to its
            neighbours, the outermost ones to the edges of the canvas.

        Raises:
            ValueError: if the mask is not at image size.
        """
        if mask.dim() != 4 or tuple(mask.shape[-2:]) != self.image_size:
            raise ValueError(
                f"mask: expected (N, C, {self.image_size[0]}, {self.image_size[1]}), "
                f"got shape {tuple(mask.shape)}."
            )
        cells = grid if isinstance(grid, CellGrid) else self.cells(grid)
        share = self._cell_means(exact(mask != 0), cells)
        best = share.amax(dim=(-2, -1), keepdim=True)
        return ((share >= 0.5) | ((share == best) & (best > 0))).to(mask.device)

    def _cell_means(self, values: Tensor, cells: CellGrid) -> Tensor:
        weights = []
        for axis in (0, 1):
            end, count = float(self.canvas_size[axis]), cells.size[axis]
            between = torch.arange(1, count, device=values.device, dtype=torch.float64)
            between = cells.origin[axis] + (between - 0.5) * cells.stride[axis]
            bounds = F.pad(F.pad(between.clamp(0.0, end), (1, 0), value=0.0), (0, 1), value=end)
            pixels = torch.arange(
                self.image_size[axis] + 1, device=values.device, dtype=torch.float64
            )
            edges = pixels * self.scale[axis] + self.offset[axis]
            overlap = torch.minimum(edges[None, 1:], bounds[1:, None]) - torch.maximum(
                edges[None, :-1], bounds[:-1, None]
            )
            extent = (bounds[1:] - bounds[:-1]).clamp(min=torch.finfo(torch.float64).tiny)
            weights.append(overlap.clamp(min=0.0) / extent[:, None])
        return torch.einsum("hy,ncyx,wx->nchw", weights[0], values, weights[1])

    def _xyxy(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        scale = torch.tensor(
            [self.scale[1], self.scale[0]] * 2, dtype=torch.float64, device=boxes.device
        )
        offset = torch.tensor(
            [self.offset[1], self.offset[0]] * 2, dtype=torch.float64, device=boxes.device
        )
        return scale, offset


def check_mode(mode: object) -> None:
    """Raise ``ValueError`` unless maps can be interpolated so."""
    if not (isinstance(mode, str) and mode in MODES):
        raise ValueError(
            f"interpolate_mode: expected 'nearest', 'bilinear' or 'bicubic', got {shown(mode)}."
        )


def _stride(canvas: int, cells: int, binary: bool) -> float:
    exact = canvas / cells
    if canvas % cells == 0 and not binary:
        return exact
    above = 2.0 ** math.ceil(math.log2(exact))
    below = 2.0 ** math.floor(math.log2(exact))
    if math.ceil(canvas / above) == cells:
        return above
    return below if canvas // below == cells else exact


def _inside(low: Tensor, high: Tensor, count: int) -> Tensor:
    """``(K, count)`` bool: indices in ``[low, high]``, at least the one next to the middle."""
    index = torch.arange(count, device=low.device)
    inside = (index >= low[:, None]) & (index <= high[:, None])
    middle = ((low + high) / 2 + 0.5).floor().clamp(0, count - 1).long()
    return inside | (index[None] == middle[:, None])
