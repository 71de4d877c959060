"""Maps of cells that orders are made from: ranks, nearness to a box, smooth versions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ssgc._gaussian import gaussian_blur

FALL = 0.5  # sides of the box over which nearness to it falls by e


def ranks(values: Tensor) -> Tensor:
    """From 1 for the highest to 0 for the lowest; the first of equal ones is the higher."""
    order = values.flatten().sort(descending=True, stable=True).indices
    falling = torch.linspace(1.0, 0.0, len(order), device=values.device, dtype=values.dtype)
    return torch.empty_like(falling).index_copy_(0, order, falling).reshape(values.shape)


def nearness(box: Sequence[float], size: tuple[int, int], like: Tensor) -> Tensor:
    """1 inside the box, and falling with the distance to it in units of its sides, ``(h, w)``."""
    away = torch.hypot(*_distances(box, size, like, 0.5))
    return torch.exp(-away / FALL)


def middle(box: Sequence[float], size: tuple[int, int], like: Tensor) -> Tensor:
    """1 in the middle of the box, and falling with the distance to it."""
    return torch.exp(-torch.hypot(*_distances(box, size, like, 0.0)))


def _distances(
    box: Sequence[float], size: tuple[int, int], like: Tensor, free: float
) -> tuple[Tensor, Tensor]:
    """To the middle of the box in units of its sides, less ``free``."""
    away = []
    for low, high, count in ((box[1], box[3], size[0]), (box[0], box[2], size[1])):
        places = torch.arange(count, device=like.device, dtype=like.dtype) + 0.5
        distance = (places - (low + high) / 2).abs() / max(high - low, 1.0)
        away.append((distance - free).clamp(min=0.0))
    return away[0][:, None], away[1]


def smoothed(prior: Tensor, sigma: float) -> Tensor:
    """At the resolution that a Gaussian of this width leaves, with a maximum of 1."""
    factor = max(1, int(sigma / 2))
    coarse = F.avg_pool2d(prior[None, None], factor, ceil_mode=True, count_include_pad=False)
    coarse = gaussian_blur(coarse, max(sigma / factor, 0.3))
    size = (coarse.shape[-2] * factor, coarse.shape[-1] * factor)
    fine = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    fine = fine[0, 0, : prior.shape[0], : prior.shape[1]]
    return fine / fine.max().clamp(min=torch.finfo(fine.dtype).tiny)


def shares(values: Tensor) -> Tensor:
    """Values >= 0 as shares of their sum; all 0 where they are."""
    return values / values.sum().clamp(min=torch.finfo(values.dtype).tiny)
