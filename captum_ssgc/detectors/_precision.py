"""Images in the precision that a model computes in, and what it gives in one that maps need."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def cast_like(images: Tensor, model: nn.Module) -> Tensor:
    """``images`` in the floating-point type of the model's parameters."""
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    return images.to(dtype)


def own_images(images: Tensor, model: nn.Module) -> Tensor:
    """As :func:`cast_like`, in memory of their own: what takes them may write to them."""
    cast = cast_like(images, model)
    return images.clone() if cast is images else cast


def only_precision(model: nn.Module) -> torch.dtype | None:
    """The floating-point type of the model's parameters, if they have one."""
    found = {p.dtype for p in model.parameters() if p.is_floating_point()}
    return found.pop() if len(found) == 1 else None


def at_least_single(tensor: Tensor) -> Tensor:
    """``tensor`` in float32, or in float64 where it is: probabilities round to 1 in less."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
