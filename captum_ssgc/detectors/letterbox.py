"""Resize by one factor and pad to a fixed canvas, differentiably."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from captum_ssgc.geometry import ImageGeometry


@dataclass(frozen=True)
class Letterbox:
    """The preprocessing of the YOLO family, as a differentiable function of the image.

    Args:
        size: ``(H, W)`` of the canvas, in pixels.
        fill: value of the padding, in the image's range [0, 1].
        centred: padding on both sides; otherwise the image lies top left.
        bgr: swap RGB to BGR.
        value_range: the canvas value of white (1 or 255).

    Example:
        >>> import torch
        >>> from captum_ssgc.detectors import Letterbox
        >>> canvas, geometry = Letterbox((32, 32))(torch.rand(1, 3, 20, 40))
        >>> tuple(canvas.shape), geometry.scale
        ((1, 3, 32, 32), (0.8, 0.8))
    """

    size: tuple[int, int]
    fill: float = 114 / 255
    centred: bool = False
    bgr: bool = False
    value_range: float = 1.0

    def __call__(self, images: Tensor) -> tuple[Tensor, ImageGeometry]:
        """Images ``(N, 3, H, W)`` to ``(N, 3, *size)`` and how they lie there."""
        height, width = images.shape[-2:]
        factor = min(self.size[0] / height, self.size[1] / width)
        content = max(int(height * factor), 1), max(int(width * factor), 1)
        resized = images
        if content != (height, width):
            resized = F.interpolate(images, size=content, mode="bilinear", align_corners=False)
        free = self.size[0] - content[0], self.size[1] - content[1]
        top, left = (free[0] // 2, free[1] // 2) if self.centred else (0, 0)
        geometry = ImageGeometry((height, width), self.size, (factor, factor), (top, left))
        # The canvas is as large as all else here together: it is written once, channel by channel.
        padding = images.new_tensor(self.fill) * self.value_range
        canvas = padding.expand(len(images), 3, *self.size).clone()
        inside = canvas[..., top : top + content[0], left : left + content[1]]
        for channel in range(3):
            values = resized[:, 2 - channel if self.bgr else channel]
            inside[:, channel] = values * self.value_range if self.value_range != 1.0 else values
        return canvas, geometry
