"""ONNX operators element by element, and reductions, as functions of tensors.

Inputs are positional, attributes are keywords, both named as in the ONNX specification. What an
older version of an operator takes as an attribute and a newer one as an input is one parameter.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Axes = Tensor | Sequence[int] | None
# Numbers of ONNX's data types; half precision is computed in single.
DTYPES = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32,
    7: torch.int64, 9: torch.bool, 10: torch.float32, 11: torch.float64, 16: torch.float32,
}  # fmt: skip


def integers(value: Axes) -> list[int]:
    """An attribute or an input of integers."""
    return [int(one) for one in (value.tolist() if isinstance(value, Tensor) else value or ())]


def _divide(a: Tensor, b: Tensor) -> Tensor:
    if a.is_floating_point() or b.is_floating_point():
        return a / b
    return torch.div(a, b, rounding_mode="trunc")


def _modulo(a: Tensor, b: Tensor, *, fmod: int = 0) -> Tensor:
    return torch.fmod(a, b) if fmod else torch.remainder(a, b)


def _power(a: Tensor, b: Tensor) -> Tensor:
    return torch.pow(a, b).to(a.dtype)


def _clip(
    x: Tensor, min: Tensor | float | None = None, max: Tensor | float | None = None
) -> Tensor:
    if min is not None:
        x = torch.maximum(x, _like(x, min))
    if max is not None:
        x = torch.minimum(x, _like(x, max))
    return x


def _like(x: Tensor, bound: Tensor | float) -> Tensor:
    return bound.to(x) if isinstance(bound, Tensor) else x.new_full((), bound)


def _folded(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda *tensors: reduce(function, tensors)


def _mean_of(*tensors: Tensor) -> Tensor:
    total: Tensor = reduce(operator.add, tensors)
    return total / len(tensors)


def _prelu(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x >= 0, x, x * slope)


def _hard_sigmoid(x: Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    return (alpha * x + beta).clamp(0.0, 1.0)


def _leaky_relu(x: Tensor, *, alpha: float = 0.01) -> Tensor:
    return F.leaky_relu(x, alpha)


def _elu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return F.elu(x, alpha)


def _celu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return F.celu(x, alpha)


def _gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    return F.gelu(x, approximate=approximate)


def _swish(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return x * torch.sigmoid(alpha * x)


def _softmax(
    function: Callable[..., Tensor],
) -> Callable[..., Tensor]:
    def run(x: Tensor, *, axis: int | None = None, opset: int) -> Tensor:
        if opset >= 13:
            return function(x, dim=-1 if axis is None else axis)
        axis = (1 if axis is None else axis) % x.dim()  # of the tensor flattened to two axes
        return function(x.flatten(axis), dim=-1).reshape(x.shape)

    return run


def _cast(x: Tensor, *, to: int, saturate: int = 1) -> Tensor:
    if to not in DTYPES:
        raise NotImplementedError(f"a cast to ONNX data type {to}")
    return x.to(DTYPES[to])


def _reduce(
    function: Callable[[Tensor, list[int], bool], Tensor],
) -> Callable[..., Tensor]:
    def run(
        x: Tensor, axes: Axes = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Tensor:
        chosen = integers(axes)
        if not chosen and noop_with_empty_axes:
            return x
        return function(x, chosen or list(range(x.dim())), bool(keepdims))

    return run


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((one % x.dim() for one in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def _mean(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.mean(axes, keepdim=keep)


def _arg(best: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
        if select_last_index:
            last = x.shape[axis] - 1 - best(x.flip(axis), dim=axis, keepdim=bool(keepdims))
            return last
        return best(x, dim=axis, keepdim=bool(keepdims))

    return run


def _top_k(
    x: Tensor, k: Tensor | int, *, axis: int = -1, largest: int = 1, sorted: int = 1
) -> tuple[Tensor, Tensor]:
    # Ranks first, as ONNX takes the earlier one of equals, which torch.topk does not promise.
    order = x.detach().sort(dim=axis, descending=bool(largest), stable=True).indices
    ranks = order.argsort(axis).float()
    places = torch.topk(ranks, int(k), axis, largest=False).indices
    return x.gather(axis, places), places


def _cumulative_sum(x: Tensor, axis: Tensor, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    dim = int(axis)
    x = x.flip(dim) if reverse else x
    total = x.cumsum(dim) - x if exclusive else x.cumsum(dim)
    return total.flip(dim) if reverse else total


def _is_infinite(x: Tensor, *, detect_negative: int = 1, detect_positive: int = 1) -> Tensor:
    return (torch.isposinf(x) & bool(detect_positive)) | (torch.isneginf(x) & bool(detect_negative))


def _identity(x: Tensor, *rest: Any, **options: Any) -> Tensor:
    return x


OPERATORS: dict[str, Callable[..., Any]] = {
    "Abs": torch.abs, "Acos": torch.acos, "Acosh": torch.acosh, "Asin": torch.asin,
    "Asinh": torch.asinh, "Atan": torch.atan, "Atanh": torch.atanh, "Ceil": torch.ceil,
    "Cos": torch.cos, "Cosh": torch.cosh, "Erf": torch.erf, "Exp": torch.exp,
    "Floor": torch.floor, "Log": torch.log, "Neg": torch.neg, "Reciprocal": torch.reciprocal,
    "Round": torch.round, "Sign": torch.sign, "Sin": torch.sin, "Sinh": torch.sinh,
    "Sqrt": torch.sqrt, "Tan": torch.tan, "Tanh": torch.tanh, "IsNaN": torch.isnan,
    "Relu": torch.relu, "Sigmoid": torch.sigmoid, "Softplus": F.softplus, "Softsign": F.softsign,
    "HardSwish": F.hardswish, "Mish": F.mish, "Not": torch.logical_not,
    "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": _divide, "Mod": _modulo,
    "Pow": _power, "And": torch.logical_and, "Or": torch.logical_or, "Xor": torch.logical_xor,
    "Equal": torch.eq, "Greater": torch.gt, "GreaterOrEqual": torch.ge, "Less": torch.lt,
    "LessOrEqual": torch.le, "Where": torch.where, "Max": _folded(torch.maximum),
    "Min": _folded(torch.minimum), "Sum": _folded(torch.add), "Mean": _mean_of, "Clip": _clip,
    "PRelu": _prelu, "LeakyRelu": _leaky_relu, "Elu": _elu, "Celu": _celu, "Gelu": _gelu,
    "Selu": F.selu, "HardSigmoid": _hard_sigmoid, "Swish": _swish, "QuickGelu": _swish,
    "Softmax": _softmax(torch.softmax), "LogSoftmax": _softmax(torch.log_softmax),
    "Cast": _cast, "CastLike": torch.Tensor.to, "Identity": _identity, "Dropout": _identity,
    "IsInf": _is_infinite, "CumSum": _cumulative_sum,
    "ReduceSum": _reduce(lambda x, axes, keep: x.sum(axes, keepdim=keep)),
    "ReduceMean": _reduce(_mean),
    "ReduceMax": _reduce(lambda x, axes, keep: x.amax(axes, keepdim=keep)),
    "ReduceMin": _reduce(lambda x, axes, keep: x.amin(axes, keepdim=keep)),
    "ReduceProd": _reduce(_product),
    "ReduceL1": _reduce(lambda x, axes, keep: x.abs().sum(axes, keepdim=keep)),
    "ReduceL2": _reduce(lambda x, axes, keep: x.square().sum(axes, keepdim=keep).sqrt()),
    "ReduceSumSquare": _reduce(lambda x, axes, keep: x.square().sum(axes, keepdim=keep)),
    "ReduceLogSum": _reduce(lambda x, axes, keep: x.sum(axes, keepdim=keep).log()),
    "ReduceLogSumExp": _reduce(lambda x, axes, keep: x.logsumexp(axes, keepdim=keep)),
    "ArgMax": _arg(torch.argmax), "ArgMin": _arg(torch.argmin), "TopK": _top_k,
}  # fmt: skip
