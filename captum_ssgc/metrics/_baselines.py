"""What removed pixels become."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_ssgc._gaussian import gaussian_blur
from captum_ssgc.metrics.curve_settings import CurveSettings


def baseline_images(
    images: Tensor, settings: CurveSettings, generator: torch.Generator | None
) -> Tensor:
    """``(N, 3, H, W)``, the images with every pixel removed.

    Raises:
        ValueError: for a baseline that does not fit the images.
    """
    baseline = settings.baseline
    if isinstance(baseline, str):
        if baseline == "zero":
            return torch.zeros_like(images)
        if baseline == "mean":
            return images.mean((-2, -1), keepdim=True).expand_as(images).contiguous()
        if baseline == "blur":
            return gaussian_blur(images, settings.blur_sigma, settings.blur_radius)
        return _noise(images, generator)
    fill = torch.as_tensor(baseline, device=images.device, dtype=images.dtype).detach()
    if fill.dim() == 1 and len(fill) == images.shape[1]:
        fill = fill[:, None, None]
    try:
        return fill.expand_as(images).contiguous()
    except RuntimeError:
        raise ValueError(
            f"baseline: expected a shape that broadcasts to {tuple(images.shape)}, got "
            f"{tuple(fill.shape)}."
        ) from None


def _noise(images: Tensor, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    noise = torch.rand(
        images.shape, generator=generator, device=generator.device, dtype=torch.float32
    )
    return noise.to(images)
