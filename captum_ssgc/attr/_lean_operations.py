"""Operations with PyTorch's values and derivatives whose way back keeps less in memory.

A graph is kept while every detection of an image goes back through it, so that its size is much of
what an explanation takes beyond the detector's own forward.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``torch.nn.functional.batch_norm`` by constant statistics: its way back needs no input."""
    if training or running_mean is None or running_var is None or not input.requires_grad:
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    given = (running_mean, running_var, weight, bias)
    constants = [None if one is None else one.detach() for one in given]
    result: Tensor = _BatchNorm.apply(input, *constants, eps)
    return result


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``torch.nn.functional.relu``: its way back needs one bit of each value, held in a byte."""
    if not input.requires_grad or (inplace and input._is_view()):
        return F.relu(input, inplace)
    result: Tensor = _ReLU.apply(input, inplace)
    return result


def relu_(input: Tensor) -> Tensor:
    """``torch.relu_``, as :func:`relu`."""
    return relu(input, inplace=True)


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        mean: Tensor,
        variance: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
    ) -> Tensor:
        exact = torch.promote_types(variance.dtype, torch.float32)
        slope = torch.rsqrt(variance.to(exact) + eps)
        ctx.slope = slope if weight is None else slope * weight
        return F.batch_norm(input, mean, variance, weight, bias, eps=eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient = gradients[0]
        slope = ctx.slope.view(-1, *[1] * (gradient.dim() - 2))
        return (gradient * slope).to(gradient.dtype), None, None, None, None, None


class _ReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, inplace: bool) -> Tensor:
        result = F.relu(input, inplace)
        ctx.is_flat = result <= 0
        if inplace:
            ctx.mark_dirty(input)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0].masked_fill(ctx.is_flat, 0.0), None
