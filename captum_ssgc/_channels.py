"""How many channels the images of a model have."""

from __future__ import annotations

from torch import nn

RGB = 3
_FOLDED = 12  # channels of four pixels each, as YOLOX and YOLOv5 fold an RGB image


def first_channels(model: nn.Module) -> int | None:
    """What the first convolution of a model takes; ``None`` where that does not tell.

    A first layer may fold two by two pixels into one, so that multiples of four from 12 on say
    nothing; the first in order of a model of another kind is deep inside, with such a number.
    """
    convolutions = (module for module in model.modules() if isinstance(module, nn.Conv2d))
    first = next(convolutions, None)
    if first is None or first.in_channels >= 64:
        return None
    folded = first.in_channels >= _FOLDED and first.in_channels % 4 == 0
    return None if folded else first.in_channels


def shape_of(channels: int) -> str:
    """How messages write the shape of images.

    Example:
        >>> shape_of(3), shape_of(1)
        ('(N, 3, H, W), RGB', '(N, 1, H, W)')
    """
    return f"(N, {channels}, H, W)" + (", RGB" if channels == RGB else "")
