"""Resize, pad and scale an image to a network's input, differentiably."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ssgc.geometry import ImageGeometry


@dataclass(frozen=True)
class Letterbox:
    """From an image to the canvas that a network sees, as a differentiable function.

    Args:
        size: ``(H, W)`` of the canvas in pixels, an int for a square; ``None``: the image keeps
            its size (then say ``multiple``).
        fill: colour of the padding, in the image's range [0, 1]: a number or one per channel (RGB).
        centred: padding on both sides; otherwise the image lies top left.
        bgr: swap RGB to BGR.
        value_range: the canvas value of white (1 or 255), before ``mean`` and ``std``.
        stretch: fill ``size`` without padding, each axis by a factor of its own.
        multiple: pad only until both sides are multiples of it, instead of to the whole ``size``.
        mean: subtracted from the canvas, a number or one per channel (RGB), in units of
            ``value_range``.
        std: the canvas is divided by it, likewise.
        nearest: round the resized sides to the nearest pixel, as Ultralytics does, instead of
            down.

    Raises:
        ValueError: for sizes that are not positive, or options that exclude one another.

    Example:
        >>> import torch
        >>> from captum_ssgc.detectors import Letterbox
        >>> canvas, geometry = Letterbox((32, 32))(torch.rand(1, 3, 20, 40))
        >>> tuple(canvas.shape), geometry.scale
        ((1, 3, 32, 32), (0.8, 0.8))
        >>> canvas, geometry = Letterbox(None, multiple=32, fill=0)(torch.rand(1, 3, 20, 40))
        >>> tuple(canvas.shape), geometry.scale
        ((1, 3, 32, 64), (1.0, 1.0))
    """

    size: tuple[int, int] | int | None
    fill: float | Sequence[float] = 114 / 255
    centred: bool = False
    bgr: bool = False
    value_range: float = 1.0
    stretch: bool = False
    multiple: int | None = None
    mean: float | Sequence[float] = 0.0
    std: float | Sequence[float] = 1.0
    nearest: bool = False

    def __post_init__(self) -> None:
        sides = (self.size,) if isinstance(self.size, int) else self.size or ()
        if min((*sides, self.multiple or 1)) < 1:
            raise ValueError(f"size, multiple: expected positive numbers, got {self!r}.")
        if self.size is None and (self.multiple is None or self.stretch):
            raise ValueError("size: expected (H, W), or None together with multiple, not stretch.")
        if self.stretch and self.multiple is not None:
            raise ValueError("stretch fills the whole size: leave multiple out.")

    def __str__(self) -> str:
        """For readers: ``320 x 320, centred, RGB 0 to 1``, heights first."""
        if self.size is None:
            size = f"padded to multiples of {self.multiple}"
        else:
            size = " x ".join(
                map(str, (self.size,) * 2 if isinstance(self.size, int) else self.size)
            )
        place = "stretched" if self.stretch else "centred" if self.centred else "top left"
        words = [size, place, f"{'BGR' if self.bgr else 'RGB'} 0 to {self.value_range:g}"]
        if (self.mean, self.std) != (0.0, 1.0):
            words.append(f"mean {self.mean}, std {self.std}")
        return ", ".join(words)

    def __call__(self, images: Tensor) -> tuple[Tensor, ImageGeometry]:
        """Images ``(N, C, H, W)`` to the canvas ``(N, C, h, w)`` and how they lie there."""
        image_size = (images.shape[-2], images.shape[-1])
        content, canvas_size = self._sizes(image_size)
        free = canvas_size[0] - content[0], canvas_size[1] - content[1]
        top, left = (free[0] // 2, free[1] // 2) if self.centred else (0, 0)
        # On a CPU one by one: 16 images together leave its cache, and take three times as long.
        alone = images.device.type == "cpu" and not (images.requires_grad and any(free))
        parts = list(images.split(1)) if alone else [images]
        ready = [self._values(_resized(part, content)) for part in parts]
        if any(free):
            fill = self._values(_per_channel(self.fill, images)[None])
            canvas = fill.repeat(len(images), 1, *canvas_size)
            for place, part in enumerate(ready):
                batch_slice = slice(place, place + 1) if alone else slice(None)
                canvas[batch_slice, :, top : top + content[0], left : left + content[1]] = part
        else:
            canvas = torch.cat(ready)  # memory of its own: networks may write to it
        scale = (content[0] / image_size[0], content[1] / image_size[1])
        geometry = ImageGeometry(image_size, canvas_size, scale, (top, left))
        return canvas, geometry

    def _values(self, images: Tensor) -> Tensor:
        """In the order of channels and the range that the network takes."""
        if self.value_range != 1.0:
            images = images * self.value_range
        if self.mean != 0.0 or self.std != 1.0:
            images = (images - _per_channel(self.mean, images)) / _per_channel(self.std, images)
        return images.flip(1) if self.bgr else images

    def _sizes(self, image_size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        """``(h, w)`` of the resized image and of the canvas."""
        size = (self.size, self.size) if isinstance(self.size, int) else self.size
        content = image_size
        if size is not None and self.stretch:
            return size, size
        if size is not None:
            factor = min(size[0] / image_size[0], size[1] / image_size[1])
            integer = round if self.nearest else int
            height, width = (max(integer(side * factor), 1) for side in image_size)
            content = height, width
        if self.multiple is not None:
            height, width = (-(-side // self.multiple) * self.multiple for side in content)
            return content, (height, width)
        return content, size or content


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    if (images.shape[-2], images.shape[-1]) == size:
        return images
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False)


def _per_channel(value: float | Sequence[float], images: Tensor) -> Tensor:
    """A number for all channels, or one for each, to be broadcast with ``images``."""
    if isinstance(value, (int, float)):
        return images.new_full((images.shape[1], 1, 1), value)  # sends nothing to a device
    tensor = images.new_tensor(value)
    if tensor.dim() and len(tensor) != images.shape[1]:
        raise ValueError(
            f"fill, mean, std: expected one number, or {images.shape[1]} (one per channel), "
            f"got {len(tensor)}."
        )
    return tensor.reshape(-1, 1, 1).expand(images.shape[1], 1, 1)
