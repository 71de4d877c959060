"""Which instances are asked for, on which images: read in one way, whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from captum_ssgc._arguments import whole_numbers
from captum_ssgc.attr._captum import as_tuple
from captum_ssgc.detections import Detections
from captum_ssgc.instance_score import InstanceScoreWrapper

Targets = int | Sequence[int] | Tensor | None


@dataclass(frozen=True)
class Asked:
    """The instances of one call, one row for each map.

    Args:
        wrapper: knows them.
        images: ``(N, 3, H, W)``.
        instances: one for each example, or all those of one image.
        indices: of them, among the detections of their image.
    """

    wrapper: InstanceScoreWrapper
    images: Tensor
    instances: Detections
    indices: list[int]


def asked_of_examples(
    wrapper: InstanceScoreWrapper, inputs: Any, target: Any, additional_forward_args: Any
) -> Asked:
    """One detection of each example.

    Args:
        wrapper: knows the detections of each reference image.
        inputs: ``(N, 3, H, W)``, or a tuple of that.
        target: an index of a detection for all examples, or a list or 1-D tensor with one per
            example; ``None`` where there is one detection only.
        additional_forward_args: the wrapper's ``image_index``, where it takes one.

    Raises:
        IndexError: if an index is out of range.
        TypeError, ValueError: for another wrong target, input or ``image_index``.
    """
    images = _one_tensor(inputs)
    index = additional_forward_args
    if isinstance(index, tuple):
        index = index[0] if index else None
    references = wrapper.detections_for(images, index)
    count = max(len(entry) for entry in references)
    if target is None and count == 1:
        target = 0
    elif target is None:
        raise ValueError(f"target: expected the index of a detection, 0..{count - 1}, got None.")
    examples, indices = len(references), _numbers("target", target)
    if len(indices) == 1:
        indices = indices * examples
    if len(indices) != examples:
        raise ValueError(f"target: expected 1 or {examples} entries, got {len(indices)}.")
    _check_range(indices, count)
    for row, (reference, wanted) in enumerate(zip(references, indices, strict=True)):
        if wanted >= len(reference):
            raise IndexError(
                f"target {wanted} of example {row} does not exist: its reference image has "
                f"{len(reference)} detections."
            )
    chosen = [entry[k] for entry, k in zip(references, indices, strict=True)]
    return Asked(wrapper, images, Detections.cat(chosen), indices)


def asked_of_image(wrapper: InstanceScoreWrapper | None, inputs: Any, targets: Targets) -> Asked:
    """Chosen detections of the one reference image.

    Args:
        wrapper: the forward function, ``None`` where it is no wrapper.
        inputs: ``(1, 3, H, W)``, or a tuple of that.
        targets: an index of a detection, a list or 1-D tensor of them; ``None`` for all.

    Raises:
        IndexError: if an index is out of range.
        TypeError, ValueError: if there is no wrapper of one reference image, or not one image, or
            for other wrong targets.
    """
    if wrapper is None or not wrapper.single_reference:
        raise ValueError(
            "attribute_instances needs captum_ssgc.InstanceScoreWrapper of one reference image "
            "as forward_func."
        )
    images = _one_tensor(inputs)
    if images.dim() != 4 or images.shape[0] != 1:
        raise ValueError(f"inputs: expected (1, 3, H, W), got {tuple(images.shape)}.")
    [reference] = wrapper.detections_for(images)
    indices = _numbers("targets", range(len(reference)) if targets is None else targets)
    if not indices:
        raise ValueError("targets: expected at least one detection, got none.")
    _check_range(indices, len(reference))
    with torch.inference_mode(False):  # else they could not be saved for the backward
        return Asked(wrapper, images, reference[indices], indices)


def _one_tensor(inputs: Any) -> Tensor:
    tensors = as_tuple(inputs)
    if len(tensors) != 1:
        raise ValueError(f"inputs: expected one tensor of images, got {len(tensors)} tensors.")
    return tensors[0]


def _numbers(name: str, value: Any) -> list[int]:
    """A single index may stand in a tuple, as everywhere in Captum."""
    alone = isinstance(value, tuple) and len(value) == 1
    return whole_numbers(name, value[0] if alone else value)


def _check_range(indices: list[int], count: int) -> None:
    for index in indices:
        if not 0 <= index < count:
            raise IndexError(
                f"target {index} is out of range: there are {count} detections, 0..{count - 1}."
            )
