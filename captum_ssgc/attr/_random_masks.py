"""Smooth random masks: a coarse grid of zeros and ones, upsampled and shifted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ssgc._arguments import check_number, shown


@dataclass(frozen=True)
class MaskShape:
    """How masks are made, after Petsiuk et al., BMVC 2018 (RISE).

    Args:
        size: ``(H, W)`` of the masks, in pixels.
        grid: ``(h, w)`` cells of the coarse grid.
        probability: that a cell is 1 (visible).

    Raises:
        ValueError: for a grid without cells or a probability outside (0, 1].
    """

    size: tuple[int, int]
    grid: tuple[int, int]
    probability: float

    def __post_init__(self) -> None:
        pair = isinstance(self.grid, (tuple, list)) and len(self.grid) == 2
        if not pair or not all(isinstance(side, Integral) and side >= 1 for side in self.grid):
            raise ValueError(
                f"grid: expected two numbers of cells (h, w) >= 1, got {shown(self.grid)}."
            )
        check_number("probability", self.probability)
        if not 0.0 < self.probability <= 1.0:
            raise ValueError(f"probability: expected a value in (0, 1], got {self.probability}.")

    @property
    def cell(self) -> tuple[int, int]:
        """``(height, width)`` of a cell in pixels, rounded up: what a mask may be shifted by."""
        return math.ceil(self.size[0] / self.grid[0]), math.ceil(self.size[1] / self.grid[1])

    def draw(self, count: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Random cells and shifts, drawn mask by mask: the same however they are grouped.

        Args:
            count: number of masks.
            generator: of the random numbers; ``None`` for torch's default one.

        Returns:
            Cells ``(count, 1, h, w)`` of 0 and 1, and shifts ``(count, 2)`` in pixels, from 0 to
            below :attr:`cell`.
        """
        device = torch.device("cpu") if generator is None else generator.device
        cells, shifts = [], []
        for _ in range(count):
            cells.append(
                torch.rand(self.grid, generator=generator, device=device, dtype=torch.float32)
            )
            shifts += [
                torch.randint(reach, (), generator=generator, device=device) for reach in self.cell
            ]
        visible = (torch.stack(cells)[:, None] < self.probability).float()
        return visible, torch.stack(shifts).reshape(count, 2)

    def upsample(self, cells: Tensor, shifts: Tensor) -> Tensor:
        """Masks from cells and shifts.

        The grid is stretched bilinearly to one cell more than the image, and cropped at the shift.

        Args:
            cells: ``(P, 1, h, w)``.
            shifts: ``(P, 2)``, top and left of the crop.

        Returns:
            ``(P, 1, H, W)`` in [0, 1].
        """
        stretched = (self.grid[0] + 1) * self.cell[0], (self.grid[1] + 1) * self.cell[1]
        smooth = F.interpolate(cells, size=stretched, mode="bilinear", align_corners=False)
        height, width = self.size
        return torch.stack(
            [
                mask[:, top : top + height, left : left + width]
                for mask, (top, left) in zip(smooth, shifts.tolist(), strict=True)
            ]
        )
