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

    def __init__(self) -> None:
        self._thread: int | None = threading.get_ident()

    def bind(self, hook: Callable[..., Any]) -> _Bound:
        return _Bound(self, hook)

    def is_here(self) -> bool:
        return self._thread == threading.get_ident()

    def end(self, modules: list[nn.Module]) -> None:
        """Take every hook off, also one whose handle an interrupt has swallowed."""
        self._thread = None
        for module in modules:
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
    modules, session = [*after, *before], _Session()
    try:
        for module, pre_hook in before.items():
            module.register_forward_pre_hook(session.bind(pre_hook))
        for module, hook in after.items():
            module.register_forward_hook(session.bind(hook), prepend=first)
        yield
    finally:
        try:
            session.end(modules)
        finally:  # an interrupt during the first time
            session.end(modules)


class StopForward(Exception):
    """Raised by a hook when everything that is needed has been read."""
