"""Calls that leave PyTorch's settings and the model's hooks as they were, also when interrupted.

Context managers alone cannot promise that: an interrupt may come while one of them, PyTorch's own
among them, is about to clean up. What a public call may change in its thread is therefore put back
where it began.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import _GeneratorContextManager, suppress
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch.overrides import TorchFunctionMode

from captum_ssgc._hooks import end_sessions, open_sessions

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def leaves_all_as_before(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Decorates a function that must not leave anything behind, however it ends."""

    @wraps(function)
    def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        before = _Settings()
        try:
            try:
                return function(*args, **kwargs)
            except BaseException as error:
                _finish_suspended(error)
                raise
            finally:
                before.restore()
        finally:  # an interrupt may have come during the first time
            before.restore()

    return guarded


class FunctionMode(TorchFunctionMode):
    """A mode whose end does not mind that an interrupt has taken it off the stack already.

    PyTorch takes a mode off while it handles a function, in Python code.
    """

    def __enter__(self) -> Any:
        self._below = _function_modes()
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        _set_function_modes(self._below)


class _Settings:
    """What calls of this package may change in their thread."""

    def __init__(self) -> None:
        self._gradients = torch.is_grad_enabled()
        self._modes = _function_modes()
        self._dispatch_modes = torch._C._len_torch_dispatch_stack()
        self._autocast = {kind: torch.is_autocast_enabled(kind) for kind in ("cpu", "cuda")}
        self._casts = _autocast_depth()
        self._sessions = open_sessions()

    def restore(self) -> None:
        end_sessions(self._sessions)
        torch._C._set_grad_enabled(self._gradients)
        _set_function_modes(self._modes)
        _end_dispatch_modes(self._dispatch_modes)
        for kind, enabled in self._autocast.items():
            torch.set_autocast_enabled(kind, enabled)
        while _autocast_depth() > self._casts:
            torch.autocast_decrement_nesting()


def _function_modes() -> list[Any]:
    count = torch._C._len_torch_function_stack()
    return [torch._C._get_function_stack_at(place) for place in range(count)]


def _set_function_modes(modes: list[Any]) -> None:
    if _function_modes() == modes:
        return
    while torch._C._len_torch_function_stack():
        torch._C._pop_torch_function_stack()
    for mode in modes:
        torch._C._push_on_torch_function_stack(mode)


def _end_dispatch_modes(kept: int) -> None:
    while (count := torch._C._len_torch_dispatch_stack()) > kept:
        with suppress(Exception):  # where an interrupt has come while it was ending
            torch._C._get_dispatch_stack_at(count - 1).__exit__(None, None, None)
        if torch._C._len_torch_dispatch_stack() == count:
            torch._C._pop_torch_dispatch_stack(None)


def _autocast_depth() -> int:
    return (torch.autocast_increment_nesting() + torch.autocast_decrement_nesting()) // 2


def _finish_suspended(error: BaseException | None) -> None:
    """End what an interrupt has kept from ending.

    Its frames hold context managers; left alone these would clean up when the traceback goes, and
    by then change what others have set.
    """
    while error is not None:
        trace = error.__traceback__
        while trace is not None:
            manager = trace.tb_frame.f_locals.get("self")
            with suppress(Exception):  # what else went wrong is not what the caller is told
                if isinstance(manager, _GeneratorContextManager) and hasattr(manager, "gen"):
                    manager.gen.close()
                elif isinstance(manager, torch.inference_mode):
                    manager.__exit__(None, None, None)
            trace = trace.tb_next
        error = error.__context__
