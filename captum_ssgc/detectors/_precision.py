"""Images in the precision that a model computes in."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def cast_like(images: Tensor, model: nn.Module) -> Tensor:
    """``images`` in the floating-point type of the model's parameters."""
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    return images.to(dtype)
