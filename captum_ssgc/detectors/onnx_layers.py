"""ONNX operators with weights or windows, and resizing, as functions of tensors.

Normalisations are written out: PyTorch 2.15's own give wrong gradients on CPU for some layouts
(:mod:`captum_ssgc._norm_gradients`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from captum_ssgc.detectors.onnx_arithmetic import OPERATORS as ARITHMETIC
from captum_ssgc.detectors.onnx_resize import resize, upsample
from captum_ssgc.detectors.onnx_shapes import OPERATORS as SHAPES

Sizes = Sequence[int] | None


def _padding(
    x: Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int],
    pads: Sizes, auto_pad: str,
) -> list[int]:  # fmt: skip
    """All begins, then all ends."""
    if auto_pad in ("NOTSET", ""):
        return list(pads) if pads else [0] * 2 * len(kernel)
    if auto_pad == "VALID":
        return [0] * 2 * len(kernel)
    begins, ends = [], []
    for size, side, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True):
        needed = max((-(-size // stride) - 1) * stride + (side - 1) * dilation + 1 - size, 0)
        small, large = needed // 2, needed - needed // 2
        begins.append(small if auto_pad == "SAME_UPPER" else large)
        ends.append(large if auto_pad == "SAME_UPPER" else small)
    return begins + ends


def _padded(x: Tensor, pads: Sequence[int], value: float) -> tuple[Tensor, list[int]]:
    """The input, and the padding that is left for the layer itself, which takes equal sides."""
    axes = len(pads) // 2
    begins, ends = list(pads[:axes]), list(pads[axes:])
    if begins == ends:
        return x, begins
    sides = [side for axis in reversed(range(axes)) for side in (begins[axis], ends[axis])]
    return F.pad(x, sides, value=value), [0] * axes


def _conv(
    x: Tensor, w: Tensor, b: Tensor | None = None, *, auto_pad: str = "NOTSET",
    dilations: Sizes = None, group: int = 1, kernel_shape: Sizes = None, pads: Sizes = None,
    strides: Sizes = None,
) -> Tensor:  # fmt: skip
    axes = w.dim() - 2
    steps, spread = list(strides or [1] * axes), list(dilations or [1] * axes)
    x, sides = _padded(x, _padding(x, w.shape[2:], steps, spread, pads, auto_pad), 0.0)
    run: Callable[..., Tensor] = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    return run(x, w, b, steps, sides, spread, group)


def _conv_transpose(
    x: Tensor, w: Tensor, b: Tensor | None = None, *, auto_pad: str = "NOTSET",
    dilations: Sizes = None, group: int = 1, kernel_shape: Sizes = None,
    output_padding: Sizes = None, pads: Sizes = None, strides: Sizes = None,
) -> Tensor:  # fmt: skip
    axes = w.dim() - 2
    sides = list(pads or [0] * 2 * axes)
    if auto_pad not in ("NOTSET", "VALID") or sides[:axes] != sides[axes:]:
        raise NotImplementedError("ConvTranspose with unequal or automatic padding")
    run: Any = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[axes - 1]
    further = list(output_padding or [0] * axes)
    steps, spread = list(strides or [1] * axes), list(dilations or [1] * axes)
    result: Tensor = run(x, w, b, steps, sides[:axes], further, group, spread)
    return result


def _max_pool(
    x: Tensor, *, kernel_shape: Sequence[int], auto_pad: str = "NOTSET", ceil_mode: int = 0,
    dilations: Sizes = None, pads: Sizes = None, storage_order: int = 0, strides: Sizes = None,
) -> Tensor:  # fmt: skip
    axes = len(kernel_shape)
    steps, spread = list(strides or [1] * axes), list(dilations or [1] * axes)
    amounts = _padding(x, kernel_shape, steps, spread, pads, auto_pad)
    x, sides = _padded(x, amounts, float("-inf"))
    run: Callable[..., Tensor] = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[axes - 1]
    return run(x, list(kernel_shape), steps, sides, spread, bool(ceil_mode))


def _average_pool(
    x: Tensor, *, kernel_shape: Sequence[int], auto_pad: str = "NOTSET", ceil_mode: int = 0,
    count_include_pad: int = 0, dilations: Sizes = None, pads: Sizes = None,
    strides: Sizes = None,
) -> Tensor:  # fmt: skip
    axes = len(kernel_shape)
    if any(one != 1 for one in dilations or ()):
        raise NotImplementedError("AveragePool with dilations")
    steps = list(strides or [1] * axes)
    amounts = _padding(x, kernel_shape, steps, [1] * axes, pads, auto_pad)
    run: Any = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[axes - 1]
    padded, sides = _padded(x, amounts, 0.0)
    options = (list(kernel_shape), steps, sides, bool(ceil_mode))
    mean: Tensor = run(padded, *options)
    if not count_include_pad and any(amounts):
        counted, _ = _padded(torch.ones_like(x), amounts, 0.0)
        mean = mean / run(counted, *options)
    return mean


def _global_pool(function: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: function(x, list(range(2, x.dim())), keepdim=True)


def _gemm(
    a: Tensor, b: Tensor, c: Tensor | None = None, *, alpha: float = 1.0, beta: float = 1.0,
    transA: int = 0, transB: int = 0,  # noqa: N803
) -> Tensor:  # fmt: skip
    product = (a.T if transA else a) @ (b.T if transB else b)
    product = product if alpha == 1.0 else alpha * product
    return product if c is None else product + beta * c


def _batch_norm(
    x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, *,
    epsilon: float = 1e-5, momentum: float = 0.9, training_mode: int = 0, spatial: int = 1,
) -> Tensor:  # fmt: skip
    shape = (-1, *[1] * (x.dim() - 2))
    factor = scale / (variance + epsilon).sqrt()
    return x * factor.reshape(shape) + (bias - mean * factor).reshape(shape)


def _normalised(x: Tensor, axes: list[int], epsilon: float) -> Tensor:
    centred = x - x.mean(axes, keepdim=True)
    return centred / (centred.square().mean(axes, keepdim=True) + epsilon).sqrt()


def _instance_norm(x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    shape = (-1, *[1] * (x.dim() - 2))
    normal = _normalised(x, list(range(2, x.dim())), epsilon)
    return normal * scale.reshape(shape) + bias.reshape(shape)


def _layer_norm(
    x: Tensor, scale: Tensor, bias: Tensor | None = None, *, axis: int = -1,
    epsilon: float = 1e-5, stash_type: int = 1,
) -> Tensor:  # fmt: skip
    normal = _normalised(x, list(range(axis % x.dim(), x.dim())), epsilon) * scale
    return normal if bias is None else normal + bias


def _group_norm(
    x: Tensor, scale: Tensor, bias: Tensor, *, num_groups: int, epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Tensor:  # fmt: skip
    normal = _normalised(x.reshape(len(x), num_groups, -1), [2], epsilon).reshape(x.shape)
    each = x.shape[1] // len(scale)  # until opset 20, one scale for each group
    shape = (-1, *[1] * (x.dim() - 2))
    scale, bias = scale.repeat_interleave(each), bias.repeat_interleave(each)
    return normal * scale.reshape(shape) + bias.reshape(shape)


def _lp_norm(x: Tensor, *, axis: int = -1, p: int = 2) -> Tensor:
    return F.normalize(x, p, axis)


def _grid_sample(
    x: Tensor, grid: Tensor, *, align_corners: int = 0, mode: str = "linear",
    padding_mode: str = "zeros",
) -> Tensor:  # fmt: skip
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    return F.grid_sample(x, grid.to(x), mode, padding_mode, bool(align_corners))


def _einsum(*tensors: Tensor, equation: str) -> Tensor:
    return torch.einsum(equation, *tensors)


def _roi_align(
    x: Tensor, rois: Tensor, batch_indices: Tensor, *, mode: str = "avg", output_height: int = 1,
    output_width: int = 1, sampling_ratio: int = 0, spatial_scale: float = 1.0,
    coordinate_transformation_mode: str | None = None, opset: int,
) -> Tensor:  # fmt: skip
    if mode != "avg":
        raise NotImplementedError(f"RoiAlign with mode {mode!r}")
    default = "half_pixel" if opset >= 16 else "output_half_pixel"
    aligned = (coordinate_transformation_mode or default) == "half_pixel"
    regions = torch.cat([batch_indices[:, None].to(rois), rois], 1)
    size = (output_height, output_width)
    return roi_align(x, regions, size, spatial_scale, sampling_ratio, aligned)


OPERATORS: dict[str, Callable[..., Any]] = {
    **ARITHMETIC,
    **SHAPES,
    "Conv": _conv, "ConvTranspose": _conv_transpose, "MaxPool": _max_pool,
    "AveragePool": _average_pool, "GlobalAveragePool": _global_pool(torch.mean),
    "GlobalMaxPool": _global_pool(torch.amax), "MatMul": torch.matmul, "Gemm": _gemm,
    "Einsum": _einsum, "BatchNormalization": _batch_norm, "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm, "GroupNormalization": _group_norm,
    "LpNormalization": _lp_norm, "Resize": resize, "Upsample": upsample,
    "GridSample": _grid_sample, "RoiAlign": _roi_align,
}  # fmt: skip
