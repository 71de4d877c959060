"""Does the heat map single its object out? The two measures of the ODAM paper."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_ssgc.metrics._heat_maps import as_maps, positive_shape
from captum_ssgc.metrics._regions import as_pixels, check_boxes
from captum_ssgc.metrics.map_scores import MapScores


def compactness(heat_maps: Tensor, boxes: Tensor) -> MapScores:
    r"""How far the energy spreads around the maximum, in units of the object's size.

    .. math::
        C = \sqrt{\frac{\sum_x L_x^+ \, \lVert x - x^* \rVert^2}
                       {\frac{w^2 + h^2}{4} \sum_x L_x^+}}, \qquad x^* = \arg\max_x L_x

    1 means that the energy lies, on average, as far from the maximum as the corners of the object's
    box lie from its centre.

    Args:
        heat_maps: ``(K, H, W)`` or ``(K, 1, H, W)``, one per detection, in image pixels.
        boxes: ``(K, 4)`` x1, y1, x2, y2 in image pixels, the object of each map, of width ``w`` and
            height ``h``.

    Returns:
        Values ``(K,)``, at least 0, **lower is better**. A map that has no positive value or is not
        finite, and a box without extent, have no compactness: NaN, and not ``valid``; use
        ``mean(valid_only=True)``.

    Raises:
        TypeError, ValueError: for shapes that do not fit.

    Notes:
        As in the authors' evaluation code: around the maximum, not around the centre of mass.
        Their maps have a single maximum, others being left out; here the mean over tied maxima
        counts. A map may be compact in the wrong place: read it beside a pointing game.

    References:
        C. Zhao, A. B. Chan, ODAM: Gradient-based Instance-specific Visual Explanations for Object
        Detection, ICLR 2023, arXiv:2304.06354.

    Example:
        >>> import torch
        >>> from captum_ssgc.metrics import compactness
        >>> heat_map = torch.tensor([[[2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 1.0]]])
        >>> compactness(heat_map, torch.tensor([[0.0, 0.0, 3.0, 3.0]])).values   # sqrt(3 / 4.5)
        tensor([0.8165])
    """
    maps = as_maps(heat_maps)
    boxes = check_boxes(boxes, len(maps)).to(maps)
    shape, valid = positive_shape(maps)
    y = torch.arange(maps.shape[1], device=maps.device, dtype=maps.dtype)
    x = torch.arange(maps.shape[2], device=maps.device, dtype=maps.dtype)
    rows, columns = shape.sum(2), shape.sum(1)
    total = rows.sum(1, keepdim=True).clamp(min=1e-30)
    middle_y, middle_x = (rows * y).sum(1, True) / total, (columns * x).sum(1, True) / total
    # around any point p the mean square distance is the variance plus |p - centre of mass|^2
    variance = (
        (rows * (y - middle_y) ** 2).sum(1, True) + (columns * (x - middle_x) ** 2).sum(1, True)
    ) / total
    offset = ((y - middle_y) ** 2)[:, :, None] + ((x - middle_x) ** 2)[:, None, :]
    extent = ((boxes[:, 2:] - boxes[:, :2]) ** 2).sum(1) / 4.0
    spread = ((variance[:, :, None] + offset) / extent[:, None, None]).sqrt()
    top = (shape == 1.0).to(maps.dtype)
    values = (spread * top).sum((-2, -1)) / top.sum((-2, -1))
    valid = valid & (extent > 0)
    return MapScores(
        torch.where(valid, values, torch.full_like(values, float("nan"))), valid, False
    )


def object_discrimination_index(
    heat_maps: Tensor,
    targets: Tensor,
    *,
    boxes: Tensor | None = None,
    masks: Tensor | None = None,
    map_images: Tensor | None = None,
    object_images: Tensor | None = None,
) -> MapScores:
    r"""The share of the energy on objects that lies on *other* objects (ODI).

    .. math::
        ODI = \sum_{x \in \bigcup_{j \ne t} R_j} L_x^+ \Big/ \sum_{x \in \bigcup_j R_j} L_x^+

    Args:
        heat_maps: ``(K, H, W)`` or ``(K, 1, H, W)``, one per detection, in image pixels.
        targets: ``(K,)`` int64, the object that each map explains: a row of ``boxes`` or ``masks``.
        boxes: ``(G, 4)`` x1, y1, x2, y2 in image pixels, **all** objects ``R`` of the image.
        masks: ``(G, H, W)`` or ``(G, 1, H, W)``, non-zero inside, instead of boxes.
        map_images: ``(K,)`` int64, for maps of several images: the image of each map.
        object_images: ``(G,)`` int64, for maps of several images: the image of each object.

    Returns:
        Values ``(K,)`` in [0, 1], **lower is better**. Not ``valid``: a map that is not finite or
        has no energy on any object (the worst value, 1), and a map whose image has no other object
        (0: nothing to confuse it with).

    Raises:
        TypeError: unless exactly one of ``boxes`` and ``masks`` is given.
        ValueError: for shapes that do not fit.
        IndexError: for a target that does not exist.

    Notes:
        As in the authors' evaluation code: other objects of every class; pixels that the target
        shares with another object count as the other's, so overlapping boxes cannot reach 0 (masks
        can). There, an empty map gets 0, the best value. Boxes are filled by pixel centres here, by
        rounding outwards there.

    References:
        C. Zhao, A. B. Chan, ODAM: Gradient-based Instance-specific Visual Explanations for Object
        Detection, ICLR 2023, arXiv:2304.06354.

    Example:
        >>> import torch
        >>> from captum_ssgc.metrics import object_discrimination_index
        >>> heat_map = torch.tensor([[[3.0, 0.0, 1.0, 5.0]]])
        >>> objects = torch.tensor([[0.0, 0.0, 1.0, 1.0], [2.0, 0.0, 3.0, 1.0]])
        >>> object_discrimination_index(heat_map, torch.tensor([0]), boxes=objects).values
        tensor([0.2500])
    """
    maps = as_maps(heat_maps)
    regions = boxes if boxes is not None else masks
    count = len(regions) if isinstance(regions, Tensor) else 0
    objects = as_pixels(boxes, masks, maps, count).flatten(1).to(maps.dtype)
    targets = _indices(targets, len(maps), "targets").to(maps.device)
    if len(targets) and (int(targets.min()) < 0 or int(targets.max()) >= count):
        raise IndexError(
            f"targets: expected rows 0 to {count - 1} of the objects, got {targets.tolist()}."
        )
    seen = _same_image(map_images, object_images, len(maps), count).to(maps.device)
    other = seen & (torch.arange(count, device=maps.device) != targets[:, None])
    own = seen.gather(1, targets[:, None]) if count else seen
    if not bool(own.all()):
        raise ValueError("targets: a map's own object belongs to another image than the map.")
    shape, positive = positive_shape(maps)
    energy = shape.flatten(1)
    on_others = (energy * ((other.to(maps.dtype) @ objects) > 0)).sum(1)
    on_any = (energy * ((seen.to(maps.dtype) @ objects) > 0)).sum(1)
    alone = other.logical_not().all(1)
    ratio = on_others / on_any.clamp(min=1e-30)
    values = torch.where(on_any > 0, ratio, torch.ones_like(ratio))
    values = torch.where(alone & positive, torch.zeros_like(values), values)
    return MapScores(values, (on_any > 0) & alone.logical_not(), False)


def _indices(values: object, count: int, name: str) -> Tensor:
    if not isinstance(values, Tensor) or values.is_floating_point() or values.is_complex():
        raise TypeError(f"{name}: expected an int64 tensor ({count},).")
    if tuple(values.shape) != (count,):
        raise ValueError(f"{name}: expected shape ({count},), got {tuple(values.shape)}.")
    return values.long()


def _same_image(
    map_images: Tensor | None, object_images: Tensor | None, map_count: int, objects: int
) -> Tensor:
    """``(K, G)`` bool: whether map and object belong to one image."""
    if (map_images is None) != (object_images is None):
        raise TypeError("map_images and object_images: expected both or neither.")
    if map_images is None or object_images is None:
        return torch.ones(map_count, objects, dtype=torch.bool, device="cpu")
    of_maps = _indices(map_images, map_count, "map_images")
    of_objects = _indices(object_images, objects, "object_images")
    return of_maps[:, None] == of_objects.to(of_maps.device)
