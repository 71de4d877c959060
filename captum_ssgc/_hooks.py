"""Forward hooks that last for one call and act only in the thread that set them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

Hook = Callable[[nn.Module, tuple[Any, ...], Any], Any]
PreHook = Callable[[nn.Module, tuple[Any, ...]], Any]


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
    thread = threading.get_ident()

    def only_here(hook: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: hook(*args) if threading.get_ident() == thread else None

    with ExitStack() as stack:
        for module, pre_hook in (before or {}).items():
            stack.callback(module.register_forward_pre_hook(only_here(pre_hook)).remove)
        for module, hook in (after or {}).items():
            stack.callback(module.register_forward_hook(only_here(hook), prepend=first).remove)
        yield


class StopForward(Exception):
    """Raised by a hook when everything that is needed has been read."""
