"""A heat map over an image, as pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np

from captum_ssgc._map_floor import map_floor
from captum_ssgc.visualization._arrays import Array, heat_array, image_array

COLOR_MAP = "inferno"
STRENGTH = 0.85
MUTE = 0.6
# The darkest eighth of the colour map is left out: on dark objects it cannot be told from them.
DARKEST = 0.125
_GROWTH = 0.6
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


@dataclass(frozen=True)
class Look:
    """How heat maps are coloured; see :func:`blend`."""

    color_map: str = COLOR_MAP
    strength: float = STRENGTH
    mute: float = MUTE
    maximum: float | None = None
    floor: float | None = 0.0

    def __post_init__(self) -> None:
        for name, share in (("strength", self.strength), ("mute", self.mute)):
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"{name}: expected a value in [0, 1], got {share}.")
        if self.maximum is not None and not self.maximum > 0.0:
            raise ValueError(f"maximum: expected a positive number or None, got {self.maximum}.")
        if self.floor is not None and not 0.0 <= self.floor < (self.maximum or np.inf):
            raise ValueError(
                "floor: expected a number from 0 to below the maximum, or None for the map's "
                f"lowest value, got {self.floor}."
            )

    def scale(self, heat: Array) -> tuple[float, float]:
        """What is drawn as nothing, and what in the last colour, of a map ``(H, W)``."""
        peak = float(heat.max()) if self.maximum is None else self.maximum
        floor = map_floor(heat) if self.floor is None else self.floor
        # A map that is nowhere above its floor has no colour, and no scale either.
        return floor, peak if peak > floor else np.inf


def mixed(pixels: Array, heat: Array, look: Look) -> Array:
    """:func:`blend` for arrays ``(H, W, 3)`` and ``(H, W)``."""
    floor, peak = look.scale(heat)
    intensity = ((heat - floor) / (peak - floor)).clip(0.0, 1.0)
    grey = (pixels @ _LUMINANCE)[..., None]
    backdrop = (1.0 - look.mute) * pixels + look.mute * grey
    steps = matplotlib.colormaps[look.color_map](np.linspace(DARKEST, 1.0, 256))[:, :3]
    colors = steps[(255 * intensity).round().astype(np.uint8)]
    opacity = look.strength * intensity[..., None] ** _GROWTH
    result: Array = ((1.0 - opacity) * backdrop + opacity * colors).clip(0.0, 1.0)
    return result


def blend(
    image: Any,
    heat_map: Any,
    *,
    color_map: str = COLOR_MAP,
    strength: float = STRENGTH,
    mute: float = MUTE,
    maximum: float | None = None,
    floor: float | None = 0.0,
) -> Array:
    r"""Mix a heat map into an image.

    With the heat map :math:`L`, its colour :math:`c` and the image :math:`I`,

    .. math::
        a = \text{strength} \cdot
        \left(\frac{\max(L - \text{floor}, 0)}{\text{maximum} - \text{floor}}\right)^{0.6}, \qquad
        \text{result} = (1 - a) I + a c,

    so that pixels without influence show the image alone and the object stays visible below the
    strongest ones.

    Args:
        image: ``(3, H, W)`` or ``(1, 3, H, W)``, RGB in [0, 1].
        heat_map: ``(H, W)`` at image size; negative values count as zero.
        color_map: name of a matplotlib colour map; the default is perceptually uniform and keeps
            its order for colour-blind readers and in grey.
        strength: opacity of the strongest pixel, in [0, 1].
        mute: how much of the image's own colour is taken out, in [0, 1], so that colour means
            influence.
        maximum: the value drawn in the last colour; ``None`` for the map's own maximum.
        floor: the value up to which nothing is drawn; ``None`` for the map's lowest value. Where
            even that is above a fifth of the highest, as in D-RISE's maps, values scatter around
            their median, and the floor is as far above it as the lowest is below it.

    Returns:
        ``(H, W, 3)`` in [0, 1].

    Raises:
        ValueError: for a wrong shape, range or option.

    Example:
        >>> import torch
        >>> from captum_ssgc.visualization import blend
        >>> grey = torch.full((3, 4, 4), 0.5)
        >>> bool((blend(grey, torch.zeros(4, 4)) == 0.5).all())
        True
    """
    look = Look(color_map, strength, mute, maximum, floor)
    pixels = image_array(image).astype(np.float64)
    heat = heat_array(heat_map, (pixels.shape[0], pixels.shape[1])).astype(np.float64)
    return mixed(pixels, heat, look)
