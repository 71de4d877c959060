"""Convolutions that go back from the part of a gradient alone that is not zero.

The gradient of one detection's score is zero in most cells of a head's grid; PyTorch goes through
all of them.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input

from captum_ssgc._windows import nonzero_windows
from captum_ssgc.attr._lazy_copies import is_lazy

WORTH_A_LOOK = 64  # multiplications for each entry of the gradient that is looked at
LARGEST_SHARE = 0.5  # of the grid, beyond which all of it is gone through


def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """``torch.conv2d`` with constant weights, to the last digit, and another way back.

    Where the way back is short anyway, or finding what is not zero would make a device wait, it is
    PyTorch's own.
    """
    own = torch.conv2d
    if weight.shape[-2:] == (1, 1) and is_lazy(input):
        # PyTorch's own of one thread has such an input copied for good (seen: 2.15).
        input = input.clone()
    if (
        input.device.type != "cpu"
        or input.dim() != 4
        or not input.requires_grad
        or weight.requires_grad
        or (bias is not None and bias.requires_grad)
        or isinstance(padding, str)
        or weight.numel() // weight.shape[0] < WORTH_A_LOOK
    ):
        return own(input, weight, bias, stride, padding, dilation, groups)
    pairs = (_pair(stride), _pair(padding), _pair(dilation))
    result: Tensor = _SparseConvolution.apply(input, weight, bias, *pairs, groups)
    return result


class _SparseConvolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
        dilation: tuple[int, int],
        groups: int,
    ) -> Tensor:
        ctx.size, ctx.weight = list(input.shape), weight
        ctx.stride, ctx.padding, ctx.dilation, ctx.groups = stride, padding, dilation, groups
        return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient = gradients[0]
        weight = ctx.weight.to(gradient.dtype)
        options = {"stride": ctx.stride, "dilation": ctx.dilation, "groups": ctx.groups}
        window = nonzero_windows([gradient.detach()])[0]
        height, width = window.size
        if window.is_empty:
            at_input = gradient.new_zeros(ctx.size)
        elif height * width > LARGEST_SHARE * gradient.shape[-2] * gradient.shape[-1]:
            at_input = conv2d_input(ctx.size, weight, gradient, padding=ctx.padding, **options)
        else:
            part = F.conv_transpose2d(window.of(gradient), weight, **options)
            margins = []
            for axis, start in ((-1, window.left), (-2, window.top)):
                before = start * ctx.stride[axis] - ctx.padding[axis]
                margins += [before, ctx.size[axis] - before - part.shape[axis]]
            at_input = F.pad(part, margins)  # negative ones cut off what lies in the padding
        return at_input, None, None, None, None, None, None


def _pair(value: Any) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int) else tuple(value) * (3 - len(value))
    return first, second
