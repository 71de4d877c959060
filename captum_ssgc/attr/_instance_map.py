"""The map of one detection, on the grids of the layers that it was made at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from captum_ssgc.geometry import CellGrid, ImageGeometry


@dataclass(frozen=True, eq=False)
class InstanceMap:
    """A map that can be brought to image pixels, a thousand times larger, when it is needed.

    Args:
        grids: the map at each layer, ``(1, 1, h, w)``, and where that layer's cells lie.
        geometry: of the image.
    """

    grids: tuple[tuple[Tensor, CellGrid], ...]
    geometry: ImageGeometry

    def in_image_pixels(self) -> Tensor:
        """``(H, W)``, several layers joined by their maximum."""
        with torch.inference_mode(False), torch.no_grad():
            heat_map = None
            for maps, cells in self.grids:
                one = self.geometry.grid_to_image(maps, "bilinear", cells)[0, 0]
                heat_map = one if heat_map is None else torch.maximum(heat_map, one)
        if heat_map is None:
            raise ValueError("the map lies at no layer.")
        return heat_map
