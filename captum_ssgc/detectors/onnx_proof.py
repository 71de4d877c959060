"""The proof that a converted graph computes what ONNX Runtime computes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

TOLERANCE = 1e-3
# Queries with nearly equal scores change places with the last digit.
_MOVED_ROWS = 0.05


def sample_picture(size: tuple[int, int], channels: int = 3) -> Tensor:
    """A picture with shades, edges and texture, ``(1, C, H, W)`` in [0, 1]; always the same."""
    generator = torch.Generator().manual_seed(7)
    picture = torch.zeros(1, channels, *size, device="cpu", dtype=torch.float32)
    for cells, share in ((4, 0.5), (16, 0.3), (64, 0.2)):
        coarse = torch.rand(
            1, channels, cells, cells, generator=generator, device="cpu", dtype=torch.float32
        )
        mode = "bilinear" if cells != 16 else "nearest"
        picture += share * F.interpolate(coarse, size, mode=mode)
    height, width = size
    picture[..., height // 4 : height // 2, width // 5 : width // 2] *= 0.3
    picture[..., height // 2 : height - height // 8, width // 2 : width - width // 6] *= 0.5
    return picture.clamp(0.0, 1.0)


def largest_difference(
    ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], moved_rows: bool
) -> float:
    """By how much outputs differ, as a share of what they range over.

    Args:
        ours: outputs by name.
        theirs: the same.
        moved_rows: whether a few rows may be others, as where the graph chooses among equals; the
            worst twentieth of the entries is then left out.

    Returns:
        The largest difference of an entry over the largest entry (at least 1) of its output;
        infinite for another size or where only one is finite.
    """
    worst = 0.0
    for name, expected in theirs.items():
        got = ours[name]
        if got.numel() != expected.numel():
            return math.inf
        if not expected.numel():
            continue
        away = (got.double() - expected.double()).abs().flatten()
        away = torch.where(got.flatten() == expected.flatten(), 0.0, away)
        finite = expected[expected.isfinite()].double().abs()
        size = max(float(finite.max()) if finite.numel() else 1.0, 1.0)
        if moved_rows:
            away = away.sort().values[: max(int(len(away) * (1 - _MOVED_ROWS)), 1)]
        share = float(away.nan_to_num(nan=math.inf).max()) / size
        worst = max(worst, share)
    return worst
