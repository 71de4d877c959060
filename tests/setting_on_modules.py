"""What people set on modules: it leaves every value as it is and multiplies the gradient."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as of_torch
from torch.utils._pytree import tree_map

FACTOR = 3.0


class _Steeper(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        return values.clone()

    @staticmethod
    def backward(ctx, slope):
        return FACTOR * slope


def steeper(values: Any) -> Any:
    """Every tensor in it, with another gradient."""
    return tree_map(
        lambda one: (
            _Steeper.apply(one) if isinstance(one, Tensor) and one.is_floating_point() else one
        ),
        values,
    )


def _times(gradients: Any) -> Any:
    return tuple(None if one is None else FACTOR * one for one in gradients)


@contextmanager
def _handle(handle: Any, module: nn.Module | None = None):
    try:
        yield
    finally:
        handle.remove()
        if module is not None:  # it keeps for ever whether it had full hooks or those of old
            module._is_full_backward_hook = None


@contextmanager
def _in_place_of(owner: Any, name: str, function: Callable[..., Any]):
    had, before = name in vars(owner), vars(owner).get(name)
    setattr(owner, name, function)
    try:
        yield
    finally:
        delattr(owner, name)
        if had:
            setattr(owner, name, before)


def _instead_of(module: nn.Module, name: str) -> AbstractContextManager[None]:
    old = getattr(module, name)
    return _in_place_of(module, name, lambda *args, **given: steeper(old(*args, **given)))


def _of_class(module: nn.Module) -> AbstractContextManager[None]:
    kind, old = type(module), type(module).forward

    def forward(self, *args, **given):
        return steeper(old(self, *args, **given))

    return _in_place_of(kind, "forward", forward)


def _of_all(module: nn.Module) -> AbstractContextManager[None]:
    """For every module, but it changes one."""
    return _handle(
        of_torch.register_module_forward_hook(
            lambda one, args, output: steeper(output) if one is module else None
        )
    )


SETTINGS: dict[str, Callable[[nn.Module], AbstractContextManager[None]]] = {
    "forward_hook": lambda module: _handle(
        module.register_forward_hook(lambda m, args, output: steeper(output))
    ),
    "forward_pre_hook": lambda module: _handle(
        module.register_forward_pre_hook(
            lambda m, args, given: (steeper(args), steeper(given)), with_kwargs=True
        )
    ),
    "full_backward_hook": lambda module: _handle(
        module.register_full_backward_hook(lambda m, inner, outer: _times(inner)), module
    ),
    "backward_pre_hook": lambda module: _handle(
        module.register_full_backward_pre_hook(lambda m, outer: _times(outer))
    ),
    "legacy_backward_hook": lambda module: _handle(
        module.register_backward_hook(lambda m, inner, outer: _times(inner)), module
    ),
    "hook_of_all": _of_all,
    "forward": lambda module: _instead_of(module, "forward"),
    "_call_impl": lambda module: _instead_of(module, "_call_impl"),
    "forward_of_its_class": _of_class,
}
