"""The part of an image that a panel shows, at the resolution in which it is drawn."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from captum_ssgc._gaussian import gaussian_blur, gaussian_radius
from captum_ssgc.visualization._arrays import Array, Box
from captum_ssgc.visualization._blend import Look, mixed

Bytes = npt.NDArray[np.uint8]

# A box takes up to 1 / _CONTEXT of its panel's sides; without a gain of _WORTHWHILE in scale a
# panel shows the whole image, which is easier to recognise.
_CONTEXT, _WORTHWHILE, _FEWEST_PIXELS = 2.5, 1.5, 24
_SHARPNESS = 2.0  # pixels drawn for one of the screen, as readers enlarge pictures


class View(NamedTuple):
    """A rectangle of whole pixels."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    def of(self, values: Array) -> Array:
        """This part of ``(H, W)`` or ``(H, W, C)``."""
        return values[self.top : self.bottom, self.left : self.right]

    def around(self, values: Array) -> tuple[Array, Array, Array, Array]:
        """The rest of ``(H, W)``: above, below, left and right."""
        rows = values[self.top : self.bottom]
        return (
            values[: self.top],
            values[self.bottom :],
            rows[:, : self.left],
            rows[:, self.right :],
        )


def whole(size: tuple[int, int]) -> View:
    """All of an image of ``(H, W)``."""
    return View(0, 0, size[1], size[0])


def view_of(box: Box, size: tuple[int, int], aspect: float) -> View:
    """What a panel of ``aspect`` shows of an image ``(H, W)``: a small box with its surroundings.

    It is the whole image where there is little to gain from less.
    """
    x1, x2 = (min(max(x, 0.0), float(size[1])) for x in (box[0], box[2]))
    y1, y2 = (min(max(y, 0.0), float(size[0])) for y in (box[1], box[3]))
    longest = max(x2 - x1, (y2 - y1) * aspect, _FEWEST_PIXELS / _CONTEXT) * _CONTEXT
    left, right = _around((x1 + x2) / 2, longest, size[1])
    top, bottom = _around((y1 + y2) / 2, longest / aspect, size[0])
    view = View(left, top, right, bottom)
    gain = max(size[1], size[0] * aspect) / max(view.width, view.height * aspect)
    return view if gain >= _WORTHWHILE else whole(size)


def _around(middle: float, length: float, limit: int) -> tuple[int, int]:
    pixels = min(math.ceil(length), limit)
    first = min(max(round(middle - pixels / 2), 0), limit - pixels)
    return first, first + pixels


class Photo:
    """An image ``(H, W, 3)`` that heat maps are drawn over.

    Args:
        pixels: in [0, 1].
        panels: how many of them are drawn; many are drawn less sharply, to bound the memory.
    """

    def __init__(self, pixels: Array, panels: int = 1) -> None:
        self.pixels = pixels.astype(np.float32)
        self.size = (pixels.shape[0], pixels.shape[1])
        self.sharpness = _SHARPNESS if panels <= 30 else 1.0
        self._kept: tuple[View, tuple[int, int], Array] | None = None

    def plain(self, view: View, size: tuple[float, float]) -> Bytes:
        """``(h, w, 3)`` for a panel of ``size`` pixels, without a heat map."""
        return _bytes(self._shown(view, self._resolution(view, size)))

    def warm(self, view: View, size: tuple[float, float], heat: Array, look: Look) -> Bytes:
        """``(h, w, 3)`` for a panel of ``size`` pixels, under a map ``(H, W)``."""
        resolution = self._resolution(view, size)
        shown = _resized(view.of(heat), resolution, "bilinear")
        if view != whole(self.size):
            # What lies outside keeps its weight: a view without influence stays without colour.
            floor, peak = look.scale(heat)
            if look.maximum is None and np.isfinite(peak):
                around = (part.max(initial=0.0) for part in view.around(heat))
                peak = max(float(shown.max()), *around)
            look = replace(look, floor=floor, maximum=peak if peak > floor else None)
        return _bytes(mixed(self._shown(view, resolution), shown, look))

    def _resolution(self, view: View, size: tuple[float, float]) -> tuple[int, int]:
        scale = min(size[0] / view.height, size[1] / view.width)
        sharp = max(min(scale * self.sharpness, 1.0), scale)
        return (
            max(math.ceil(view.height * sharp), 1),
            max(math.ceil(view.width * sharp), 1),
        )

    def _shown(self, view: View, resolution: tuple[int, int]) -> Array:
        if self._kept is None or self._kept[:2] != (view, resolution):
            pixels = _resized(view.of(self.pixels), resolution, "bicubic").clip(0.0, 1.0)
            self._kept = view, resolution, pixels
        return self._kept[2]


def smoothed(heat: Array, deviation: float) -> Array:
    """``(H, W)`` under a Gaussian whose standard deviation is given in pixels.

    Raises:
        ValueError: if it is negative or not finite.
    """
    if not (math.isfinite(deviation) and deviation >= 0.0):
        raise ValueError(f"smoothing: expected a finite number of pixels >= 0, got {deviation}.")
    if deviation == 0.0:
        return heat
    # Of a Gaussian that is wider than the picture no more than a mean is seen.
    radius = min(gaussian_radius(deviation), 4 * max(heat.shape))
    return gaussian_blur(torch.from_numpy(heat), deviation, radius).numpy()


def _resized(values: Array, size: tuple[int, int], mode: str) -> Array:
    """``(H, W)`` or ``(H, W, C)`` at ``size``; averaged where there are fewer pixels."""
    if values.shape[:2] == size:
        return values
    channels: Tensor = torch.from_numpy(values.reshape(*values.shape[:2], -1)).movedim(-1, 0)[None]
    resized = interpolate(channels, size, mode=mode, align_corners=False, antialias=True)[0]
    return resized.movedim(0, -1).numpy().reshape(*size, *values.shape[2:])


def _bytes(colors: Array) -> Bytes:
    return (255.0 * colors).round().astype(np.uint8)
