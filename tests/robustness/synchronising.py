"""Counts the operations for which the host has to wait for a device."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import torch
from robustness.interrupting import OURS
from torch import Tensor
from torch.overrides import TorchFunctionMode

WAITING = {
    *(Tensor.item, Tensor.tolist, Tensor.__bool__, Tensor.__int__, Tensor.__float__),
    *(Tensor.__index__, Tensor.cpu, Tensor.numpy, Tensor.__array__, Tensor.__contains__),
    *(Tensor.nonzero, torch.nonzero, torch.equal, Tensor.equal, torch.allclose, Tensor.allclose),
    *(Tensor.unique, torch.unique, Tensor.masked_select, torch.masked_select),
}


class Waits(TorchFunctionMode):
    """How often this package waits, by its own lines."""

    def __init__(self) -> None:
        super().__init__()
        self.places: Counter[str] = Counter()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in WAITING or (func is Tensor.__getitem__ and _by_mask(args[1])):
            frame: Any = sys._getframe(1)
            while frame.f_code.co_name == "__torch_function__":  # a mode that passes it on
                frame = frame.f_back
            file = frame.f_code.co_filename
            if file.startswith(OURS):
                self.places[f"{file[len(OURS[0]) + 1 :]}:{frame.f_lineno}"] += 1
        return func(*args, **(kwargs or {}))


def _by_mask(index: Any) -> bool:
    entries = index if isinstance(index, tuple) else (index,)
    return any(isinstance(entry, Tensor) and entry.dtype == torch.bool for entry in entries)
