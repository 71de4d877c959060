"""Colours, textures and blending in integers."""

from __future__ import annotations

import numpy as np

from .scene_random import SplitMix
from .scene_shapes import IntArray

Colour = tuple[int, int, int]


def hsv(hue: int, saturation: int, value: int) -> Colour:
    """Colour of a hue (0 to 1535), saturation and value (0 to 255), each channel 0 to 255."""
    sector, part = divmod(hue % 1536, 256)
    low = value * (255 - saturation) // 255
    rise = value * (255 * 256 - saturation * (256 - part)) // (255 * 256)
    fall = value * (255 * 256 - saturation * part) // (255 * 256)
    return (
        (value, rise, low), (fall, value, low), (low, value, rise),
        (low, fall, value), (rise, low, value), (value, low, fall),
    )[sector]  # fmt: skip


def mix(first: Colour, second: Colour, share: IntArray) -> IntArray:
    """Blend two colours, ``share`` ``(h, w)`` from 0 (first) to 256 (second): ``(h, w, 3)``."""
    start = np.array(first, dtype=np.int32)
    step = np.array(second, dtype=np.int32) - start
    return start + ((step * share[..., None]) >> 8)


def blend(canvas: IntArray, paint: IntArray, cover: IntArray) -> None:
    """Lay ``paint`` over ``canvas`` ``(h, w, 3)`` in place, ``cover`` ``(h, w)`` 0 to 256."""
    canvas += ((paint - canvas) * cover[..., None]) >> 8


def noise(random: SplitMix, height: int, width: int, cell: int) -> IntArray:
    """Smooth value noise from 0 to 255, ``(height, width)``, one lattice value per ``cell`` px."""
    values = random.lattice(height // cell + 2, width // cell + 2)
    for axis, length in ((0, height), (1, width)):
        place = np.arange(length, dtype=np.int32)
        first, part = place // cell, place % cell
        weight = part * part * (3 * cell - 2 * part) * 256 // (cell**3)
        weight = weight[:, None] if axis == 0 else weight[None, :]
        start = np.take(values, first, axis=axis)
        values = start + (((np.take(values, first + 1, axis=axis) - start) * weight) >> 8)
    return values


def clouds(random: SplitMix, height: int, width: int, cell: int) -> IntArray:
    """Three octaves of noise, 0 to 255."""
    coarse = noise(random, height, width, cell)
    middle = noise(random, height, width, max(cell // 2, 1))
    fine = noise(random, height, width, max(cell // 4, 1))
    return (4 * coarse + 2 * middle + fine) // 7


def wave(phase: IntArray, period: int) -> IntArray:
    """A triangle wave from 0 to 256 of the given period."""
    turned = phase % (2 * period)
    return np.abs(turned - period) * 256 // period


def sharpen(level: IntArray, middle: int, gain: int) -> IntArray:
    """Steeper by ``gain`` around ``middle``, clipped to 0 to 256."""
    return np.clip((level - middle) * gain + 128, 0, 256)


def background(random: SplitMix, height: int, width: int) -> IntArray:
    """A quiet textured ground, ``(height, width, 3)``, 0 to 255."""
    kind = random.choice(("clouds", "planks", "weave", "dunes", "tiles"))
    hue = random.between(0, 1535)
    saturation, value = random.between(20, 95), random.between(110, 215)
    dark = hsv(hue, saturation, value - random.between(22, 42))
    light = hsv(hue + random.between(-120, 120), max(saturation - 15, 0), value + 20)
    x = np.arange(width, dtype=np.int32)[None, :]
    y = np.arange(height, dtype=np.int32)[:, None]
    soft = clouds(random, height, width, random.choice((48, 64, 96)))
    if kind == "planks":
        grain = wave(y * 16 + (soft >> 1) + x, random.between(40, 90))
        plank = random.between(30, 56)
        seam = (y % plank < 2).astype(np.int32) * 150
        level = np.clip((grain + 2 * soft) // 3 - seam, 0, 256)
    elif kind == "weave":
        period = random.between(4, 7)
        level = (wave(x, period) + wave(y, period) + 2 * soft) >> 2
    elif kind == "dunes":
        lean = random.between(-12, 12)
        level = (wave(y * 16 + lean * x + soft * 3, random.between(180, 420)) + soft) >> 1
    elif kind == "tiles":
        tile = random.between(26, 52)
        joint = ((x % tile < 2) | (y % tile < 2)).astype(np.int32) * 110
        tone = random.lattice(height // tile + 1, width // tile + 1)
        flat = np.repeat(np.repeat(tone, tile, axis=0), tile, axis=1)[:height, :width]
        level = np.clip((flat + 2 * soft) // 3 - joint, 0, 256)
    else:
        level = np.clip((soft - 128) * 3 // 2 + 128, 0, 256)
    grain = (random.lattice(height, width) >> 5) - 4
    fall = (x * random.between(-24, 24)) // width + (y * random.between(-24, 24)) // height
    return np.clip(mix(dark, light, level) + (grain + fall)[..., None], 0, 255)


def sea(random: SplitMix, height: int, width: int) -> IntArray:
    """A blue ground of waves, ``(height, width, 3)``, 0 to 255; no :func:`background` has it."""
    x = np.arange(width, dtype=np.int32)[None, :]
    y = np.arange(height, dtype=np.int32)[:, None]
    soft = clouds(random, height, width, 48)
    level = wave(y * 16 + soft * 2 + random.between(-6, 6) * x, random.between(90, 140))
    hue, value = random.between(930, 1010), random.between(120, 170)
    paint = mix(hsv(hue, 190, value), hsv(hue - 60, 120, value + 60), level)
    grain = (random.lattice(height, width) >> 5) - 4
    return np.clip(paint + grain[..., None], 0, 255)


def body_pattern(random: SplitMix, u: IntArray, v: IntArray, side: int) -> IntArray:
    """A pattern from 0 to 256 over body coordinates ``u, v`` in sixteenths of a pixel."""
    kind = random.choice(("plain", "stripes", "dots", "checks", "rings", "marble"))
    period = max(side * random.between(10, 20) // 8, 56)
    if kind == "stripes":
        return sharpen(wave(u, period), 128, 4)
    if kind == "dots":
        return sharpen((wave(u, period) + wave(v, period)) >> 1, 176, 5)
    if kind == "checks":
        return sharpen(np.abs(wave(u, period) - 128) - np.abs(wave(v, period) - 128), 0, 4)
    height, width = np.broadcast_shapes(u.shape, v.shape)
    if kind == "rings":
        longer, shorter = np.maximum(np.abs(u), np.abs(v)), np.minimum(np.abs(u), np.abs(v))
        return sharpen(wave(longer + ((3 * shorter) >> 3), period), 128, 3)
    soft = clouds(random, height, width, max(side // 4, 8))
    return soft if kind == "marble" else soft >> 2
