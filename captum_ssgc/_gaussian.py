"""Gaussian smoothing of maps and images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_radius(sigma: float) -> int:
    """Where a Gaussian of this standard deviation is cut: at 3 sigma, rounded, at least 1."""
    return max(int(3.0 * sigma + 0.5), 1)


def gaussian_blur(planes: Tensor, sigma: float, radius: int | None = None) -> Tensor:
    """Convolve with a Gaussian, edges replicated.

    Args:
        planes: ``(..., H, W)``.
        sigma: standard deviation in pixels, > 0.
        radius: where it is cut, in pixels; ``None`` for :func:`gaussian_radius`.

    Returns:
        The same shape.
    """
    radius = gaussian_radius(sigma) if radius is None else radius
    offsets = torch.arange(-radius, radius + 1, device=planes.device, dtype=planes.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    flat = planes.reshape(-1, 1, *planes.shape[-2:])
    flat = F.conv2d(F.pad(flat, (radius, radius, 0, 0), mode="replicate"), kernel.view(1, 1, 1, -1))
    flat = F.conv2d(F.pad(flat, (0, 0, radius, radius), mode="replicate"), kernel.view(1, 1, -1, 1))
    return flat.reshape(planes.shape)
