"""Patches of an image, which turn as wholes, and the order in which a map wants them to."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from captum_ssgc._exact import exact, sent
from captum_ssgc.metrics._pixel_order import pixel_ranks

Patch = tuple[int, int]
BY_BOX = ((0.01, 24), (0.2, 16), (float("inf"), 8))
"""Up to which share of the image a box has, and how many patches a side of the image has then: as
in the code that was published with VX-CODE (CVPR 2026)."""


def patch_size(
    patches: int | Literal["by_box"] | None, box: Tensor, size: tuple[int, int]
) -> Patch | None:
    """Height and width of a patch, in pixels; ``None`` for single pixels.

    Args:
        patches: as in :class:`captum_ssgc.metrics.CurveSettings`.
        box: ``(4,)`` xyxy in pixels.
        size: ``(H, W)`` of the image.
    """
    if patches is None:
        return None
    if patches == "by_box":
        x1, y1, x2, y2 = box.cpu().double().tolist()
        share = max(x2 - x1, 0.0) * max(y2 - y1, 0.0) / (size[0] * size[1])
        number = next(number for most, number in BY_BOX if share <= most)
    else:
        number = int(patches)
    return max(round(size[0] / number), 1), max(round(size[1] / number), 1)


def units_in(size: tuple[int, int], patch: Patch | None) -> int:
    """How many pixels, or patches, an image of ``(H, W)`` has; those at its end may be smaller."""
    if patch is None:
        return size[0] * size[1]
    return -(-size[0] // patch[0]) * -(-size[1] // patch[1])


def unit_ranks(heat_map: Tensor, ties: Tensor, patch: Patch | None) -> Tensor:
    """``(H, W)`` int32: the place of each pixel, or of its patch, in the falling order of a map.

    A patch has the mean of its pixels; of equal ones that goes first whose top left pixel does.

    Args:
        heat_map: ``(H, W)``, finite.
        ties: from :func:`tied_order`.
        patch: its height and width.
    """
    if patch is None:
        return pixel_ranks(heat_map, ties)
    height, width = heat_map.shape
    rows, columns = -(-height // patch[0]), -(-width // patch[1])
    y = torch.arange(height, device=ties.device) // patch[0]
    x = torch.arange(width, device=ties.device) // patch[1]
    places = y[:, None] * columns + x
    values = exact(sent(heat_map, ties.device)).flatten()
    of_patches = places.flatten().to(values.device)
    sums = values.new_zeros(rows * columns).index_add_(0, of_patches, values)
    means = sums / torch.bincount(of_patches, minlength=rows * columns)
    turn = torch.empty_like(ties)
    turn[ties] = torch.arange(len(ties), device=ties.device)
    first = turn.reshape(height, width)[:: patch[0], :: patch[1]].flatten().argsort()
    ranks = pixel_ranks(means[None], first.to(means.device)).flatten()
    return ranks.to(ties.device)[places]
