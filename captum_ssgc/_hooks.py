"""Forward hooks that last for one call and act only in the thread that set them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

Hook = Callable[[nn.Module, tuple[Any, ...], Any], Any]
PreHook = Callable[[nn.Module, tuple[Any, ...]], Any]


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
