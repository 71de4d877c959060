"""What a call leaves to Python's garbage collector, which may come much later."""

from __future__ import annotations

import gc
from collections.abc import Callable

from torch import Tensor


def tensors_left_by(call: Callable[[], object]) -> list[Tensor]:
    """Tensors that are still there after a second call whose result is not kept.

    Objects that refer to one another are freed by the collector alone, whatever they hold.
    """
    call()  # what is made once and kept
    gc.collect()
    gc.disable()
    try:
        before = _tensors()
        known = {id(one) for one in before}
        call()
        return [one for one in _tensors() if id(one) not in known]
    finally:
        gc.enable()


def _tensors() -> list[Tensor]:
    return [one for one in gc.get_objects() if issubclass(type(one), Tensor)]
