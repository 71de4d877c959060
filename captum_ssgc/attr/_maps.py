"""The methods as pure functions of activations and gradients.

Every method takes ``activations`` and ``gradients`` of shape ``(N, C, h, w)`` and returns the
contribution of each channel, ``(N, C, h, w)``; the heat map is their sum over the channels, after
which a ReLU follows. ``k`` numbers channels, ``i, j`` cells. What a method takes besides (``mask``,
``smoothing``, ...) becomes an argument of its class, see :mod:`captum_ssgc.attr._options`.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

SignedActivations = Literal["split", "as_is"]


def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """``mean_ij(g^k_ij) A^k`` (Selvaraju et al., ICCV 2017, eq. 1 and 2): Grad-CAM."""
    return mean_weights(gradients) * activations


def grad_cam_plus_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    """``w_k A^k`` (Chattopadhay et al., WACV 2018, eq. 5 and 19): Grad-CAM++."""
    return plus_plus_weights(activations, gradients) * activations


def odam(activations: Tensor, gradients: Tensor, smoothing: float = 0.0) -> Tensor:
    """``g^k A^k``, cell by cell (Zhao and Chan, ICLR 2023): ODAM."""
    return gaussian_blur(gradients, smoothing) * activations


def ssgrad_cam(activations: Tensor, gradients: Tensor, smoothing: float = 0.0) -> Tensor:
    """``mean_ij(g^k_ij) A^k S^k`` (Yamauchi and Ishikawa, ICIP 2022): SSGrad-CAM."""
    return mean_weights(gradients) * activations * space_map(gradients, smoothing)


def ssgrad_cam_plus_plus(
    activations: Tensor,
    gradients: Tensor,
    mask: Tensor | None = None,
    smoothing: float = 0.0,
    signed_activations: SignedActivations = "split",
) -> Tensor:
    """``w_k A^k S^k`` (Yamauchi, CVPRW 2024, eq. 3): SSGrad-CAM++."""
    if signed_activations not in ("split", "as_is"):
        raise ValueError(
            f"signed_activations: expected 'split' or 'as_is', got {signed_activations!r}."
        )
    space = space_map(gradients, smoothing)
    if signed_activations == "as_is":
        return plus_plus_weights(activations, gradients, mask) * activations * space
    above, below = activations.clamp(min=0.0), (-activations).clamp(min=0.0)
    weights_above = plus_plus_weights(above, gradients, mask)
    weights_below = plus_plus_weights(below, -gradients, mask)
    return (weights_above * above + weights_below * below) * space


def space_map(gradients: Tensor, smoothing: float = 0.0) -> Tensor:
    """``S^k_ij = |g^k_ij| / max_ij |g^k_ij|`` (eq. 5), 0 for a channel without gradient."""
    magnitude = gaussian_blur(gradients.abs(), smoothing)
    peak = magnitude.amax(dim=(-2, -1), keepdim=True)
    return torch.where(peak > 0, magnitude / peak, torch.zeros_like(magnitude))


def mean_weights(gradients: Tensor) -> Tensor:
    """``mean_ij(g^k_ij)``, ``(N, C, 1, 1)``."""
    return gradients.mean(dim=(-2, -1), keepdim=True)


def plus_plus_weights(activations: Tensor, gradients: Tensor, mask: Tensor | None = None) -> Tensor:
    """``w_k = sum_ij alpha^k_ij ReLU(g^k_ij)`` (eq. 6), ``(N, C, 1, 1)``."""
    weighted = plus_plus_alpha(activations, gradients, mask) * gradients.clamp(min=0.0)
    return weighted.sum(dim=(-2, -1), keepdim=True)


def plus_plus_alpha(activations: Tensor, gradients: Tensor, mask: Tensor | None = None) -> Tensor:
    """``alpha^k_ij = M_ij / (2 + s_k g^k_ij)`` with ``s_k = sum_ab A^k_ab M_ab`` (eq. 10, reduced).

    ``s_k g`` is clamped at 0: alpha is needed only where ``g > 0``, and ``A >= 0`` is assumed.
    """
    inside = torch.ones_like(activations) if mask is None else mask.to(activations.dtype)
    total = (activations * inside).sum(dim=(-2, -1), keepdim=True)
    return inside / (2.0 + (total * gradients).clamp(min=0.0))


def gaussian_blur(maps: Tensor, sigma: float) -> Tensor:
    """Gaussian of standard deviation ``sigma`` cells, cut at 3 sigma, edges replicated."""
    if sigma < 0.0:
        raise ValueError(f"smoothing: expected a width in cells >= 0, got {sigma}.")
    if sigma == 0.0:
        return maps
    radius = max(int(3.0 * sigma + 0.5), 1)
    offsets = torch.arange(-radius, radius + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    flat = maps.reshape(-1, 1, *maps.shape[-2:])
    flat = F.conv2d(F.pad(flat, (radius, radius, 0, 0), mode="replicate"), kernel.view(1, 1, 1, -1))
    flat = F.conv2d(F.pad(flat, (0, 0, radius, radius), mode="replicate"), kernel.view(1, 1, -1, 1))
    return flat.reshape(maps.shape)
