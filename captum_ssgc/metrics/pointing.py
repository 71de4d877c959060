"""Does the heat map lie on the object? Pointing games, hard and by energy."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_ssgc.metrics._heat_maps import as_maps, points_somewhere, positive_shape
from captum_ssgc.metrics._regions import as_pixels, check_masks
from captum_ssgc.metrics.map_scores import MapScores


def pointing_game(
    heat_maps: Tensor,
    *,
    boxes: Tensor | None = None,
    masks: Tensor | None = None,
    corners: Tensor | None = None,
) -> MapScores:
    r"""Is the maximum of the heat map inside the object?

    .. math:: P = \frac{|\{x : L_x = \max L\} \cap R|}{|\{x : L_x = \max L\}|}

    One maximum gives 0 or 1; several give the share of them that lies inside.

    Args:
        heat_maps: ``(K, H, W)`` or ``(K, 1, H, W)``, one per detection, in image pixels.
        boxes: ``(K, 4)`` x1, y1, x2, y2 in image pixels, the region ``R`` of each map. A pixel is
            inside when its centre is, the border included; at least the one in the middle is.
        masks: ``(K, H, W)`` or ``(K, 1, H, W)``, non-zero inside, instead of boxes; of soft ones
            (floating point in [0, 1]) the pixels of at least one half are.
        corners: ``(K, 4, 2)`` x and y of the corners of oriented boxes, in order around each,
            instead of boxes.

    Returns:
        Values ``(K,)`` in [0, 1], **higher is better**. A map that is all zero or not finite is a
        miss, 0, and not ``valid``.

    Raises:
        TypeError: unless exactly one of ``boxes``, ``masks`` and ``corners`` is given.
        ValueError: for shapes that do not fit, or a region far outside the map, as those of an
            image are on a layer's map.

    Notes:
        Zhang et al. count a maximum within 15 pixels of the object as a hit; there is no such
        tolerance here, nor in the papers on detectors. They do not say what happens to ties; the
        first maximum in reading order, a common choice, favours objects at the top left.

    References:
        J. Zhang et al., Top-down Neural Attention by Excitation Backprop, IJCV 126, 2018,
        arXiv:1608.00507.

    Example:
        >>> import torch
        >>> from captum_ssgc.metrics import pointing_game
        >>> heat_map = torch.tensor([[[0.0, 2.0, 2.0], [0.0, 1.0, 0.0]]])
        >>> pointing_game(heat_map, boxes=torch.tensor([[0.0, 0.0, 2.0, 2.0]])).values
        tensor([0.5000])
    """
    maps = as_maps(heat_maps)
    inside = as_pixels(boxes, masks, maps, len(maps), corners)
    valid = points_somewhere(maps)
    top = (maps == maps.amax((-2, -1), keepdim=True)).to(maps.dtype)
    share = _share(top, inside)
    return MapScores(torch.where(valid, share, torch.zeros_like(share)), valid, True)


def energy_pointing_game(
    heat_maps: Tensor,
    *,
    boxes: Tensor | None = None,
    masks: Tensor | None = None,
    corners: Tensor | None = None,
) -> MapScores:
    r"""The share of the heat map's positive energy that lies inside the object.

    .. math:: eP = \sum_{x \in R} L_x^+ \Big/ \sum_x L_x^+

    Args:
        heat_maps: ``(K, H, W)`` or ``(K, 1, H, W)``, one per detection, in image pixels. Negative
            values count as zero.
        boxes: ``(K, 4)`` x1, y1, x2, y2 in image pixels, the region ``R`` of each map. A pixel is
            inside when its centre is, the border included; at least the one in the middle is.
        masks: ``(K, H, W)`` or ``(K, 1, H, W)``, non-zero inside, instead of boxes; of soft ones
            (floating point in [0, 1]) the pixels of at least one half are.
        corners: ``(K, 4, 2)`` x and y of the corners of oriented boxes, in order around each,
            instead of boxes.

    Returns:
        Values ``(K,)`` in [0, 1], **higher is better**. A map that has no positive value or is not
        finite gets 0 and is not ``valid``.

    Raises:
        TypeError: unless exactly one of ``boxes``, ``masks`` and ``corners`` is given.
        ValueError: for shapes that do not fit, or a region far outside the map, as those of an
            image are on a layer's map.

    Notes:
        A uniform map scores the share of the image that the object covers, so large objects are
        easy. The map is not shifted to a minimum of zero first: that would add energy everywhere.

    References:
        H. Wang et al., Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural
        Networks, CVPR Workshops 2020, arXiv:1910.01279.

    Example:
        >>> import torch
        >>> from captum_ssgc.metrics import energy_pointing_game
        >>> heat_map = torch.tensor([[[0.0, 3.0, 1.0], [-5.0, 0.0, 0.0]]])
        >>> energy_pointing_game(heat_map, boxes=torch.tensor([[0.0, 0.0, 2.0, 2.0]])).values
        tensor([0.7500])
    """
    maps = as_maps(heat_maps)
    inside = as_pixels(boxes, masks, maps, len(maps), corners)
    shape, valid = positive_shape(maps)
    return MapScores(_share(shape, inside), valid, True)


def evidence_energy(heat_maps: Tensor, evidence: Tensor) -> MapScores:
    r"""The share of the heat map's positive energy on the evidence that caused the detection.

    .. math:: E = \sum_{x \in V} L_x^+ \Big/ \sum_x L_x^+

    In the synthetic scenes of :mod:`captum_ssgc.data` the class of an object is decided by its
    emblem alone, so the cause ``V`` is known and need not be judged by eye.

    Args:
        heat_maps: ``(K, H, W)`` or ``(K, 1, H, W)``, one per detection, in image pixels.
        evidence: ``(K, H, W)`` or ``(K, 1, H, W)``, non-zero on the evidence of each detection:
            ``scene.emblem_masks`` of the objects that were detected.

    Returns:
        Values ``(K,)`` in [0, 1], **higher is better**. A map that has no positive value or is not
        finite gets 0 and is not ``valid``.

    Raises:
        ValueError: for shapes that do not fit, or a mask without any pixel.

    Notes:
        This metric belongs to this package. Evidence is small, so even a perfect method falls short
        of 1 on a coarse grid: compare methods at the same layer.

    Example:
        >>> import torch
        >>> from captum_ssgc.metrics import evidence_energy
        >>> heat_map = torch.tensor([[[4.0, 1.0], [0.0, 0.0]]])
        >>> evidence_energy(heat_map, torch.tensor([[[True, False], [False, False]]])).values
        tensor([0.8000])
    """
    maps = as_maps(heat_maps)
    size = (maps.shape[-2], maps.shape[-1])
    inside = check_masks(evidence, len(maps), size, "evidence").to(maps.device)
    empty = inside.flatten(1).any(1).logical_not()
    if bool(empty.any()):
        raise ValueError(
            f"evidence: the mask of row {int(empty.nonzero()[0])} has no pixel; leave out "
            "detections whose evidence is not known."
        )
    shape, valid = positive_shape(maps)
    return MapScores(_share(shape, inside), valid, True)


def _share(weights: Tensor, inside: Tensor) -> Tensor:
    """``sum(weights inside) / sum(weights)`` per map, 0 where there is no weight."""
    total = weights.sum((-2, -1))
    within = (weights * inside).sum((-2, -1))
    return torch.where(total > 0, within / total.clamp(min=1e-30), torch.zeros_like(total))
