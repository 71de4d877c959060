"""The methods as pure functions of activations and gradients.

Every method takes ``activations`` and ``gradients`` of shape ``(N, C, h, w)`` and returns the
contribution of each channel, ``(N, C, h, w)``; the heat map is their sum over the channels, after
which a ReLU follows. ``k`` numbers channels, ``i, j`` cells.

A gradient is often zero but for a window of the grid. What a formula needs from outside of that
window is :class:`WholeGrid`, so that the same formula serves the grid and a window of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Literal

import torch
from torch import Tensor

from captum_ssgc._arguments import NUMBERS, check_share, shown
from captum_ssgc._exact import has_double
from captum_ssgc._gaussian import gaussian_blur, gaussian_radius

Maps = Callable[..., Tensor]
SignedActivations = Literal["split", "as_is"]
MOST_SMOOTHING = 100.0  # cells, wider than most grids


@dataclass(frozen=True)
class Marks:
    """What is known of a map function, so that less than the whole grid may do.

    Args:
        of: the function itself; one that wraps it and takes over its attributes is another one.
        is_local: see :func:`local`.
        channel_weights: see :func:`weighted_by`.
        finish: see :func:`finished_by`.
    """

    of: Maps
    is_local: bool = False
    channel_weights: Maps | None = None
    finish: Maps | None = None


def marks_of(function: Maps) -> Marks:
    """Those that a map function was given, and no other one."""
    marks = getattr(function, "marks", None)
    return marks if isinstance(marks, Marks) and marks.of is function else Marks(function)


def _marked(function: Maps, **marks: Any) -> Maps:
    function.__dict__["marks"] = replace(marks_of(function), **marks)
    return function


def local(function: Maps) -> Maps:
    """Marks a map function that is zero where the (smoothed) gradient is: a window serves it."""
    return _marked(function, is_local=True)


def finished_by(finish: Maps) -> Callable[[Maps], Maps]:
    """Marks a map function whose sum over the channels, cut off at zero, goes through ``finish``.

    ``finish`` takes that map ``(N, 1, h, w)`` and the mask, on the whole grid, and options of the
    map function.
    """
    return partial(_marked, finish=finish)


def weighted_by(weights: Maps) -> Callable[[Maps], Maps]:
    """Marks a map function that is ``weights``, ``(N, C, 1, 1)``, times the activations."""
    return partial(_marked, channel_weights=weights)


class WholeGrid:
    """What formulas take from all cells of a layer.

    Args:
        activations: ``(N, C, h, w)``.
        mask: ``(1|N, 1|C, h, w)``, non-zero for the cells that sums are taken over; ``None`` for
            all.
        cells: of the grid, where ``activations`` are a window of it that holds the mask.
    """

    def __init__(
        self, activations: Tensor, mask: Tensor | None = None, cells: int | None = None
    ) -> None:
        self._activations, self._mask = activations, mask
        self._spoilt: Tensor | None = None  # whether a channel is not finite in each mask
        self.cells = activations.shape[-2] * activations.shape[-1] if cells is None else cells

    def copy(self) -> WholeGrid:
        """One whose sums are its own, for a function that may write to them."""
        return WholeGrid(self._activations, self._mask, self.cells)

    @cached_property
    def total(self) -> Tensor:
        """``sum_ab A^k_ab M_ab``, ``(N, C, 1, 1)``."""
        return self._total(self._activations)

    @cached_property
    def positive_total(self) -> Tensor:
        """The same of the positive part of ``A``."""
        return self._total(self._activations.clamp(min=0.0))

    @cached_property
    def negative_total(self) -> Tensor:
        """The same of the negative part of ``A``, as a positive number."""
        return self._total((-self._activations).clamp(min=0.0))

    @cached_property
    def principal_direction(self) -> Tensor:
        """``v`` of unit length with the largest ``sum_ij (sum_k v_k A^k_ij M_ij)^2``.

        ``(N, C, 1, 1)``, with the sign for which the sum over the cells is not negative; NaN where
        an activation is not finite.
        """
        return _principal_direction(self._inside.flatten(2))[..., None, None]

    def _total(self, values: Tensor) -> Tensor:
        """Over the cells of each mask, ``(N, C, 1, 1)``; NaN where it is not finite.

        An infinite one would give another map for a gradient with zeros around it.
        """
        sums = self._sums(values)
        return torch.where(sums.isfinite(), sums, torch.nan)

    def _sums(self, values: Tensor) -> Tensor:
        if self._mask is None:
            return _sum(values)
        inside = self._mask != 0
        if len(values) > 1:
            return _sum(torch.where(inside, values, 0.0))
        if inside.shape[1] > 1:
            return torch.cat([_sum(torch.where(one, values, 0.0)) for one in inside.split(1)])
        finite = _over_cells(inside, values.nan_to_num(0.0, 0.0, 0.0))
        if self._spoilt is None:  # a product would carry it into the sums over all masks
            self._spoilt = _over_cells(inside, (self._activations * 0.0).nan_to_num(1.0)) > 0
        return torch.where(self._spoilt, torch.nan, finite)

    @property
    def _inside(self) -> Tensor:
        if self._mask is None:
            return self._activations
        return torch.where(self._mask != 0, self._activations, 0.0)


def mean_weights(gradients: Tensor, whole: WholeGrid | None = None) -> Tensor:
    """``mean_ij(g^k_ij)``, ``(N, C, 1, 1)``."""
    cells = gradients.shape[-2] * gradients.shape[-1] if whole is None else whole.cells
    return _sum(gradients) / cells


def grad_cam_weights(
    activations: Tensor, gradients: Tensor, whole: WholeGrid | None = None
) -> Tensor:
    """``w_k`` of Grad-CAM, which does not look at the activations."""
    return mean_weights(gradients, whole)


def plus_plus_weights(
    activations: Tensor,
    gradients: Tensor,
    mask: Tensor | None = None,
    whole: WholeGrid | None = None,
) -> Tensor:
    """``w_k = sum_ij alpha^k_ij ReLU(g^k_ij)`` (eq. 6), ``(N, C, 1, 1)``."""
    whole = whole or WholeGrid(activations, mask)
    return _sum(plus_plus_alpha(whole.total, gradients, mask) * gradients.clamp(min=0.0))


def split_weights(
    activations: Tensor,
    gradients: Tensor,
    mask: Tensor | None = None,
    whole: WholeGrid | None = None,
) -> Tensor:
    """Eq. 6 for the layer as 2C channels, ``A = A+ - A-``, which are both >= 0.

    The gradient is ``g`` for ``A+`` and ``-g`` for ``A-``. With their weights ``w+`` and ``w-`` the
    map ``w+ A+ + w- A-`` is ``w A``, with ``w+`` where ``A > 0`` and ``-w-`` elsewhere:
    ``(N, C, h, w)``.
    """
    whole = whole or WholeGrid(activations, mask)
    above = _sum(plus_plus_alpha(whole.positive_total, gradients, mask) * gradients.clamp(min=0.0))
    falling = -gradients
    below = _sum(plus_plus_alpha(whole.negative_total, falling, mask) * falling.clamp(min=0.0))
    return torch.where(activations > 0, above, -below)


def eigen_weights(activations: Tensor, gradients: Tensor, whole: WholeGrid | None = None) -> Tensor:
    """``v_k`` of Eigen-CAM; 0 where no gradient says that the score depends on the layer."""
    direction = (whole or WholeGrid(activations)).principal_direction
    return direction * gradients.ne(0).flatten(1).any(1)[:, None, None, None]


def net_weights(
    activations: Tensor,
    gradients: Tensor,
    mask: Tensor | None = None,
    whole: WholeGrid | None = None,
) -> Tensor:
    """What speaks for each part of a channel minus what speaks against it, ``(N, C, h, w)``.

    With ``A = A+ - A-``, whose gradients are ``g`` and ``-g``, the weight of a part with gradient
    ``p`` is ``sum_ij alpha(p) ReLU(p) - alpha(-p) ReLU(-p)``: that of ``A+`` where ``A > 0``, that
    of ``A-`` elsewhere.
    """
    whole = whole or WholeGrid(activations, mask)
    above, below = (
        _sum(plus_plus_alpha(total, slope, mask) * slope.clamp(min=0.0))
        - _sum(plus_plus_alpha(total, -slope, mask) * (-slope).clamp(min=0.0))
        for total, slope in ((whole.positive_total, gradients), (whole.negative_total, -gradients))
    )
    return torch.where(activations > 0, above, below)


def with_halo(maps: Tensor, mask: Tensor | None, halo: float) -> Tensor:
    """``L + h (G * L)``, with a Gaussian ``G`` as wide as the instance: ``sigma^2`` cells in M.

    ``G`` has no end, and keeps the sum of ``L``, so that ``h`` is the share that is added.
    """
    if not halo:
        return maps
    values = maps.to(torch.promote_types(maps.dtype, torch.float32))
    cells = values.new_full((1,), values[0, 0].numel())
    if mask is not None:  # of every instance, without waiting for the device
        cells = (mask != 0).any(1).flatten(1).sum(1).clamp(min=1).to(values)
    rows, columns = (_spreading(size, cells, values) for size in values.shape[-2:])
    return (values + halo * (rows @ values @ columns.mT)).to(maps)


def _spreading(size: int, variances: Tensor, like: Tensor) -> Tensor:
    """``(N, 1, size, size)``: column ``j`` is a Gaussian around ``j`` whose sum is 1."""
    places = torch.arange(size, device=like.device, dtype=like.dtype)
    squares = (places[:, None] - places) ** 2
    kernels = torch.exp(-0.5 * squares / variances[:, None, None, None])
    return kernels / kernels.sum(-2, keepdim=True)


@weighted_by(grad_cam_weights)
def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """``mean_ij(g^k_ij) A^k`` (Selvaraju et al., ICCV 2017, eq. 1 and 2): Grad-CAM."""
    return mean_weights(gradients) * activations


@weighted_by(plus_plus_weights)
def grad_cam_plus_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    """``w_k A^k`` (Chattopadhay et al., WACV 2018, eq. 5 and 19): Grad-CAM++."""
    return plus_plus_weights(activations, gradients) * activations


@local
def layer_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """``ReLU(g^k) A^k``, cell by cell (Jiang et al., IEEE TIP 2021, eq. 5 and 6): LayerCAM."""
    return gradients.clamp(min=0.0) * activations


@local
def hires_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """``g^k A^k``, cell by cell (Draelos and Carin, 2020, eq. 3): HiResCAM."""
    return gradients * activations


@weighted_by(eigen_weights)
def eigen_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """``v_k A^k``, ``v`` the first right singular vector (Muhammad and Yeasin, 2020): Eigen-CAM."""
    return eigen_weights(activations, gradients) * activations


@local
def odam(activations: Tensor, gradients: Tensor, smoothing: float = 0.0) -> Tensor:
    """``g^k A^k``, cell by cell (Zhao and Chan, ICLR 2023): ODAM."""
    return smoothed(gradients, smoothing) * activations


@local
def ssgrad_cam(
    activations: Tensor, gradients: Tensor, smoothing: float = 0.0, whole: WholeGrid | None = None
) -> Tensor:
    """``mean_ij(g^k_ij) A^k S^k`` (Yamauchi and Ishikawa, ICIP 2022): SSGrad-CAM."""
    return mean_weights(gradients, whole) * activations * space_map(gradients, smoothing)


@local
def ssgrad_cam_plus_plus(
    activations: Tensor,
    gradients: Tensor,
    mask: Tensor | None = None,
    smoothing: float = 0.0,
    signed_activations: SignedActivations = "split",
    whole: WholeGrid | None = None,
) -> Tensor:
    """``w_k A^k S^k`` (Yamauchi, CVPRW 2024, eq. 3): SSGrad-CAM++."""
    kind = signed_activations if isinstance(signed_activations, str) else ""
    if kind == "as_is":
        weights = plus_plus_weights(activations, gradients, mask, whole)
    elif kind == "split":
        weights = split_weights(activations, gradients, mask, whole)
    else:
        raise ValueError(
            f"signed_activations: expected 'split' or 'as_is', got {shown(signed_activations)}."
        )
    return (weights * space_map(gradients, smoothing)) * activations


@finished_by(with_halo)
@local
def ssgrad_cam_plus_minus(
    activations: Tensor,
    gradients: Tensor,
    mask: Tensor | None = None,
    halo: float = 0.01,
    whole: WholeGrid | None = None,
) -> Tensor:
    """``w_k A^k S^k`` of the parts of each channel, net weights, space where a part helps."""
    check_share("halo", halo)
    weights = net_weights(activations, gradients, mask, whole)
    weights = torch.where(
        activations > 0, weights * _share_of_peak(gradients), weights * _share_of_peak(-gradients)
    )
    return weights * activations.abs()


def _share_of_peak(gradients: Tensor) -> Tensor:
    """``ReLU(p) / max ReLU(p)``, 0 for a channel without a positive gradient."""
    return space_map(gradients.clamp(min=0.0))


def space_map(gradients: Tensor, smoothing: float = 0.0) -> Tensor:
    """``S^k_ij = |g^k_ij| / max_ij |g^k_ij|`` (eq. 5), 0 for a channel without gradient."""
    magnitude = smoothed(gradients.abs(), smoothing)
    peak = magnitude.amax(dim=(-2, -1), keepdim=True)
    return magnitude / torch.where(peak > 0, peak, torch.ones_like(peak))


def plus_plus_alpha(total: Tensor, gradients: Tensor, mask: Tensor | None) -> Tensor:
    """``alpha^k_ij = M_ij / (2 + s_k g^k_ij)`` with ``s_k = sum_ab A^k_ab M_ab`` (eq. 10, reduced).

    ``s_k g`` is clamped at 0: alpha is needed only where ``g > 0``, and ``A >= 0`` is assumed.
    """
    alpha = (total * gradients).clamp_(min=0.0).add_(2.0).reciprocal_()
    return alpha if mask is None else alpha * mask.to(alpha.dtype)


def smoothed(maps: Tensor, sigma: float) -> Tensor:
    """Gaussian of standard deviation ``sigma`` cells, cut at 3 sigma, edges replicated."""
    return gaussian_blur(maps, sigma) if smoothing_radius(sigma) else maps


def smoothing_radius(sigma: float) -> int:
    """How many cells :func:`smoothed` reaches."""
    if isinstance(sigma, bool) or not isinstance(sigma, NUMBERS):
        raise TypeError(f"smoothing: expected a width in cells, got {shown(sigma)}.")
    if not sigma >= 0.0:
        raise ValueError(f"smoothing: expected a width in cells >= 0, got {sigma}.")
    if sigma > MOST_SMOOTHING:
        raise ValueError(f"smoothing: expected at most {MOST_SMOOTHING:g} cells, got {sigma}.")
    return gaussian_radius(sigma) if sigma > 0.0 else 0


def _principal_direction(rows: Tensor) -> Tensor:
    """First right singular vector, ``(N, C)``, of each of ``(N, C, cells)`` transposed."""
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    finite = rows.isfinite().all(-1).all(-1)[:, None]
    scale = rows.abs().amax((-2, -1), keepdim=True)
    rows = torch.where(finite[..., None] & (scale > 0), rows / scale, torch.zeros_like(rows))
    channels_first = rows.shape[-2] <= rows.shape[-1]
    # The smaller of the two products has the same largest eigenvalue.
    product = rows @ rows.mT if channels_first else rows.mT @ rows
    # Where there is no double precision, there are no eigenvectors either.
    given = product if has_double(product.device) else product.cpu()
    direction = torch.linalg.eigh(given).eigenvectors[..., -1].to(product.device)
    if not channels_first:
        direction = (rows @ direction[..., None])[..., 0]
        direction = torch.nn.functional.normalize(direction, dim=-1, eps=0.0).nan_to_num()
    along = (direction[..., None] * rows).sum((-2, -1))[:, None]
    direction = torch.where(along < 0, -direction, direction)
    return torch.where(finite, direction, torch.nan)


def _over_cells(masks: Tensor, values: Tensor) -> Tensor:
    """The sums of ``(1, C, h, w)`` over masks ``(N, 1, h, w)`` of true and false."""
    sums = masks.to(values.dtype).flatten(1) @ values[0].flatten(1).mT
    return sums[..., None, None]


def _sum(values: Tensor) -> Tensor:
    """Over the cells, ``(N, C, 1, 1)``."""
    return values.sum(dim=(-2, -1), keepdim=True)
