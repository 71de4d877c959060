"""Gradients in half precision, where they may leave its range on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import CheckpointError

_SHIFTS = (0, 6, 12)  # powers of two by which the value is made smaller


def gradients_of(
    value: Tensor, tensors: Sequence[Tensor], options: dict[str, Any]
) -> Sequence[Tensor | None]:
    """``torch.autograd.grad(value, tensors, **options)``, finite where float16 allows it.

    Float16 ends at 65,504. Where a gradient of a float16 layer is not finite, a smaller value goes
    back instead, and what arrives is made as much larger again, in float32; what was small then
    rounds to zero. bfloat16 has the range of float32.

    Args:
        value: one number, with graph.
        tensors: that it was computed from.
        options: of ``torch.autograd.grad``.

    Returns:
        One gradient per tensor, float32 instead of float16.

    Raises:
        ValueError: if the network computes a part of itself again, without the recorded layers, or
            has compiled a part of itself.
    """
    half = any(tensor.dtype == torch.float16 for tensor in tensors)
    if not half or "grad_outputs" in options:
        return _gradients(value, tensors, **options)
    options = {**options, "retain_graph": True}
    slopes: list[Tensor | None] = []
    for shift in _SHIFTS:
        seed = torch.full_like(value, 2.0**-shift)
        scaled = _gradients(value, tensors, seed, **options)
        slopes = [None if slope is None else slope.float() * 2.0**shift for slope in scaled]
        if all(slope is None or bool(torch.isfinite(slope).all()) for slope in slopes):
            break
    return slopes


def _gradients(*args: Any, **options: Any) -> Sequence[Tensor | None]:
    try:
        return torch.autograd.grad(*args, **options)
    except RuntimeError as error:
        if isinstance(error, CheckpointError) or "checkpoint" in str(error):
            raise ValueError(
                "the network uses activation checkpointing, which runs a part of it a second time: "
                "switch it off, with model.set_grad_checkpointing(False) (timm) or "
                "model.gradient_checkpointing_disable() (transformers)."
            ) from error
        if "donated buffer" in str(error):
            raise ValueError(
                "a part of the network is compiled, so that there is one way back through it: put "
                "the part that torch.compile was given in its place (its _orig_mod)."
            ) from error
        raise
