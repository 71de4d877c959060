"""ONNX operators that move, select and join entries, as functions of tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ssgc.detectors.onnx_arithmetic import Axes, integers


def _reshape(x: Tensor, shape: Axes = None, *, allowzero: int = 0) -> Tensor:
    sizes = integers(shape)
    if not allowzero:
        sizes = [x.shape[place] if size == 0 else size for place, size in enumerate(sizes)]
    return x.reshape(sizes)


def _flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    return x.reshape(math.prod(x.shape[:axis]), -1)


def _transpose(x: Tensor, *, perm: Sequence[int] | None = None) -> Tensor:
    return x.permute(*(perm or range(x.dim() - 1, -1, -1)))


def _squeeze(x: Tensor, axes: Axes = None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(tuple(integers(axes)))


def _unsqueeze(x: Tensor, axes: Axes = None) -> Tensor:
    chosen = integers(axes)
    for axis in sorted(one % (x.dim() + len(chosen)) for one in chosen):
        x = x.unsqueeze(axis)
    return x


def _concat(*tensors: Tensor, axis: int = 1) -> Tensor:
    return torch.cat(tensors, axis)


def _split(
    x: Tensor, split: Axes = None, *, axis: int = 0, num_outputs: int | None = None, outputs: int
) -> tuple[Tensor, ...]:
    if split is not None:
        return x.split(integers(split), axis)
    size, count = x.shape[axis], num_outputs or outputs
    each = -(-size // count)
    return x.split([max(min(each, size - place * each), 0) for place in range(count)], axis)


def _slice(x: Tensor, starts: Axes, ends: Axes, axes: Axes = None, steps: Axes = None) -> Tensor:
    begins, stops = integers(starts), integers(ends)
    chosen = integers(axes) if axes is not None else list(range(len(begins)))
    strides = integers(steps) if steps is not None else [1] * len(begins)
    for axis, begin, stop, stride in zip(chosen, begins, stops, strides, strict=True):
        size = x.shape[axis]
        if stride > 0:
            index: list[slice] = [slice(None)] * x.dim()
            index[axis] = slice(begin, stop, stride)
            x = x[tuple(index)]
        else:
            places = range(size)[slice(begin, None if stop < -size else stop, stride)]
            reversed_places = torch.arange(len(places), device=x.device) * stride
            x = x.index_select(axis, reversed_places + places.start)
    return x


def _gather(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    axis %= x.dim()
    entries = x.index_select(axis, _positive(indices, x.shape[axis]).reshape(-1))
    return entries.reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def _gather_elements(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    return x.gather(axis, _positive(indices, x.shape[axis]))


def _gather_nd(x: Tensor, indices: Tensor, *, batch_dims: int = 0) -> Tensor:
    if batch_dims:
        parts = [
            _gather_nd(one, place, batch_dims=batch_dims - 1)
            for one, place in zip(x, indices, strict=True)
        ]
        return torch.stack(parts)
    return x[tuple(indices.long().unbind(-1))]


def _scatter_nd(x: Tensor, indices: Tensor, updates: Tensor, *, reduction: str = "none") -> Tensor:
    if reduction not in ("none", "add"):
        raise NotImplementedError(f"ScatterND with reduction {reduction!r}")
    places = tuple(indices.long().unbind(-1))
    return x.index_put(places, updates, accumulate=reduction == "add")


def _scatter_elements(
    x: Tensor, indices: Tensor, updates: Tensor, *, axis: int = 0, reduction: str = "none"
) -> Tensor:
    places = _positive(indices, x.shape[axis])
    if reduction == "none":
        return x.scatter(axis, places, updates)
    names = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}
    return x.scatter_reduce(axis, places, updates, names[reduction])


def _positive(indices: Tensor, size: int) -> Tensor:
    places = indices.long()
    return torch.where(places < 0, places + size, places)


def _expand(x: Tensor, shape: Axes) -> Tensor:
    return x.expand(torch.broadcast_shapes(x.shape, tuple(integers(shape))))


def _tile(x: Tensor, repeats: Axes) -> Tensor:
    return x.repeat(*integers(repeats))


def _pad(
    x: Tensor,
    pads: Axes = None,
    constant_value: Tensor | None = None,
    axes: Axes = None,
    *,
    mode: str = "constant",
    value: float = 0.0,
) -> Tensor:
    """Any number of axes; ``pads`` lists all begins, then all ends."""
    amounts = integers(pads)
    chosen = integers(axes) if axes is not None else list(range(x.dim()))
    begins, ends = amounts[: len(chosen)], amounts[len(chosen) :]
    if mode == "constant":
        by_axis = {axis % x.dim(): both for axis, *both in zip(chosen, begins, ends, strict=True)}
        both_sides = [by_axis.get(axis, [0, 0]) for axis in reversed(range(x.dim()))]
        filling = value if constant_value is None else constant_value.item()
        return F.pad(x, [side for pair in both_sides for side in pair], value=filling)
    for axis, begin, end in zip(chosen, begins, ends, strict=True):
        size = x.shape[axis]
        places = torch.arange(-begin, size + end, device=x.device)
        if mode == "reflect":
            places = (size - 1) - ((places % max(2 * size - 2, 1)) - (size - 1)).abs()
        elif mode == "wrap":
            places = places % size
        else:
            places = places.clamp(0, size - 1)
        x = x.index_select(axis, places)
    return x


def _shape(x: Tensor, *, start: int = 0, end: int | None = None) -> Tensor:
    return torch.tensor(list(x.shape)[start:end], dtype=torch.int64, device="cpu")


def _constant_of_shape(shape: Tensor, *, value: Tensor | None = None) -> Tensor:
    filling = torch.zeros(1, device="cpu", dtype=torch.float32) if value is None else value
    return filling.reshape(()).expand(integers(shape)).clone()


def _range(start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    return torch.arange(
        start.item(), limit.item(), delta.item(), dtype=start.dtype, device=start.device
    )


def _eye_like(x: Tensor, *, k: int = 0, dtype: int | None = None) -> Tensor:
    return torch.ones_like(x).triu(k).tril(k)


def _trilu(x: Tensor, k: Tensor | None = None, *, upper: int = 1) -> Tensor:
    offset = 0 if k is None else int(k)
    return x.triu(offset) if upper else x.tril(offset)


def _depth_to_space(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    n, c, h, w = x.shape
    b = blocksize
    if mode == "CRD":
        return F.pixel_shuffle(x, b)
    parts = x.reshape(n, b, b, c // (b * b), h, w).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(n, c // (b * b), h * b, w * b)


def _space_to_depth(x: Tensor, *, blocksize: int) -> Tensor:
    n, c, h, w = x.shape
    b = blocksize
    parts = x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(n, c * b * b, h // b, w // b)


def _non_zero(x: Tensor) -> Tensor:
    return x.nonzero().T


def _one_hot(indices: Tensor, depth: Tensor, values: Tensor, *, axis: int = -1) -> Tensor:
    count = int(depth)
    hot = _positive(indices, count)[..., None] == torch.arange(count, device=indices.device)
    return torch.where(hot, values[1], values[0]).movedim(-1, axis)


OPERATORS: dict[str, Callable[..., Any]] = {
    "Reshape": _reshape, "Flatten": _flatten, "Transpose": _transpose, "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze, "Concat": _concat, "Split": _split, "Slice": _slice,
    "Gather": _gather, "GatherElements": _gather_elements, "GatherND": _gather_nd,
    "ScatterND": _scatter_nd, "ScatterElements": _scatter_elements, "Scatter": _scatter_elements,
    "Expand": _expand, "Tile": _tile, "Pad": _pad, "Shape": _shape,
    "Size": lambda x: torch.tensor(x.numel(), device="cpu"), "ConstantOfShape": _constant_of_shape,
    "Range": _range, "EyeLike": _eye_like, "Trilu": _trilu, "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth, "NonZero": _non_zero, "OneHot": _one_hot,
}  # fmt: skip
