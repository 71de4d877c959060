"""A heat map over an image, as pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np

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

    def __post_init__(self) -> None:
        for name, share in (("strength", self.strength), ("mute", self.mute)):
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"{name}: expected a value in [0, 1], got {share}.")
        if self.maximum is not None and not self.maximum > 0.0:
            raise ValueError(f"maximum: expected a positive number or None, got {self.maximum}.")


def mixed(pixels: Array, heat: Array, look: Look) -> Array:
    """:func:`blend` for arrays ``(H, W, 3)`` and ``(H, W)``."""
    heat = heat.clip(min=0.0)
    peak = float(heat.max()) if look.maximum is None else look.maximum
    intensity: Array = np.zeros_like(heat) if peak == 0.0 else (heat / peak).clip(max=1.0)
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
) -> Array:
    r"""Mix a heat map into an image.

    With the heat map :math:`L`, its colour :math:`c` and the image :math:`I`,

    .. math::
        a = \text{strength} \cdot (\max(L, 0) / \text{maximum})^{0.6}, \qquad
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
    look = Look(color_map, strength, mute, maximum)
    pixels = image_array(image)
    return mixed(pixels, heat_array(heat_map, (pixels.shape[0], pixels.shape[1])), look)
