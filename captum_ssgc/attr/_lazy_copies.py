"""Copies of tensors that take memory when somebody writes to one of the two."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor


def lazy_copy(value: Tensor) -> Tensor:
    """A copy, with graph; made at once where PyTorch cannot put that off.

    On a CPU alone: a GPU's would be made on its default stream, whichever is the current one.
    """
    if value.device.type == "cpu":
        with suppress(AttributeError, RuntimeError):  # such as memory of NumPy
            copy: Tensor = torch._lazy_clone(value)
            return copy
    return value.clone()


def is_lazy(value: Tensor) -> bool:
    """Whether it shares its memory with a copy until one of the two is written to."""
    with suppress(AttributeError, RuntimeError):
        lazy: Any = torch._C
        return bool(lazy._is_cow_tensor(value))
    return False
