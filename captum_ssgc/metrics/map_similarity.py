"""How alike two heat maps are: in the order of their pixels, and in their structure."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_ssgc._exact import has_double
from captum_ssgc._gaussian import gaussian_blur
from captum_ssgc.metrics._heat_maps import as_maps, points_somewhere, positive_shape
from captum_ssgc.metrics.map_scores import MapScores

_SIGMA, _RADIUS = 1.5, 5
_STABLE = (0.01**2, 0.03**2)


def rank_correlation(heat_maps: Tensor, others: Tensor) -> MapScores:
    r"""Spearman's rank correlation of each map with another one.

    .. math::
        \rho = \frac{\mathrm{cov}(R(L), R(L'))}{\sigma_{R(L)} \, \sigma_{R(L')}}

    where :math:`R` are ranks, tied pixels sharing their mean rank, over the pixels at which at
    least one of the two maps is not zero.

    Args:
        heat_maps: ``(K, H, W)`` or ``(K, 1, H, W)``.
        others: of the same shape.

    Returns:
        Values ``(K,)`` in [-1, 1], 1 for the same order of pixels. 0, and not ``valid``: where one
        of the two maps points nowhere, or one is constant and the other is not.

    Raises:
        TypeError, ValueError: for shapes that do not fit.

    Notes:
        A detector scores an object from a part of the image, and its maps are exactly zero
        elsewhere; with these pixels, ties of two maps that share nothing but that part would give a
        correlation of 0.6 and more.

    Example:
        >>> import torch
        >>> from captum_ssgc.metrics import rank_correlation
        >>> heat_map = torch.tensor([[[0.0, 0.1], [0.5, 0.9]]])
        >>> rank_correlation(heat_map, heat_map**2).values   # the order stays
        tensor([1.])
        >>> rank_correlation(heat_map, torch.tensor([[[0.0, 3.0], [2.0, 1.0]]])).values
        tensor([-1.])
    """
    maps, others, valid = _pair(heat_maps, others)
    seen = ((maps != 0) | (others != 0)).flatten(1) & valid[:, None]
    counts = seen.sum(1).tolist()
    # The pixels that count come first, as they follow one another.
    places = (~seen).sort(dim=1, stable=True).indices
    values = torch.zeros(len(maps), dtype=torch.float64, device=maps.device)
    decided = torch.zeros_like(valid)
    for row, count in enumerate(counts):
        if count:
            pixels = places[row, :count]
            one, other = (_ranks(each[row].flatten()[pixels]) for each in (maps, others))
            values[row], decided[row] = _correlation(one, other)
    return MapScores(values.to(maps.dtype), decided, True)


def _correlation(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Of ranks, ``()``, and whether there is one; 1 where both are constant."""
    one, other = one - one.mean(), other - other.mean()
    scale, both_constant = one.norm() * other.norm(), one.norm() == other.norm()
    value = ((one * other).sum() / torch.where(scale > 0, scale, 1.0)).clamp(-1.0, 1.0)
    value = torch.where(scale > 0, value, both_constant.to(value))
    return value, (scale > 0) | both_constant


def structural_similarity(heat_maps: Tensor, others: Tensor) -> MapScores:
    r"""SSIM of each map with another one, each divided by its maximum.

    .. math::
        \mathrm{SSIM} = \frac{(2 \mu \mu' + c_1)(2 \sigma_{LL'} + c_2)}
                             {(\mu^2 + \mu'^2 + c_1)(\sigma^2 + \sigma'^2 + c_2)}

    in Gaussian windows (:math:`\sigma = 1.5` pixels, cut at 5, edges replicated; :math:`c_1 =
    0.01^2, c_2 = 0.03^2`), averaged over the pixels at which at least one of the two is not zero.

    Args:
        heat_maps: ``(K, H, W)`` or ``(K, 1, H, W)``; what is negative counts as zero.
        others: of the same shape.

    Returns:
        Values ``(K,)`` in [-1, 1], 1 for the same map. 0, and not ``valid``, where one of the two
        has no positive value or is not finite.

    Raises:
        TypeError, ValueError: for shapes that do not fit.

    Notes:
        The source averages over the whole image. Where both maps are zero their SSIM is 1, so that
        a small object would make any two of its maps alike.

    References:
        Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, Image Quality Assessment: From Error
        Visibility to Structural Similarity, IEEE Transactions on Image Processing 13(4), 2004.

    Example:
        >>> import torch
        >>> from captum_ssgc.metrics import structural_similarity
        >>> heat_map = torch.eye(8)[None]
        >>> structural_similarity(heat_map, 3 * heat_map).values
        tensor([1.])
    """
    maps, others, valid = _pair(heat_maps, others)
    one, positive = positive_shape(maps.double())
    other, also = positive_shape(others.double())
    mean, mean_other = (gaussian_blur(each, _SIGMA, _RADIUS) for each in (one, other))
    square, square_other, product = (
        gaussian_blur(each, _SIGMA, _RADIUS) for each in (one * one, other * other, one * other)
    )
    spread = square - mean**2 + square_other - mean_other**2
    low, high = _STABLE
    ssim = (2 * mean * mean_other + low) * (2 * (product - mean * mean_other) + high)
    ssim = ssim / ((mean**2 + mean_other**2 + low) * (spread + high))
    seen = ((one != 0) | (other != 0)).double()
    values = (ssim * seen).sum((-2, -1)) / seen.sum((-2, -1)).clamp(min=1.0)
    valid = valid & positive & also
    return MapScores(torch.where(valid, values, 0.0).to(maps.dtype), valid, True)


def _pair(heat_maps: Tensor, others: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    maps, others = as_maps(heat_maps), as_maps(others)
    maps = maps if has_double(maps.device) else maps.cpu()
    if maps.shape != others.shape:
        raise ValueError(
            f"others: expected the shape of the maps, {tuple(maps.shape)}, got "
            f"{tuple(others.shape)}."
        )
    others = others.to(maps.device)
    return maps, others, points_somewhere(maps) & points_somewhere(others)


def _ranks(values: Tensor) -> Tensor:
    """0 for the smallest; equal values ``(N,)`` share the mean of their ranks."""
    ordered, places = values.sort()
    numbers, more = torch.arange(len(values), device=values.device), ordered[1:] != ordered[:-1]
    edge = more.new_ones(1)
    first = torch.where(torch.cat([edge, more]), numbers, 0).cummax(0).values
    last = torch.where(torch.cat([more, edge]), numbers, len(values) - 1)
    last = last.flip(0).cummin(0).values.flip(0)
    mean = (first + last).double() / 2.0
    return torch.empty_like(mean).index_copy_(0, places, mean)
