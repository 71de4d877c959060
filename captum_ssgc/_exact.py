"""Double precision for places and sums, which not every device has: Apple's GPUs lack it."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


@cache
def has_double(device: torch.device) -> bool:
    """Whether a device computes in double precision."""
    try:
        torch.zeros(1, dtype=torch.float64, device=device)
    except (TypeError, RuntimeError):
        return False
    return True


def exact(tensor: Tensor) -> Tensor:
    """In double precision: where it is, or on the host where its device has none."""
    return tensor.double() if has_double(tensor.device) else tensor.cpu().double()


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """On a device; in single precision what comes in double where that has none."""
    single = tensor.dtype == torch.float64 and not has_double(device)
    return tensor.to(device, torch.float32) if single else tensor.to(device)
