"""Bodies and emblems: small painted cut-outs, ready to be laid on a scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .scene_paint import Colour, blend, body_pattern, hsv, mix
from .scene_random import SplitMix
from .scene_shapes import (
    BODIES,
    GLYPHS,
    ROTATIONS,
    UNIT,
    IntArray,
    coverage,
    distance,
    grid,
)

CLASS_NAMES: tuple[str, ...] = ("background", "spot", "plus", "wedge", "gem", "ring", "bars")

SMALLEST_BODY = 24
SMALLEST_EMBLEM = 13

_PLATE: Colour = (250, 246, 236)
_RIM: Colour = (44, 38, 46)
_INKS: tuple[Colour, ...] = (
    (216, 44, 40), (36, 84, 214), (24, 140, 62), (240, 150, 0), (150, 44, 176), (44, 44, 52),
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A cut-out: ``paint`` (h, w, 3) 0 to 255, ``cover`` (h, w) 0 to 256, ``mask`` (h, w) bool."""

    paint: IntArray
    cover: IntArray

    @property
    def mask(self) -> NDArray[np.bool_]:
        return self.cover >= 128


def draw_body(random: SplitMix, width: int, height: int, largest: int) -> Part:
    """A body of about ``width`` by ``height`` px, each side 24 to ``largest`` px."""
    while True:
        part = _body(random, width, height)
        if all(SMALLEST_BODY <= side <= largest for side in part.cover.shape):
            return part
        grow = min(part.cover.shape) < SMALLEST_BODY
        width, height = (side + 3 if grow else side * 15 // 16 for side in (width, height))


def _body(random: SplitMix, width: int, height: int) -> Part:
    cos, sin = random.choice(ROTATIONS)
    shape = random.choice(BODIES)
    reach = (width + height) * 3 // 4
    x, y = grid(reach, reach)
    u, v = (cos * x + sin * y) >> 10, (cos * y - sin * x) >> 10
    half_u, half_v = width * 8 * UNIT // (cos + sin), height * 8 * UNIT // (cos + sin)
    limit = 2 * UNIT
    inside = shape(
        np.clip(u * UNIT // half_u, -limit, limit), np.clip(v * UNIT // half_v, -limit, limit)
    )
    depth = distance(inside)
    rows, columns = _extent(coverage(depth) >= 128)
    depth, u, v = depth[rows, columns], u[rows, columns], v[rows, columns]

    side = min(depth.shape)
    hue, saturation = random.between(0, 1535), random.between(70, 190)
    value = random.between(130, 232)
    ground = hsv(hue, saturation, value)
    figure = hsv(hue + random.between(-90, 90), saturation * 3 // 4, value * 13 // 16)
    paint = mix(ground, figure, body_pattern(random, u, v, side))
    light = 256 - ((x[:, columns] + y[rows]) * 3) // side
    paint = np.clip((paint * light[..., None]) >> 8, 0, 255)
    outline = mix(hsv(hue, saturation, value * 3 // 8), ground, np.zeros_like(depth))
    blend(paint, outline, 256 - coverage(depth, 320 + side * 4))
    return Part(paint, coverage(depth))


def draw_emblem(label: int, diameter: int) -> Part:
    """The emblem of class ``label``: a light plate with a dark rim and a coloured glyph."""
    x, y = grid(diameter, diameter)
    radius = diameter * 8
    u, v = np.broadcast_arrays(x * UNIT // radius, y * UNIT // radius)
    depth = distance(UNIT * UNIT - u * u - v * v)
    plate = coverage(depth, 256 + diameter * 8)
    paint = mix(_RIM, _PLATE, plate)
    glyph = distance(GLYPHS[label - 1](u * 150 // 100, v * 150 // 100))
    ink = np.array(_INKS[label - 1], dtype=np.int32)
    blend(paint, np.broadcast_to(ink, paint.shape), coverage(glyph))
    return Part(paint, coverage(depth))


def place_emblem(random: SplitMix, body: Part, diameter: int) -> tuple[int, int] | None:
    """Top and left, within the body, of an emblem that lies inside it; None where none fits."""
    height, width = body.cover.shape
    inner = body.cover == 256
    disc = draw_emblem(1, diameter + 4).mask
    for trial in range(12):
        spread = 12 - trial
        top = (height - diameter) // 2
        top += random.between(-height, height) * spread // 40
        left = (width - diameter) // 2 + random.between(-width, width) * spread // 40
        if min(top, left) < 2 or top + diameter + 2 > height or left + diameter + 2 > width:
            continue
        window = inner[top - 2 : top + diameter + 2, left - 2 : left + diameter + 2]
        if window[disc].all():
            return top, left
    return None


def _extent(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
