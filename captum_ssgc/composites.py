"""Images of any number of channels as something that a reader can see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

Composite = Sequence[int] | Callable[[Any], Any]
"""Which channels are red, green and blue (one for grey), or a function that makes RGB."""

Array = npt.NDArray[np.floating[Any]]


def composite_of(image: Array, composite: Composite | None = None) -> tuple[Array, str]:
    """An image as RGB, and what of it that is.

    Args:
        image: ``(C, H, W)``.
        composite: indices of one channel, drawn grey, or of three, drawn red, green and blue; or a
            function ``(C, H, W)`` to ``(3, H, W)`` or ``(1, H, W)``. ``None``: RGB as it is, the
            first three of more channels, the first of fewer.

    Returns:
        ``(3, H, W)``, and its name; the name is empty for RGB as it is.

    Raises:
        ValueError: for channels that the image does not have, or a function that gives no image.

    Example:
        >>> import numpy as np
        >>> from captum_ssgc.composites import composite_of
        >>> composite_of(np.zeros((4, 2, 2)))[1]
        'channels 0, 1, 2 of 4 as RGB'
        >>> composite_of(np.zeros((4, 2, 2)), [3])[1]
        'channel 3 of 4 as grey'
    """
    chosen, name = _chosen(image.shape[0], composite)
    if callable(composite):
        made = composite(image.copy())  # it may write to what it is given
        made = made.detach().cpu().numpy() if isinstance(made, Tensor) else np.asarray(made)
        if made.ndim != 3 or made.shape[0] not in (1, 3) or made.shape[1:] != image.shape[1:]:
            raise ValueError(
                f"composite: expected a function that gives (3, {image.shape[1]}, "
                f"{image.shape[2]}), got {made.shape}."
            )
        return _rgb(made), name
    if name:
        image = image[chosen]
    return (image if len(image) == 3 else _rgb(image)), name


def composite_name(channels: int, composite: Composite | None = None) -> str:
    """What of images with so many channels a composite shows; empty for RGB as it is.

    Raises:
        ValueError: for channels that such images do not have.

    Example:
        >>> from captum_ssgc.composites import composite_name
        >>> composite_name(4, (3, 1, 0))
        'channels 3, 1, 0 of 4 as RGB'
    """
    return _chosen(channels, composite)[1]


def _chosen(count: int, composite: Composite | None) -> tuple[list[int], str]:
    """The channels that are shown, and their name."""
    if callable(composite):
        return [], getattr(composite, "__name__", "").strip("<>")
    if composite is None and count == 3:
        return [0, 1, 2], ""
    chosen = list(range(3 if count > 3 else 1)) if composite is None else list(composite)
    whole = all(isinstance(one, (int, np.integer)) for one in chosen)
    if len(chosen) not in (1, 3) or not whole or not all(0 <= one < count for one in chosen):
        raise ValueError(
            f"composite: expected one or three channels from 0 to {count - 1}, or a function, got "
            f"{composite!r}."
        )
    if len(chosen) == 1:
        return chosen, "grey" if count == 1 else f"channel {chosen[0]} of {count} as grey"
    return chosen, f"channels {', '.join(map(str, chosen))} of {count} as RGB"


def _rgb(image: Array) -> Array:
    return np.broadcast_to(image, (3, *image.shape[1:]))
