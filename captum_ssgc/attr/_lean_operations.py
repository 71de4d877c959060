"""Operations with PyTorch's values and derivatives whose way back keeps less in memory.

A graph is kept while every detection of an image goes back through it, so that its size is much of
what an explanation takes beyond the detector's own forward.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ssgc.attr._bits import Bits

_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")


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
    given = (running_mean, running_var, weight, bias)
    constant = not any(one is not None and one.requires_grad for one in given)
    known = running_mean is not None and running_var is not None and not training
    if not (constant and known and input.requires_grad):
        return F.batch_norm(input, *given, training, momentum, eps)
    result: Tensor = _BatchNorm.apply(input, *given, eps)
    return result


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``torch.nn.functional.relu``: its way back needs one bit of each value."""
    if not input.requires_grad or (inplace and input._is_view()):
        return F.relu(input, inplace)
    result: Tensor = _ReLU.apply(input, inplace)
    return result


def relu_(input: Tensor) -> Tensor:
    """``torch.relu_``, as :func:`relu`."""
    return relu(input, inplace=True)


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """``torch.nn.functional.grid_sample``: no way back of constant places needs the input."""
    if grid.requires_grad or not input.requires_grad or input.dim() != 4:
        return F.grid_sample(input, grid, mode, padding_mode, align_corners)
    result: Tensor = _GridSample.apply(input, grid, mode, padding_mode, align_corners)
    return result


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
        ctx.is_flat = Bits(result <= 0)
        if inplace:
            ctx.mark_dirty(input)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return ctx.is_flat.cleared(gradients[0]), None


class _GridSample(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        grid: Tensor,
        mode: str,
        padding_mode: str,
        align_corners: bool | None,
    ) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.size = input.shape
        ctx.kind = (_MODES.index(mode), _PADDINGS.index(padding_mode), bool(align_corners))
        return F.grid_sample(input, grid, mode, padding_mode, align_corners)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        [grid] = ctx.saved_tensors
        unread = gradients[0].new_zeros(()).expand(ctx.size)
        back = torch.ops.aten.grid_sampler_2d_backward
        return (
            back(gradients[0], unread, grid, *ctx.kind, [True, False])[0],
            *[None] * 4,
        )
