"""Heat maps as every metric takes them, and which of them point anywhere."""

from __future__ import annotations

import torch
from torch import Tensor


def as_maps(heat_maps: Tensor) -> Tensor:
    """``(K, H, W)`` floating point from ``(K, H, W)`` or ``(K, 1, H, W)``.

    Raises:
        TypeError: if it is no tensor of numbers.
        ValueError: for another shape.
    """
    if not isinstance(heat_maps, Tensor):
        raise TypeError(
            f"heat_maps: expected a tensor (K, H, W), got {type(heat_maps).__name__}; stack the "
            "maps of several detections with torch.stack."
        )
    if heat_maps.is_complex():
        raise TypeError(f"heat_maps: expected real numbers, got {heat_maps.dtype}.")
    maps = heat_maps.detach()
    if maps.dim() == 4 and maps.shape[1] == 1:
        maps = maps[:, 0]
    if maps.dim() != 3 or 0 in maps.shape[1:]:
        raise ValueError(
            "heat_maps: expected shape (K, H, W) or (K, 1, H, W) at image size, got "
            f"{tuple(heat_maps.shape)}; stack the maps of several detections with torch.stack."
        )
    return maps.to(torch.promote_types(maps.dtype, torch.float32))


def points_somewhere(maps: Tensor) -> Tensor:
    """``(K,)`` bool: every value is finite, and not all are zero."""
    flat = maps.flatten(1)
    return flat.isfinite().all(1) & (flat != 0).any(1)


def positive_shape(maps: Tensor) -> tuple[Tensor, Tensor]:
    """The positive part divided by its maximum, and where there is one.

    The division keeps sums in range whatever the scale of the map.

    Args:
        maps: ``(K, H, W)``.

    Returns:
        ``(K, H, W)`` in [0, 1], all zero where the map is not finite or has no positive value, and
        ``(K,)`` bool, false for exactly those.
    """
    finite = maps.flatten(1).isfinite().all(1)
    positive = torch.where(finite[:, None, None], maps, torch.zeros_like(maps)).clamp(min=0.0)
    peak = positive.amax((-2, -1), keepdim=True)
    valid = peak.flatten() > 0
    return positive / torch.where(peak > 0, peak, torch.ones_like(peak)), valid
