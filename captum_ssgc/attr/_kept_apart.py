"""What operations keep for their way back, moved out of the way of what comes and goes.

PyTorch asks for memory at multiples of 64 bytes, for which the C library (seen: glibc 2.36) needs
a little more than that: the hole that a temporary map leaves between two that are kept is too small
for the next map of the same size. A head that keeps every second of its maps then takes twice what
it keeps. A copy in memory of exactly its size fits into such a hole.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

LARGE = 2**18  # bytes: what is smaller finds its place


def keeping_apart(operation: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``operation``, which keeps copies of large maps on a CPU.

    For operations whose input is needed by nothing else, as that of a normalisation mostly is.
    """

    @wraps(operation)
    def keeping(input: Tensor, *args: object, **options: object) -> Tensor:
        size = input.numel() * input.element_size()
        worth_it = input.requires_grad and size >= LARGE and input.is_contiguous()
        if input.device.type != "cpu" or not (worth_it and _hooks_are_allowed()):
            return operation(input, *args, **options)
        with saved_tensors_hooks(_moved, _as_it_is):
            return operation(input, *args, **options)

    return keeping


def _hooks_are_allowed() -> bool:
    """Not within ``torch.autograd.graph.disable_saved_tensors_hooks``."""
    autograd: Any = torch._C._autograd
    return bool(autograd._saved_tensors_hooks_is_enabled())


def _moved(value: Tensor) -> Tensor:
    """What is small, such as statistics, stays: nothing else has it."""
    size = value.numel() * value.element_size()
    if size < LARGE // 2:  # half of the input's precision may have been asked for
        return value
    memory = torch.from_numpy(np.empty(size, dtype=np.uint8))
    return memory.view(value.dtype).view(value.shape).copy_(value.detach())


def _as_it_is(kept: Tensor) -> Tensor:
    return kept
