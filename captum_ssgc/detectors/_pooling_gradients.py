"""Gradients through region pooling, each on the window of the features that its region covers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import (
    FastRCNNConvFCHead,
    FastRCNNPredictor,
    TwoMLPHead,
)
from torchvision.ops import MultiScaleRoIAlign, roi_align
from torchvision.ops.misc import Conv2dNormActivation, FrozenBatchNorm2d

from captum_ssgc._hooks import left_alone
from captum_ssgc._windows import Window, WindowGradient
from captum_ssgc.detectors._local_heads import CROPS_AT_ONCE

_ALONE = (
    Conv2dNormActivation,
    FastRCNNConvFCHead,
    FastRCNNPredictor,
    FrozenBatchNorm2d,
    TwoMLPHead,
    nn.BatchNorm2d,
    nn.Conv2d,
    nn.Dropout,
    nn.Flatten,
    nn.Identity,
    nn.Linear,
    nn.ReLU,
    nn.Sequential,
)
SAME = 1e-4  # of the largest pooled value; what differs by more is not what was pooled


def treats_rows_alone(head: nn.Module) -> bool:
    """Whether a region head is one of torchvision's, in which no region sees another one."""
    parts = list(head.modules())
    norms = [part for part in parts if isinstance(part, nn.BatchNorm2d)]
    known = all(type(part) in _ALONE for part in parts)
    return known and all(norm.running_mean is not None for norm in norms) and left_alone(parts)


def is_known_pooling(pool: object) -> bool:
    """Whether it is torchvision's own."""
    return type(pool) is MultiScaleRoIAlign


def pooling_gradients(
    pool: Any,
    features: Mapping[int, Tensor],
    proposals: Tensor,
    levels: Sequence[int],
    pooled: Tensor,
    slopes: Tensor,
) -> list[WindowGradient] | None:
    """From gradients at pooled features to gradients at the features themselves.

    Args:
        pool: the model's ``box_roi_pool``.
        features: ``(1, C, h, w)`` by level.
        proposals: ``(K, 4)`` on the canvas.
        levels: that each region was pooled from.
        pooled: ``(K, C, *output_size)``, what ``pool`` gave.
        slopes: gradients there.

    Returns:
        ``None`` if these features, pooled, are not what ``pool`` gave.
    """
    if not set(levels) <= set(features):
        return None
    scales = [pool.scales[level] for level in levels]
    each = list(zip(proposals.tolist(), levels, scales, strict=True))
    windows = [_window(box, scale, features[level]) for box, level, scale in each]
    corners = [[one.left / s, one.top / s] * 2 for one, s in zip(windows, scales, strict=True)]
    regions = proposals - proposals.new_tensor(corners)
    gradients: list[Tensor] = []
    again: list[Tensor] = []
    for start in range(0, len(levels), CROPS_AT_ONCE):
        crops, part = [], []
        for row in range(start, min(start + CROPS_AT_ONCE, len(levels))):
            crop = windows[row].of(features[levels[row]].detach()).clone().requires_grad_()
            region = [regions[row : row + 1]]
            options = (pool.output_size, scales[row], pool.sampling_ratio)
            part.append(roi_align(crop, region, *options))
            crops.append(crop)
        given = slopes[start : start + CROPS_AT_ONCE].split(1)
        gradients += torch.autograd.grad(part, crops, list(given))
        again += [one.detach() for one in part]
    away = (torch.cat(again) - pooled.detach()).abs().amax()
    if not bool(away <= SAME * pooled.detach().abs().amax()):
        return None
    return [WindowGradient(*pair) for pair in zip(windows, gradients, strict=True)]


def _window(box: Sequence[float], scale: float, features: Tensor) -> Window:
    """The cells that bilinear samples inside a box read, and one more on each side.

    A box is at least one cell wide and high in torchvision's RoIAlign.
    """
    height, width = features.shape[-2:]
    left, top, right, bottom = (side * scale for side in box)
    right, bottom = max(right, left + 1.0), max(bottom, top + 1.0)
    return Window(
        *_span(top, bottom, height),
        *_span(left, right, width),
    )


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    start = min(max(math.floor(low) - 1, 0), size - 1)
    return start, min(max(math.ceil(high) + 2, start + 1), size)
