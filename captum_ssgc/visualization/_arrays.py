"""Tensors and arrays from users as the arrays that matplotlib draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from captum_ssgc._explained import Explained
from captum_ssgc.composites import Composite, composite_of

MOST_CHANNELS = 64  # more are rather pixels whose channels come last
Array = npt.NDArray[np.floating[Any]]
Box = tuple[float, float, float, float]


def named_image(image: Any, composite: Composite | None = None) -> tuple[Array, str]:
    """An image of any channels in [0, 1] as RGB ``(H, W, 3)``, and what of it that is."""
    pixels = as_array(image)
    if pixels.ndim == 4 and pixels.shape[0] == 1:
        pixels = pixels[0]
    if pixels.ndim != 3 or pixels.shape[0] > MOST_CHANNELS or 0 in pixels.shape:
        raise ValueError(
            f"image: expected shape (3, H, W) or (1, 3, H, W), RGB, got {pixels.shape}."
        )
    pixels, name = composite_of(pixels, composite)
    if not np.isfinite(pixels).all() or pixels.min() < 0.0 or pixels.max() > 1.0:
        raise ValueError(
            "image: expected finite values in [0, 1], got "
            f"[{pixels.min():.4g}, {pixels.max():.4g}]; pass the image before normalisation."
        )
    return pixels.transpose(1, 2, 0), name


def image_array(image: Any, composite: Composite | None = None) -> Array:
    """An image of any channels in [0, 1] as RGB ``(H, W, 3)``."""
    return named_image(image, composite)[0]


def heat_array(heat_map: Any, size: tuple[int, int]) -> Array:
    """A heat map ``(H, W)``, leading axes of length 1 allowed, as ``(H, W)``."""
    values = as_array(heat_map)
    if tuple(values.shape[-2:]) != size or values.size != size[0] * size[1]:
        raise ValueError(
            f"heat map: expected shape {size}, as the image, got {values.shape}; attributions on "
            "a layer's grid need interpolate_mode='bilinear' first."
        )
    if not (np.isfinite(values.min()) and np.isfinite(values.max())):
        raise ValueError("heat map: expected finite values, got NaN or infinity.")
    return values.reshape(size)


def box_array(box: Any) -> Box:
    """A box ``(4,)`` as ``x1, y1, x2, y2``."""
    corners = as_array(box).reshape(-1)
    if corners.size != 4 or not np.isfinite(corners).all():
        raise ValueError(f"box: expected four finite numbers x1, y1, x2, y2, got {box!r}.")
    x1, y1, x2, y2 = (float(corner) for corner in corners)
    return x1, y1, x2, y2


def corners_array(corners: Any) -> Array | None:
    """The corners of an oriented box as ``(4, 2)``; ``None`` for none."""
    if corners is None:
        return None
    points = as_array(corners)
    if points.shape != (4, 2) or not np.isfinite(points).all():
        raise ValueError(f"corners: expected finite numbers (4, 2), got {corners!r}.")
    return points


def mask_array(mask: Any, size: tuple[int, int]) -> npt.NDArray[np.bool_] | None:
    """A mask ``(H, W)`` as bool, at least one half of a soft one; ``None`` for none."""
    if mask is None:
        return None
    values = as_array(mask)
    if values.shape != size:
        raise ValueError(f"mask: expected shape {size}, as the image, got {values.shape}.")
    inside: npt.NDArray[np.bool_] = values >= 0.5
    return inside


def one_by_one(explanations: Sequence[Explained]) -> list[Explained]:
    """The explanations as a list.

    Raises:
        ValueError: if there is none.
    """
    listed = list(explanations)
    if not listed:
        raise ValueError("explanations: expected at least one, got none.")
    return listed


def as_array(values: Any) -> Array:
    """A tensor or anything that NumPy takes, on the CPU: as it is in single precision, else double.

    Copies of large maps would be most of the memory that a picture of many needs.
    """
    if isinstance(values, Tensor):
        as_it_is = values.dtype in (torch.float32, torch.float64)
        values = values.detach().cpu()
        values = (values if as_it_is else values.double()).numpy()
    array = np.asarray(values)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
