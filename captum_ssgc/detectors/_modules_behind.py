"""The networks that a function runs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from typing import Any

from torch import nn

_DEEPEST = 3


def modules_behind(function: Any) -> list[nn.Module]:
    """The modules that a function, method or callable object refers to; a module itself.

    What it closes over, has as defaults, or names among the variables of its file or its object.
    """
    modules: list[nn.Module] = []
    for module in _modules(function, _DEEPEST):
        if not any(module is other for other in modules):
            modules.append(module)
    inside = {id(part) for module in modules for part in module.modules() if part is not module}
    return [module for module in modules if id(module) not in inside]


def uncompiled(network: Any) -> Any:
    """What ``torch.compile`` was given, where it made this of it."""
    for name in ("_orig_mod", "_torchdynamo_orig_callable"):
        network = getattr(network, name, network)
    return network


def _modules(thing: Any, depth: int) -> Iterator[nn.Module]:
    if isinstance(thing, nn.Module):
        yield thing
    elif depth and not isinstance(thing, type) and not inspect.ismodule(thing):
        for other in _referred(thing):
            yield from _modules(other, depth - 1)


def _referred(thing: Any) -> Iterator[Any]:
    if isinstance(thing, functools.partial):
        yield from (thing.func, *thing.args, *thing.keywords.values())
    elif inspect.isfunction(thing):
        yield from (thing.__defaults__ or ())
        yield from (thing.__kwdefaults__ or {}).values()
        variables = inspect.getclosurevars(thing)
        yield from (*variables.nonlocals.values(), *variables.globals.values())
    elif callable(thing):
        method = thing if inspect.ismethod(thing) else type(thing).__call__
        function = getattr(method, "__func__", method)
        owner = getattr(thing, "__self__", thing)
        if isinstance(owner, nn.Module):
            yield owner
        elif inspect.isfunction(function):
            held = getattr(owner, "__dict__", {})
            yield from (held[name] for name in function.__code__.co_names if name in held)
            yield function
