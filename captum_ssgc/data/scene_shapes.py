"""Outlines and glyphs as integer functions, positive inside, and their anti-aliased coverage.

Coordinates are normalised: a shape of half extent ``a`` spans about -1024 to 1024.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int32]
Shape = Callable[[IntArray, IntArray], IntArray]

UNIT = 1024

# 1024 * (cos, sin) of 0, 7.5, ..., 82.5 degrees, rounded once and for all.
ROTATIONS: tuple[tuple[int, int], ...] = (
    (1024, 0), (1015, 134), (989, 265), (946, 392), (887, 512), (812, 623),
    (724, 724), (623, 812), (512, 887), (392, 946), (265, 989), (134, 1015),
)  # fmt: skip


def _ellipse(u: IntArray, v: IntArray) -> IntArray:
    return UNIT * UNIT - u * u - v * v


def _squircle(u: IntArray, v: IntArray) -> IntArray:
    p, q = (u * u) >> 10, (v * v) >> 10
    return UNIT * UNIT - p * p - q * q


def _rounded_box(u: IntArray, v: IntArray) -> IntArray:
    radius = 384
    du = np.maximum(np.abs(u) - (UNIT - radius), 0)
    dv = np.maximum(np.abs(v) - (UNIT - radius), 0)
    return radius * radius - du * du - dv * dv


def _hexagon(u: IntArray, v: IntArray) -> IntArray:
    slanted = (887 * np.abs(u) + 512 * np.abs(v)) >> 10
    return (887 - np.maximum(np.abs(v), slanted)) * UNIT


def _octagon(u: IntArray, v: IntArray) -> IntArray:
    p, q = np.abs(u), np.abs(v)
    return (UNIT - np.maximum(np.maximum(p, q), ((p + q) * 724) >> 10)) * UNIT


def _egg(u: IntArray, v: IntArray) -> IntArray:
    wide = (u * (1170 + (v >> 2))) >> 10
    return UNIT * UNIT - wide * wide - v * v


def _flower(u: IntArray, v: IntArray) -> IntArray:
    p, q = (u * u) >> 10, (v * v) >> 10
    return (860 - p - q + (p * q) // (p + q + 1)) * UNIT


def _rhombus(u: IntArray, v: IntArray) -> IntArray:
    p, q = np.abs(u), np.abs(v)
    return (1150 - p - q - ((p * q) >> 11)) * UNIT


BODIES: tuple[Shape, ...] = (
    _ellipse, _squircle, _rounded_box, _hexagon, _octagon, _egg, _flower, _rhombus,
)  # fmt: skip


def _spot(u: IntArray, v: IntArray) -> IntArray:
    return 860 * 860 - u * u - v * v


def _plus(u: IntArray, v: IntArray) -> IntArray:
    p, q = np.abs(u), np.abs(v)
    return (np.maximum(np.minimum(960 - p, 340 - q), np.minimum(340 - p, 960 - q))) * UNIT


def _wedge(u: IntArray, v: IntArray) -> IntArray:
    return np.minimum(720 - v, 500 + (v >> 1) - np.abs(u)) * UNIT


def _gem(u: IntArray, v: IntArray) -> IntArray:
    return (1000 - (np.abs(u) * 5 >> 2) - np.abs(v)) * UNIT


def _ring(u: IntArray, v: IntArray) -> IntArray:
    radius = u * u + v * v
    return np.minimum(960 * 960 - radius, radius - 540 * 540)


def _bars(u: IntArray, v: IntArray) -> IntArray:
    return np.minimum(820 - np.abs(v), 280 - np.abs(np.abs(u) - 500)) * UNIT


GLYPHS: tuple[Shape, ...] = (_spot, _plus, _wedge, _gem, _ring, _bars)


def grid(height: int, width: int) -> tuple[IntArray, IntArray]:
    """Pixel centres from the middle, in sixteenths of a pixel: x ``(1, w)``, y ``(h, 1)``."""
    x = (2 * np.arange(width, dtype=np.int32) + 1 - width) * 8
    y = (2 * np.arange(height, dtype=np.int32) + 1 - height) * 8
    return x[None, :], y[:, None]


def distance(inside: IntArray) -> IntArray:
    """Distance to the outline in 1/256 pixel, positive inside, good to a few pixels from it."""
    padded = np.pad(inside, 1, mode="edge")
    du = np.abs(padded[1:-1, 2:] - padded[1:-1, :-2])
    dv = np.abs(padded[2:, 1:-1] - padded[:-2, 1:-1])
    slope = (np.maximum(du, dv) + ((3 * np.minimum(du, dv)) >> 3)) >> 1
    return np.clip(inside, -(1 << 22), 1 << 22) * 256 // np.maximum(slope, 1)


def coverage(depth: IntArray, inset: int = 0) -> IntArray:
    """Share of each pixel, 0 to 256, that lies at least ``inset`` (1/256 pixel) inside."""
    return np.clip(depth + (128 - inset), 0, 256)
