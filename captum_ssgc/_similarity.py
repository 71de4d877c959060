"""How alike two detections are: the overlap of their boxes, times the cosine of their classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou

from captum_ssgc._polygons import polygon_iou
from captum_ssgc.detections import Detections
from captum_ssgc.detector import ClassCandidates

_PAIRS_AT_ONCE = 1 << 20


def overlaps(one: Detections, other: Detections) -> Tensor:
    """IoU of every box of ``one`` with every box of ``other``, ``(K, J)``; 0 where both are empty.

    That of the oriented boxes where both have corners. On the device of ``other``, and in its
    precision.
    """
    if one.corners is not None and other.corners is not None:
        return polygon_iou(one.corners.to(other.corners.device), other.corners)
    return box_iou(one.boxes.to(other.boxes), other.boxes).nan_to_num()


def similarities(one: Detections, other: Detections) -> Tensor:
    """IoU of the boxes times the cosine of the class scores, ``(K, J)`` in [0, 1].

    The similarity of D-RISE (Petsiuk et al., CVPR 2021) without its objectness, which is the score
    s2 of Yamauchi (CVPRW 2024, eq. 11).
    """
    theirs = other.class_scores
    theirs = theirs.to(torch.promote_types(theirs.dtype, torch.float32))
    ours = one.class_scores.to(theirs)
    cosines = F.normalize(ours, dim=-1) @ F.normalize(theirs, dim=-1).mT
    return (overlaps(one, other) * cosines).clamp(0.0, 1.0)


def largest_of_each_image(
    compared: Callable[[Detections, Detections], Tensor],
    ours: Detections,
    found: Sequence[Detections],
) -> Tensor:
    """The largest value that each detection has with what was found on each image.

    Args:
        compared: ``K`` and ``J`` detections to ``(K, J)`` values of at least 0, each of its pair
            alone: those of several images come as one.
        ours: ``K`` detections.
        found: of each of ``N`` images.

    Returns:
        ``(N, K)``; 0 where nothing was found.
    """
    counts = [len(one) for one in found]
    runs = _runs([len(ours)] * len(found), counts)
    return torch.cat([_largest(compared, ours, found[run]) for run in runs])


def largest_of_own_image(
    compared: Callable[[Detections, Detections], Tensor],
    ours: Sequence[Detections],
    found: Sequence[Detections],
) -> Tensor:
    """The largest value that the detections of each image have with what was found on that image.

    Args:
        compared: as for :func:`largest_of_each_image`.
        ours: ``K_n`` of each image.
        found: of each image.

    Returns:
        ``(K_1 + ... + K_N,)``; 0 where nothing was found.
    """
    counts = [len(one) for one in ours]
    largest = []
    for run in _runs(counts, [len(one) for one in found]):
        together = Detections.cat([replace(one, masks=None) for one in ours[run]])
        values = _largest(compared, together, found[run])
        images = _owners(counts[run], values.device)
        largest.append(values.gather(0, images[None])[0])
    return torch.cat(largest)


def _largest(
    compared: Callable[[Detections, Detections], Tensor],
    ours: Detections,
    found: Sequence[Detections],
) -> Tensor:
    values = compared(ours, Detections.cat(found))
    images = _owners([len(one) for one in found], values.device)
    least = values.new_zeros(len(values), len(found))
    return least.scatter_reduce(1, images.expand_as(values), values, "amax").T


def _owners(counts: Sequence[int], device: torch.device) -> Tensor:
    """``[2, 0, 1]`` to ``[0, 0, 2]``."""
    numbers = torch.tensor(counts, device=device)
    return torch.arange(len(counts), device=device).repeat_interleave(
        numbers, output_size=sum(counts)
    )


def _runs(ours: Sequence[int], theirs: Sequence[int]) -> Iterator[slice]:
    """Images that follow one another, as many as may be compared at once, one at least."""
    start = 0
    for stop in range(1, len(theirs) + 1):
        longer = slice(start, stop + 1)
        if stop == len(theirs) or sum(ours[longer]) * sum(theirs[longer]) > _PAIRS_AT_ONCE:
            yield slice(start, stop)
            start = stop


def own_class_similarities(one: Detections, candidates: ClassCandidates) -> Tensor:
    """The same, with each candidate's box for the own class and all its scores, ``(K, R)``.

    As in VX-CODE (Yamauchi, Kera, Kawamoto, CVPR 2026): the cosine includes the background, and
    there is no threshold.
    """
    theirs, boxes = candidates.distributions, candidates.boxes
    ours = candidates.own.to(theirs)
    cosines = F.normalize(ours, dim=-1) @ F.normalize(theirs, dim=-1).mT
    pairs = zip(one.boxes.to(boxes), boxes, strict=True)
    overlaps = [box_iou(box[None], others)[0].nan_to_num() for box, others in pairs]
    overlap = torch.stack(overlaps) if overlaps else cosines
    return (overlap * cosines).clamp(0.0, 1.0)
