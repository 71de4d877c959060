"""Activations of layers and gradients of a score with respect to them.

The only module that uses private helpers of Captum.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from captum._utils.common import (
    _format_additional_forward_args,
    _format_tensor_into_tuples,
    _select_targets,
)
from torch import Tensor, nn

from captum_ssgc._hooks import forward_hooks
from captum_ssgc._norm_gradients import sound_norm_gradients

_freezing = threading.Lock()
_frozen: dict[int, int] = {}  # id of a parameter -> how many calls have frozen it


class LayerCapture:
    """The tensors that layers give (or take) during one forward, ready to be differentiated."""

    def __init__(self, layers: Sequence[nn.Module], of_input: bool = False) -> None:
        self.layers = list(layers)
        self.of_input = of_input
        self._calls: dict[nn.Module, list[Any]] = {layer: [] for layer in layers}

    def before(self, layer: nn.Module, args: tuple[Any, ...]) -> Any:
        if not args:
            self._calls[layer].append(None)
            return None
        return (self._keep(layer, args[0]), *args[1:])

    def after(self, layer: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        return self._keep(layer, output)

    def _keep(self, layer: nn.Module, value: Any) -> Any:
        if not isinstance(value, Tensor):
            self._calls[layer].append(value)
            return value
        if not value.requires_grad:
            value = value.detach().requires_grad_()
        self._calls[layer].append(value)
        return value.clone()  # what follows may change it in place

    def tensors(self, name_of: Callable[[nn.Module], str], advice: str) -> list[Tensor]:
        """One tensor per layer.

        Raises:
            ValueError: if a layer did not run, ran more than once, or gave no tensor.
        """
        found = []
        for layer in self.layers:
            calls = self._calls[layer]
            if len(calls) == 1 and isinstance(calls[0], Tensor):
                found.append(calls[0])
                continue
            name = name_of(layer)
            if not calls:
                raise ValueError(
                    f"layer {name!r} did not run in the forward pass, so it is not on the path to "
                    f"the score; {advice}"
                )
            if len(calls) > 1:
                raise ValueError(
                    f"layer {name!r} ran {len(calls)} times in one forward pass (a head shared by "
                    f"the levels of a pyramid, say), so it has no single activation map; {advice}"
                )
            raise ValueError(
                f"layer {name!r}: expected a tensor, got {type(calls[0]).__name__}; for a feature "
                "pyramid pass a list of its level layers, or name them when the model is wrapped "
                f"(level_layers=...); {advice}"
            )
        return found


@contextmanager
def capturing(
    forward_func: Callable[..., Any], layers: Sequence[nn.Module], of_input: bool = False
) -> Iterator[LayerCapture]:
    """Record ``layers`` during the body, with gradients on and the parameters frozen.

    The graph starts at the layers, as nothing below them requires a gradient.
    """
    capture = LayerCapture(layers, of_input)
    model = forward_func if isinstance(forward_func, nn.Module) else None
    hooks = (
        forward_hooks(before=dict.fromkeys(capture.layers, capture.before))
        if of_input
        else forward_hooks(after=dict.fromkeys(capture.layers, capture.after), first=True)
    )
    with (
        frozen_parameters(model),
        torch.inference_mode(False),
        torch.enable_grad(),
        sound_norm_gradients(model),
        hooks,
    ):
        yield capture


@contextmanager
def frozen_parameters(model: nn.Module | None) -> Iterator[None]:
    """``requires_grad=False`` for the body; safe when several threads do so at once."""
    mine = []
    with _freezing:
        for parameter in [] if model is None else model.parameters():
            if parameter.requires_grad or id(parameter) in _frozen:
                _frozen[id(parameter)] = _frozen.get(id(parameter), 0) + 1
                parameter.requires_grad_(False)
                mine.append(parameter)
    try:
        yield
    finally:
        with _freezing:
            for parameter in mine:
                _frozen[id(parameter)] -= 1
                if not _frozen[id(parameter)]:
                    del _frozen[id(parameter)]
                    parameter.requires_grad_(True)


def call_forward(
    forward_func: Callable[..., Any], inputs: Any, target: Any, additional_forward_args: Any
) -> Tensor:
    """The selected outputs of ``forward_func``, one per example, as Captum selects them."""
    further = _format_additional_forward_args(additional_forward_args) or ()
    output = forward_func(*(plain(entry) for entry in as_tuple(inputs)), *further)
    return _select_targets(output, target)


def gradients_of(
    score: Tensor, tensors: Sequence[Tensor], grad_kwargs: dict[str, Any] | None = None
) -> list[Tensor | None]:
    """``d score / d tensor`` for each tensor; ``None`` where the score does not depend on it."""
    if not score.requires_grad:
        return [None] * len(tensors)
    options = {"allow_unused": True, **(grad_kwargs or {})}
    return list(torch.autograd.grad(score, list(tensors), **options))


def as_tuple(inputs: Any) -> tuple[Tensor, ...]:
    """Captum's tuple of inputs."""
    return _format_tensor_into_tuples(inputs)


def plain(tensor: Any) -> Any:
    """The tensor outside of any graph and of inference mode."""
    if not isinstance(tensor, Tensor):
        return tensor
    return tensor.clone() if tensor.is_inference() else tensor.detach()
