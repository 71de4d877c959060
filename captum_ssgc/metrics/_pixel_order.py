"""In which order a heat map wants the pixels to turn."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_ssgc._exact import sent


def tied_order(like: Tensor, ties: str, generator: torch.Generator | None) -> Tensor:
    """The pixels of images like this one in the order that counts where a map does not tell.

    Args:
        like: ``(..., H, W)``.
        ties: as in :class:`captum_ssgc.metrics.CurveSettings`.
        generator: for a random order; ``None`` for one seeded with 0.

    Returns:
        ``(H * W,)`` int64, on the device of ``like``.
    """
    pixels = like.shape[-2] * like.shape[-1]
    if ties == "reading":
        return torch.arange(pixels, device=like.device)
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    return torch.randperm(pixels, generator=generator, device=generator.device).to(like.device)


def pixel_ranks(heat_map: Tensor, ties: Tensor) -> Tensor:
    """``(H, W)`` int32: the place of each pixel in the falling order of a map.

    Args:
        heat_map: ``(H, W)``, finite.
        ties: from :func:`tied_order`.
    """
    heat_map = sent(heat_map, ties.device)
    order = ties[_falling(heat_map.flatten()[ties]).sort(stable=True).indices]
    rank = torch.empty(len(order), dtype=torch.int32, device=ties.device)
    rank[order] = torch.arange(len(order), dtype=torch.int32, device=ties.device)
    return rank.reshape(heat_map.shape)


def _falling(values: Tensor) -> Tensor:
    """Whole numbers that rise as finite ``values`` fall: a CPU sorts them several times as fast."""
    whole = torch.int64 if values.dtype == torch.float64 else torch.int32
    bits = (values + 0.0).view(whole)  # both zeros are one
    size = torch.iinfo(whole)
    return ~(bits ^ ((bits >> (size.bits - 1)) & size.max))
