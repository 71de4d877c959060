"""Truths about the values of a tensor, a bit each."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

WORTH_PACKING = 2**14
_GATHER = 0x0102040810204080  # eight bytes of 0 or 1, times this: a bit of each in the highest byte
_COPIES = 0x0101010101010101
_SPREAD = 0x8040201008040201 - 2**64  # one bit of each of eight bytes
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


class Bits:
    """Which values of a tensor are marked.

    A bit each where there are many on a CPU; else a byte, as it is the number of operations that
    takes time there.

    Args:
        marked: truths.
    """

    def __init__(self, marked: Tensor) -> None:
        self._size = marked.shape
        self._is_packed = marked.device.type == "cpu" and marked.numel() >= WORTH_PACKING
        self._marked = _packed(marked) if self._is_packed else marked

    @property
    def entries(self) -> int:
        """How many bytes are held."""
        return self._marked.numel()

    def cleared(self, values: Tensor) -> Tensor:
        """``values`` of the same shape, zero where marked, whatever is there.

        Autograd follows where it is on.
        """
        if not self._is_packed:
            return values.masked_fill(self._marked, 0.0)
        count = self._size.numel()
        spread = (self._marked.to(torch.int64) * _COPIES).bitwise_and_(_SPREAD)
        bytes_ = spread.view(torch.uint8)[:count].view(self._size)
        if torch.is_grad_enabled() and values.requires_grad:
            return values.masked_fill(bytes_ != 0, 0.0)
        whole = _INTEGERS[values.element_size()]  # several times as fast as filling
        kept = bytes_.to(whole).sub_(1).bitwise_right_shift_(8 * values.element_size() - 1)
        return kept.bitwise_and_(values.view(whole)).view(values.dtype)


def _packed(marked: Tensor) -> Tensor:
    flat = marked.reshape(-1)
    flat = F.pad(flat, (0, -len(flat) % 8))
    gathered = (flat.view(torch.int64) * _GATHER).bitwise_right_shift_(56)
    return gathered.to(torch.uint8)
