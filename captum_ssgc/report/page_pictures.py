"""Photos and maps as the small pictures that travel within a page."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from captum_ssgc._map_floor import map_floor
from captum_ssgc.composites import Composite, composite_of

Array = npt.NDArray[np.floating[Any]]

_LONGEST_PHOTO, _PHOTO_QUALITY = 1600, 86
_LONGEST_MAP = 72
_FAINTEST = 1 / 255
_MOST_CHANNELS = 64  # more are rather pixels whose channels come last


def grey_map(values: Any, size: tuple[int, int], name: str) -> dict[str, Any]:
    """The part of a map that shows anything, as a small grey picture, and where it lies."""
    heat = array_of(values)
    heat = heat.reshape(heat.shape[-2:]) if heat.size and heat.size == _area(heat) else heat
    if heat.ndim != 2 or heat.size == 0 or not np.isfinite(heat).all():
        raise ValueError(
            f"{name}: expected maps of finite values (h, w), got shape {heat.shape}"
            f"{' with NaN or infinity' if heat.ndim == 2 and heat.size else ''}."
        )
    floor, peak = map_floor(heat), float(heat.max())
    if peak <= floor:
        return {"grey": None}
    shares = ((heat - floor) / (peak - floor)).clip(0.0, 1.0).astype(np.float32)
    rows, columns = (np.flatnonzero((shares > _FAINTEST).any(axis)) for axis in (1, 0))
    # One cell more on each side: without it the page would stretch the last value to the edge.
    top, bottom = max(int(rows[0]) - 1, 0), min(int(rows[-1]) + 2, heat.shape[0])
    left, right = max(int(columns[0]) - 1, 0), min(int(columns[-1]) + 2, heat.shape[1])
    step = size[1] / heat.shape[1], size[0] / heat.shape[0]
    part = _reduced(shares[top:bottom, left:right])
    place = [left * step[0], top * step[1], right * step[0], bottom * step[1]]
    return {"grey": _png(part), "place": [round(edge, 2) for edge in place]}


def _area(heat: Array) -> int:
    return int(np.prod(heat.shape[-2:])) if heat.ndim >= 2 else 0


def _reduced(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    longest = max(values.shape)
    if longest <= _LONGEST_MAP:
        return values
    size = [max(round(side * _LONGEST_MAP / longest), 1) for side in values.shape]
    smaller = interpolate(
        torch.from_numpy(values)[None, None], size, mode="bilinear", antialias=True
    )[0, 0].numpy()
    # Averaging lowers peaks; the page shows each map on its own scale.
    result: npt.NDArray[np.float32] = smaller / smaller.max()
    return result


def pixels_of(image: Any, name: str, composite: Composite | None = None) -> tuple[Array, str]:
    """``(C, H, W)`` or ``(1, C, H, W)`` in [0, 1] as RGB ``(H, W, 3)``, and what of it that is."""
    pixels = array_of(image)
    pixels = pixels[0] if pixels.ndim == 4 and len(pixels) == 1 else pixels
    if pixels.ndim != 3 or pixels.shape[0] > _MOST_CHANNELS or 0 in pixels.shape:
        raise ValueError(f"{name}: expected an image (3, H, W), RGB, got {pixels.shape}.")
    pixels, shown = composite_of(pixels, composite)
    if not (pixels.min() >= 0.0 and pixels.max() <= 1.0):  # NaN is in no range
        raise ValueError(
            f"{name}: expected an image in [0, 1], got [{pixels.min():.4g}, {pixels.max():.4g}]."
        )
    return pixels.transpose(1, 2, 0), shown


def jpeg(pixels: Array) -> bytes:
    """A photo ``(H, W, 3)`` in [0, 1], reduced where it is large."""
    photo = Image.fromarray((255.0 * pixels).round().astype(np.uint8))
    photo.thumbnail((_LONGEST_PHOTO, _LONGEST_PHOTO), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    photo.save(content, "JPEG", quality=_PHOTO_QUALITY)
    return content.getvalue()


def _png(shares: npt.NDArray[np.float32]) -> str:
    content = io.BytesIO()
    Image.fromarray((255.0 * shares).round().astype(np.uint8)).save(content, "PNG", optimize=True)
    return base64.b64encode(content.getvalue()).decode()


def array_of(values: Any) -> Array:
    """A tensor or anything that NumPy takes, on the CPU, in single or double precision."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = (values if values.dtype == torch.float32 else values.double()).numpy()
    array = np.asarray(values)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
