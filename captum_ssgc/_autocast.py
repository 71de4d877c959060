"""Arithmetic that keeps its own precision whatever the caller's autocast says."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def own_precision(device: torch.device) -> AbstractContextManager[object]:
    """The body runs outside of ``torch.autocast``."""
    if device.type not in ("cpu", "cuda") or not torch.is_autocast_enabled(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
