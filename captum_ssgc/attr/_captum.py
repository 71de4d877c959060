"""The private helpers of Captum that are used, and its log: what type checkers cannot see into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from captum import log
from captum._utils.common import (
    _format_additional_forward_args,
    _select_targets,
)
from torch import Tensor

from captum_ssgc._arguments import shown

Function = TypeVar("Function", bound=Callable[..., Any])


def log_usage() -> Callable[[Function], Function]:
    """Captum's decorator of :meth:`attribute`, with the signature kept."""
    decorator: Callable[[Function], Function] = log.log_usage()
    return decorator


def call_forward(
    forward_func: Callable[..., Any], inputs: Any, target: Any, additional_forward_args: Any
) -> Tensor:
    """The selected outputs of ``forward_func``, one per example, as Captum selects them.

    Raises:
        ValueError: if ``target`` does not choose one output per example.
    """
    further = _format_additional_forward_args(additional_forward_args) or ()
    output = forward_func(*(plain(entry) for entry in as_tuple(inputs)), *further)
    try:
        return _select_targets(output, target)
    except AssertionError as error:
        raise ValueError(f"target: {error}") from None


def as_tuple(inputs: Any) -> tuple[Tensor, ...]:
    """Captum's tuple of inputs.

    Raises:
        TypeError: if they are neither a tensor nor a tuple of tensors.
    """
    entries = inputs if isinstance(inputs, tuple) else (inputs,)
    if not entries or not all(isinstance(entry, Tensor) for entry in entries):
        raise TypeError(f"inputs: expected a tensor or a tuple of tensors, got {shown(inputs)}.")
    return entries


def like_inputs(inputs: Any, result: Any) -> Any:
    """Inputs in a tuple give a tuple, as everywhere in Captum."""
    return (result,) if isinstance(inputs, tuple) and isinstance(result, Tensor) else result


def plain(tensor: Any) -> Any:
    """The tensor outside of any graph and of inference mode."""
    if not isinstance(tensor, Tensor):
        return tensor
    return tensor.clone() if tensor.is_inference() else tensor.detach()
