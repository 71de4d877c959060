"""Double precision for places and sums, which not every device has: Apple's GPUs lack it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from typing import Any

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


def on_host(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Tensors of one device and precision on the host, which waits for the device once."""
    if not tensors:
        return []
    together = torch.cat([one.flatten() for one in tensors]).cpu()
    parts = together.split([one.numel() for one in tensors])
    return [part.reshape(one.shape) for part, one in zip(parts, tensors, strict=True)]


def listed(tensors: Sequence[Tensor]) -> list[list[Any]]:
    """The numbers of each, one after the other; the host waits for their device once."""
    if not tensors:
        return []
    numbers: list[Any] = torch.cat([one.flatten() for one in tensors]).tolist()
    bounds = list(itertools.accumulate((one.numel() for one in tensors), initial=0))
    return [numbers[start:stop] for start, stop in itertools.pairwise(bounds)]
