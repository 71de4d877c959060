"""Gradients of several values of one run, at once where that is faster."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from captum_ssgc.attr._half_gradients import gradients_of
from captum_ssgc.attr._row_gradients import entries_at_once

GRADIENTS_AT_ONCE = 10
ENTRIES_AT_ONCE = 2**21  # of the layers' gradients; those on the way there come on top
_OPTIONS = {"retain_graph": True, "allow_unused": True}


def at_once(entries: int, device: torch.device) -> int:
    """How many gradients of so many entries are held on whole grids."""
    most = min(ENTRIES_AT_ONCE, entries_at_once(device))
    return max(min(GRADIENTS_AT_ONCE, most // max(entries, 1)), 1)


def gradients_of_each(
    values: Tensor, rows: Sequence[int], tensors: Sequence[Tensor]
) -> list[Sequence[Tensor | None]]:
    """Of some entries of ``values`` ``(K,)``, which keep their graph, at each of ``tensors``.

    A GPU has done an operation before Python has asked for the next: there, one way back serves all
    entries, as a batch, wherever PyTorch can do that with the network's operations. On a CPU it
    is not faster, and convolutions go back from a part of the grid alone.

    Returns:
        For each of the rows as :func:`gradients_of`; ``None`` where the value does not depend on
        a tensor.
    """
    if not values.requires_grad:
        return [[None] * len(tensors) for _ in rows]
    if _is_worth_it(values, rows, tensors):
        try:
            return _as_a_batch(values, rows, tensors)
        except (RuntimeError, NotImplementedError):  # an operation has no such way back
            pass
    return [gradients_of(values[row], tensors, dict(_OPTIONS)) for row in rows]


def _is_worth_it(values: Tensor, rows: Sequence[int], tensors: Sequence[Tensor]) -> bool:
    half = any(tensor.dtype == torch.float16 for tensor in tensors)  # may go back several times
    return values.device.type == "cuda" and len(rows) > 1 and not half


def _as_a_batch(
    values: Tensor, rows: Sequence[int], tensors: Sequence[Tensor]
) -> list[Sequence[Tensor | None]]:
    places: list[int] = []

    def back(seed: Tensor) -> tuple[Tensor, ...]:
        slopes = torch.autograd.grad(values, tensors, seed, **_OPTIONS)
        places[:] = [place for place, slope in enumerate(slopes) if slope is not None]
        return tuple(slope for slope in slopes if slope is not None)

    each_value = torch.eye(len(values), dtype=values.dtype, device=values.device)
    seeds = torch.stack([each_value[row] for row in rows])
    with warnings.catch_warnings():  # that some operation is done for each by itself
        warnings.simplefilter("ignore")
        batched = torch.func.vmap(back)(seeds)
    each: list[list[Tensor | None]] = [[None] * len(tensors) for _ in rows]
    for place, slopes in zip(places, batched, strict=True):
        for own, slope in zip(each, slopes, strict=True):
            own[place] = slope
    return [*each]
