"""Where things are: layer grid, the model's canvas (resized and padded), image pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


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
        scale, offset = self._xyxy(boxes)
        return (boxes.double() * scale + offset).to(boxes.dtype)

    def boxes_to_image(self, boxes: Tensor) -> Tensor:
        """Boxes ``(..., 4)``, xyxy in canvas pixels, in image pixels (not clipped)."""
        scale, offset = self._xyxy(boxes)
        return ((boxes.double() - offset) / scale).to(boxes.dtype)

    def grid_to_image(self, maps: Tensor, mode: str = "bilinear") -> Tensor:
        """Maps on a layer grid, sampled at the centre of every image pixel.

        The value at an image pixel is read off the grid at the place where that pixel lies on the
        canvas, in one interpolation; padding never enters, and outside the outermost cell centres
        the nearest value is kept.

        Args:
            maps: ``(N, C, h, w)`` on a grid that covers the canvas.
            mode: ``"nearest"``, ``"bilinear"`` or ``"bicubic"``.

        Returns:
            ``(N, C, H, W)`` at image size.

        Raises:
            ValueError: for another mode or number of dimensions.
        """
        if maps.dim() != 4:
            raise ValueError(f"maps: expected (N, C, h, w), got shape {tuple(maps.shape)}.")
        if mode not in ("nearest", "bilinear", "bicubic"):
            raise ValueError(
                f"interpolate_mode: expected 'nearest', 'bilinear' or 'bicubic', got {mode!r}."
            )
        strides = self.strides((maps.shape[-2], maps.shape[-1]))
        axes = []
        for axis in (0, 1):
            pixels = torch.arange(self.image_size[axis], device=maps.device, dtype=torch.float64)
            cells = ((pixels + 0.5) * self.scale[axis] + self.offset[axis]) / strides[axis]
            axes.append(2.0 * cells / maps.shape[axis + 2] - 1.0)
        grid = torch.stack(torch.meshgrid(axes[1], axes[0], indexing="xy"), dim=-1).to(maps.dtype)
        grid = grid.expand(maps.shape[0], -1, -1, -1)
        return F.grid_sample(maps, grid, mode=mode, padding_mode="border", align_corners=False)

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

    def boxes_to_grid(self, boxes: Tensor, grid: tuple[int, int]) -> Tensor:
        """Boxes as binary masks on a layer grid.

        Args:
            boxes: ``(K, 4)`` xyxy in image pixels.
            grid: ``(h, w)``.

        Returns:
            ``(K, 1, h, w)`` bool: the cells whose centre lies inside the box, at least the cell
            that holds the box's own centre (clamped to the grid).
        """
        canvas = self.boxes_to_canvas(boxes).double()
        stride_y, stride_x = self.strides(grid)
        rows = _inside(canvas[:, 1] / stride_y, canvas[:, 3] / stride_y, grid[0])
        columns = _inside(canvas[:, 0] / stride_x, canvas[:, 2] / stride_x, grid[1])
        return (rows[:, :, None] & columns[:, None, :])[:, None]

    def mask_to_grid(self, mask: Tensor, grid: tuple[int, int]) -> Tensor:
        """Masks in image pixels as binary masks on a layer grid.

        Args:
            mask: ``(N, C, H, W)`` at image size, non-zero inside.
            grid: ``(h, w)``.

        Returns:
            ``(N, C, h, w)`` bool: the cells of which at least half is covered, at least the
            best-covered cell of a mask that is not empty.

        Raises:
            ValueError: if the mask is not at image size.
        """
        if mask.dim() != 4 or tuple(mask.shape[-2:]) != self.image_size:
            raise ValueError(
                f"mask: expected (N, C, {self.image_size[0]}, {self.image_size[1]}), "
                f"got shape {tuple(mask.shape)}."
            )
        share = self._cell_means((mask != 0).double(), grid)
        best = share.amax(dim=(-2, -1), keepdim=True)
        return (share >= 0.5) | ((share == best) & (best > 0))

    def _cell_means(self, values: Tensor, grid: tuple[int, int]) -> Tensor:
        weights = []
        for axis in (0, 1):
            stride = self.strides(grid)[axis]
            pixels = torch.arange(
                self.image_size[axis] + 1, device=values.device, dtype=torch.float64
            )
            edges = (pixels * self.scale[axis] + self.offset[axis]) / stride
            cells = torch.arange(grid[axis], device=values.device, dtype=torch.float64)
            overlap = torch.minimum(edges[None, 1:], cells[:, None] + 1.0) - torch.maximum(
                edges[None, :-1], cells[:, None]
            )
            weights.append(overlap.clamp(min=0.0))
        return torch.einsum("hy,ncyx,wx->nchw", weights[0], values, weights[1])

    def _xyxy(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        scale = torch.tensor(
            [self.scale[1], self.scale[0]] * 2, dtype=torch.float64, device=boxes.device
        )
        offset = torch.tensor(
            [self.offset[1], self.offset[0]] * 2, dtype=torch.float64, device=boxes.device
        )
        return scale, offset


def _stride(canvas: int, cells: int, binary: bool) -> float:
    exact = canvas / cells
    if canvas % cells == 0 and not binary:
        return exact
    above = 2.0 ** math.ceil(math.log2(exact))
    below = 2.0 ** math.floor(math.log2(exact))
    if math.ceil(canvas / above) == cells:
        return above
    return below if canvas // below == cells else exact


def _inside(low: Tensor, high: Tensor, cells: int) -> Tensor:
    """``(K, cells)`` bool: cell centres in ``[low, high]``, at least the cell of the middle."""
    index = torch.arange(cells, device=low.device)
    centres = index.double() + 0.5
    inside = (centres >= low[:, None]) & (centres <= high[:, None])
    middle = ((low + high) / 2).floor().clamp(0, cells - 1).long()
    return inside | (index[None] == middle[:, None])
