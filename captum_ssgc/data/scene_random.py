"""A frozen random stream: SplitMix64 words turned into integers by integer arithmetic alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

_GAMMA = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_MASK = (1 << 64) - 1


def _mix(word: int) -> int:
    word = ((word ^ (word >> 30)) * _MIX_1) & _MASK
    word = ((word ^ (word >> 27)) * _MIX_2) & _MASK
    return word ^ (word >> 31)


class SplitMix:
    """SplitMix64 with the few integer draws that a scene needs.

    NumPy promises no stable stream for the methods of its generators; this one never changes.

    Args:
        seed: Any integer of at most 64 bits; equal seeds give equal streams.

    References:
        Steele, Lea, Flood: *Fast splittable pseudorandom number generators*, OOPSLA 2014.
    """

    def __init__(self, seed: int) -> None:
        self._state = _mix((seed * _GAMMA + _MIX_1) & _MASK)

    def word(self) -> int:
        """The next 64 bits."""
        self._state = (self._state + _GAMMA) & _MASK
        return _mix(self._state)

    def between(self, low: int, high: int) -> int:
        """An integer from ``low`` to ``high``, both included."""
        return low + (((self.word() >> 32) * (high - low + 1)) >> 32)

    def choice(self, options: Sequence[T]) -> T:
        """One of ``options``, each equally likely."""
        return options[self.between(0, len(options) - 1)]

    def lattice(self, height: int, width: int) -> NDArray[np.int32]:
        """Integers from 0 to 255, shape ``(height, width)``."""
        steps = np.arange(1, height * width + 1, dtype=np.uint64)
        words = np.uint64(self._state) + steps * np.uint64(_GAMMA)
        words = (words ^ (words >> np.uint64(30))) * np.uint64(_MIX_1)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(_MIX_2)
        self._state = (self._state + height * width * _GAMMA) & _MASK
        return (words >> np.uint64(56)).astype(np.int32).reshape(height, width)
