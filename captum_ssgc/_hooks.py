"""Hooks: ours, for one call and one thread, and what others have set on modules."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules import module as of_torch

Hook = Callable[[nn.Module, tuple[Any, ...], Any], Any]
PreHook = Callable[[nn.Module, tuple[Any, ...]], Any]
_KINDS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


class _Session:
    """The hooks of one call: they know their thread, and are silent once the call has ended."""

    def __init__(self, modules: list[nn.Module]) -> None:
        self._thread: int | None = threading.get_ident()
        self._modules = modules

    def bind(self, hook: Callable[..., Any]) -> _Bound:
        return _Bound(self, hook)

    def is_here(self) -> bool:
        return self._thread == threading.get_ident()

    def end(self) -> None:
        """Take every hook off, also one whose handle an interrupt has swallowed."""
        self._thread = None
        for module in self._modules:
            for hooks in (module._forward_pre_hooks, module._forward_hooks):
                for key in [key for key, hook in list(hooks.items()) if self._owns(hook)]:
                    hooks.pop(key, None)

    def _owns(self, hook: Any) -> bool:
        return isinstance(hook, _Bound) and hook.session is self


class _Bound:
    def __init__(self, session: _Session, hook: Callable[..., Any]) -> None:
        self.session, self.hook = session, hook

    def __call__(self, *args: Any) -> Any:
        return self.hook(*args) if self.session.is_here() else None


class _Open(threading.local):
    """The sessions of this thread that have not ended, the innermost one last."""

    def __init__(self) -> None:
        self.sessions: tuple[_Session, ...] = ()


_open = _Open()


def open_sessions() -> tuple[_Session, ...]:
    """Those of this thread."""
    return _open.sessions


def end_sessions(outer: tuple[_Session, ...]) -> None:
    """End those of this thread that began after ``outer``."""
    for session in reversed(_open.sessions[len(outer) :]):
        session.end()
    _open.sessions = outer


@contextmanager
def forward_hooks(
    after: Mapping[nn.Module, Hook] | None = None,
    before: Mapping[nn.Module, PreHook] | None = None,
    first: bool = False,
) -> Iterator[None]:
    """Run with hooks set before and after modules; they go at the end, also on an exception.

    What a hook returns replaces the module's input or output, unless it is ``None``. With
    ``first``, the hooks that others have set after the modules see what these give back.
    """
    after, before = after or {}, before or {}
    outer, session = open_sessions(), _Session([*after, *before])
    try:
        _open.sessions = (*outer, session)
        for module, pre_hook in before.items():
            module.register_forward_pre_hook(session.bind(pre_hook))
        for module, hook in after.items():
            module.register_forward_hook(session.bind(hook), prepend=first)
        yield
    finally:
        end_sessions(outer)


class StopForward(Exception):
    """Raised by a hook when everything that is needed has been read."""


def left_alone(modules: Iterable[nn.Module]) -> bool:
    """Whether nobody has set anything on modules that may change what they give, or its gradient.

    What goes around modules, or runs them on a part of their input, asks this first: what others
    have set may change the gradient and no value, so that values cannot tell. It is hooks of any
    kind, of one module or of all, and functions in the place of methods, of a module or of its
    class. Hooks of this package do not count, nor does a method that stands in for another
    one of its own class, as in Ultralytics' fused convolutions.
    """
    given = list(modules)
    return (
        not any(getattr(of_torch, f"_global{kind}") for kind in _KINDS)
        and all(map(_is_as_written, set(map(type, given))))
        and not any(map(_is_watched, given))
    )


def _is_watched(module: nn.Module) -> bool:
    own = vars(module)
    for kind in _KINDS:
        hooks = own.get(kind)
        if hooks and not all(isinstance(hook, _Bound) for hook in list(hooks.values())):
            return True
    # Most modules have no callable attribute, and this is asked of many.
    return any(map(callable, own.values())) and any(
        callable(value)
        and callable(getattr(type(module), name, None))
        and not _is_own_method(module, value)
        for name, value in list(own.items())
    )


def _is_own_method(module: nn.Module, method: Any) -> bool:
    function = getattr(method, "__func__", None)
    own = getattr(type(module), getattr(function, "__name__", ""), None)
    return function is not None and function is own and method.__self__ is module


def _is_as_written(kind: type[nn.Module]) -> bool:
    """Whether a class runs what its package, or a decorator of PyTorch, says."""
    for name in ("__call__", "forward"):
        home = next(one for one in kind.__mro__ if name in vars(one))
        package = home.__module__.partition(".")[0]
        function = vars(home)[name]
        while function is not None:
            # Unlike its name and its module, a function's globals cannot be taken over from others;
            # those of a traced graph have no name.
            given = getattr(function, "__globals__", {"__name__": type(function).__module__})
            if given.get("__name__", package).partition(".")[0] not in (package, "torch"):
                return False
            function = getattr(function, "__wrapped__", None)
    return True
