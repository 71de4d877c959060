"""The private helpers of Captum that are used, and its log: what type checkers cannot see into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from captum import log
from captum._utils.common import (
    _format_additional_forward_args,
    _format_tensor_into_tuples,
    _select_targets,
)
from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])


def log_usage() -> Callable[[Function], Function]:
    """Captum's decorator of :meth:`attribute`, with the signature kept."""
    decorator: Callable[[Function], Function] = log.log_usage()
    return decorator


def call_forward(
    forward_func: Callable[..., Any], inputs: Any, target: Any, additional_forward_args: Any
) -> Tensor:
    """The selected outputs of ``forward_func``, one per example, as Captum selects them."""
    further = _format_additional_forward_args(additional_forward_args) or ()
    output = forward_func(*(plain(entry) for entry in as_tuple(inputs)), *further)
    return _select_targets(output, target)


def as_tuple(inputs: Any) -> tuple[Tensor, ...]:
    """Captum's tuple of inputs."""
    return _format_tensor_into_tuples(inputs)


def plain(tensor: Any) -> Any:
    """The tensor outside of any graph and of inference mode."""
    if not isinstance(tensor, Tensor):
        return tensor
    return tensor.clone() if tensor.is_inference() else tensor.detach()
