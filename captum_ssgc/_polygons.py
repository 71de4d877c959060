"""Oriented boxes as polygons: the pixels inside, and how far two of them overlap."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_ssgc._exact import exact

_AT_ONCE = 1 << 14
_MOST_SUPPRESSED = 3000


def pixels_in_polygons(corners: Tensor, size: tuple[int, int]) -> Tensor:
    """The pixels whose centre lies in a convex polygon, its border included.

    Of one that holds no such centre the pixel in its middle, where that is in the image.

    Args:
        corners: ``(K, V, 2)`` x and y in pixels, in order around each polygon, either way.
        size: ``(H, W)``.

    Returns:
        ``(K, H, W)`` bool.
    """
    device, corners = corners.device, exact(corners)
    height, width = size
    y = torch.arange(height, device=corners.device, dtype=torch.float64)[:, None] + 0.5
    x = torch.arange(width, device=corners.device, dtype=torch.float64)[None, :] + 0.5
    inside = torch.ones(len(corners), height, width, dtype=torch.bool, device=corners.device)
    turns = _turns(corners)
    for row, polygon in enumerate(corners):
        low, high = polygon.amin(0), polygon.amax(0)
        inside[row] = (x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1])
        for (x1, y1), (x2, y2) in zip(polygon, polygon.roll(-1, 0), strict=True):
            side = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
            inside[row] &= turns[row] * side >= 0
    middle = corners.mean(1)
    holds = ((x - 0.5 <= middle[:, 0, None, None]) & (middle[:, 0, None, None] < x + 0.5)) & (
        (y - 0.5 <= middle[:, 1, None, None]) & (middle[:, 1, None, None] < y + 0.5)
    )
    inside |= holds & inside.flatten(1).any(1).logical_not()[:, None, None]
    return inside.to(device)


def polygon_iou(one: Tensor, other: Tensor) -> Tensor:
    """IoU of every convex polygon of ``one`` with every one of ``other``.

    Exact but for rounding: each polygon is clipped at the edges of the other one.

    Args:
        one: ``(K, V, 2)`` x and y of the corners, in order around each polygon, either way.
        other: ``(J, U, 2)``.

    Returns:
        ``(K, J)`` in [0, 1], in the precision of ``other``; 0 where both have no area.
    """
    ours, theirs = exact(one), exact(other)
    areas, their_areas = signed_areas(ours).abs(), signed_areas(theirs).abs()
    shared = ours.new_zeros(len(ours), len(theirs))
    low = torch.maximum(ours.amin(1)[:, None], theirs.amin(1)[None])
    high = torch.minimum(ours.amax(1)[:, None], theirs.amax(1)[None])
    rows, columns = (high > low).all(-1).nonzero(as_tuple=True)
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE], columns[start : start + _AT_ONCE]
        shared[part] = _shared_areas(ours[part[0]], theirs[part[1]])
    shared = torch.minimum(shared, torch.minimum(areas[:, None], their_areas[None]))
    union = areas[:, None] + their_areas[None] - shared
    return (shared / union).nan_to_num().clamp(0.0, 1.0).to(other)


def suppressed(corners: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float) -> Tensor:
    """Class-wise non-maximum suppression of convex polygons, among the best 3,000.

    Args:
        corners: ``(K, V, 2)``.
        scores: ``(K,)``.
        labels: ``(K,)``.
        iou_threshold: what overlaps a better one of its class by more is left out.

    Returns:
        Indices of those that stay, the best first.
    """
    order = scores.sort(descending=True, stable=True).indices[:_MOST_SUPPRESSED]
    if iou_threshold >= 1.0 or len(order) < 2:
        return order
    polygons, classes = corners[order], labels[order]
    overlaps = (polygon_iou(polygons, polygons) > iou_threshold) & (classes[:, None] == classes)
    left = torch.ones(len(order), dtype=torch.bool, device=order.device)
    for row in range(len(order)):
        if bool(left[row]):
            left[row + 1 :] &= ~overlaps[row, row + 1 :]
    return order[left]


def enclosing_boxes(corners: Tensor) -> Tensor:
    """The upright boxes ``(..., 4)`` xyxy around polygons ``(..., V, 2)``."""
    return torch.cat([corners.amin(-2), corners.amax(-2)], -1)


def signed_areas(polygons: Tensor) -> Tensor:
    """``(K,)``, positive where the corners ``(K, V, 2)`` go from x to y."""
    centred = polygons - polygons[:, :1]  # keeps digits of what is small and far away
    return _cross(centred, centred.roll(-1, 1)).sum(1) / 2


def _shared_areas(polygons: Tensor, convex: Tensor) -> Tensor:
    """``(M,)``: the area of each polygon within its convex partner."""
    turns = _turns(convex)[:, None]
    for edge in range(convex.shape[1]):
        start = convex[:, edge : edge + 1]
        along = convex[:, (edge + 1) % convex.shape[1], None] - start
        polygons = _clipped(polygons, start, turns[..., None] * along)
    return signed_areas(polygons).abs()


def _clipped(polygons: Tensor, start: Tensor, along: Tensor) -> Tensor:
    """What of each polygon ``(M, V, 2)`` lies on the positive side of a line, ``(M, 2 V, 2)``.

    Corners on the other side are moved to the line, at right angles. So the polygon may run to and
    fro on it, which adds nothing to its area, and all of them keep the same number of corners.
    """
    sides = _cross(along, polygons - start)
    normal = torch.stack([-along[..., 1], along[..., 0]], -1)
    length = normal.square().sum(-1, keepdim=True)
    beyond = sides.clamp(max=0.0)[..., None] / length.clamp(min=torch.finfo(length.dtype).tiny)
    kept = polygons - beyond * normal
    ends, their_sides = polygons.roll(-1, 1), sides.roll(-1, 1)
    crosses = (sides < 0) != (their_sides < 0)
    share = torch.where(crosses, sides / (sides - their_sides), 0.0)[..., None]
    crossings = torch.where(crosses[..., None], polygons + share * (ends - polygons), kept)
    return torch.stack([kept, crossings], 2).flatten(1, 2)


def _turns(polygons: Tensor) -> Tensor:
    """``(K,)``: 1 where the corners go from x to y, else -1."""
    return torch.where(signed_areas(polygons) < 0, -1.0, 1.0)


def _cross(one: Tensor, other: Tensor) -> Tensor:
    return one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]
