"""What removed pixels become."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

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
            return _blurred(images, settings.blur_sigma, settings.blur_radius)
        return _noise(images, generator)
    fill = torch.as_tensor(baseline, device=images.device).detach().to(images.dtype)
    if fill.dim() == 1 and len(fill) == 3:
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
    noise = torch.rand(images.shape, generator=generator, device=generator.device)
    return noise.to(images)


def _blurred(images: Tensor, sigma: float, radius: int | None) -> Tensor:
    radius = max(int(3.0 * sigma + 0.5), 1) if radius is None else radius
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    planes = images.reshape(-1, 1, *images.shape[-2:])
    planes = F.pad(planes, (radius, radius, radius, radius), mode="replicate")
    planes = F.conv2d(F.conv2d(planes, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
    return planes.reshape(images.shape)
