"""Which instance each example asks for."""

from __future__ import annotations

from typing import Any

import torch

from captum_ssgc.instance_score import InstanceScoreWrapper


def target_indices(target: Any, examples: int, count: int) -> list[int]:
    """One detection index per example.

    Args:
        target: an int for all examples, or a list or 1-D tensor with one per example; ``None``
            where there is one detection only.
        examples: number of examples.
        count: number of detections.

    Raises:
        IndexError: if an index is out of range.
        TypeError, ValueError: if ``target`` is nothing of the above.
    """
    if target is None:
        if count != 1:
            raise ValueError(
                f"target: expected the index of a detection, 0..{count - 1}, got None."
            )
        target = 0
    if isinstance(target, tuple) and len(target) == 1:
        target = target[0]
    index = torch.as_tensor(target)
    if index.is_floating_point() or index.dtype == torch.bool or index.dim() > 1:
        raise TypeError(f"target: expected int, a list of int or an int tensor, got {target!r}.")
    entries = index.reshape(-1).tolist()
    if len(entries) == 1:
        entries = entries * examples
    if len(entries) != examples:
        raise ValueError(f"target: expected 1 or {examples} entries, got {len(entries)}.")
    for entry in entries:
        if not 0 <= entry < count:
            raise IndexError(
                f"target {entry} is out of range: there are {count} detections, 0..{count - 1}."
            )
    return entries


def target_layer_advice(wrapper: InstanceScoreWrapper | None) -> str:
    """What to use instead of a layer that does not work."""
    if wrapper is None:
        return "choose a layer of the model that runs once and leads to the score."
    names = list(wrapper.detector.target_layers())
    if not names:
        return "choose a layer that runs once and leads to the score."
    return f"use one of {', '.join(map(repr, names))} (detector.target_layers())."
