"""Which instance each example asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from captum_ssgc._arguments import whole_numbers
from captum_ssgc.detections import Detections
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
    entries = whole_numbers("target", target)
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


def targeted_instances(
    wrapper: InstanceScoreWrapper, images: Tensor, target: Any, additional_forward_args: Any
) -> tuple[Detections, list[int]]:
    """The detection that each example asks for, one row for each, and its index.

    Args:
        wrapper: knows the detections of each reference image.
        images: ``(N, 3, H, W)``.
        target: see :func:`target_indices`.
        additional_forward_args: the wrapper's ``image_index``, where it takes one.

    Raises:
        IndexError: if an index is out of range.
        TypeError, ValueError: for another wrong target or ``image_index``.
    """
    index = additional_forward_args
    if isinstance(index, tuple):
        index = index[0] if index else None
    references = wrapper.detections_for(images, index)
    count = max(len(entry) for entry in references)
    indices = target_indices(target, len(references), count)
    for row, (reference, wanted) in enumerate(zip(references, indices, strict=True)):
        if wanted >= len(reference):
            raise IndexError(
                f"target {wanted} of example {row} does not exist: its reference image has "
                f"{len(reference)} detections."
            )
    chosen = [entry[k] for entry, k in zip(references, indices, strict=True)]
    return Detections.cat(chosen), indices


def single_image_targets(
    wrapper: InstanceScoreWrapper | None, images: Tensor, targets: Sequence[int] | None
) -> tuple[InstanceScoreWrapper, list[int]]:
    """The chosen detections of the one reference image.

    Args:
        wrapper: the forward function, ``None`` where it is no wrapper.
        images: ``(1, 3, H, W)``.
        targets: indices of detections; ``None`` for all.

    Raises:
        IndexError: if an index is out of range.
        ValueError: if there is no wrapper of one reference image, or not one image.
    """
    if wrapper is None or not wrapper.single_reference:
        raise ValueError(
            "attribute_instances needs captum_ssgc.InstanceScoreWrapper of one reference image "
            "as forward_func."
        )
    if images.dim() != 4 or images.shape[0] != 1:
        raise ValueError(f"inputs: expected (1, 3, H, W), got {tuple(images.shape)}.")
    count = len(wrapper.detections[0])
    chosen = list(range(count)) if targets is None else [int(entry) for entry in targets]
    if not chosen:
        raise ValueError("targets: expected at least one detection, got none.")
    return wrapper, target_indices(chosen, len(chosen), count)
