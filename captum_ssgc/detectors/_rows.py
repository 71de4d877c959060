"""Candidates of an image: those that the detections came from, and all above a score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from captum_ssgc.detectors._precision import at_least_single

ROUNDINGS = 64
ROUNDINGS_OF_HALF = 2  # of a precision in which one of them is a visible distance
MOST_CANDIDATES = 10_000
_COMPARED_AT_ONCE = 1 << 23


def reported_rows(
    scores: Tensor,
    reported: dict[str, Tensor],
    boxes_of: Callable[[Tensor, Tensor], Tensor],
    vendor: str,
) -> Tensor:
    """First row with the reported score at the reported label, and the reported box.

    Scores are compared exactly. Boxes are, too, where the arithmetic is the same on every machine;
    a difference of a few roundings is accepted, as vendors decode a part of the rows only.

    Args:
        scores: ``(R, C)`` of all candidates.
        reported: ``boxes`` ``(K, 4)``, ``labels`` ``(K,)`` and ``scores`` ``(K,)``.
        boxes_of: rows and labels ``(M,)`` to boxes ``(M, 4)``, in the units of the reported ones.
        vendor: whose post-processing this follows, for the error message.

    Returns:
        ``(K,)`` int64.

    Raises:
        ValueError: if a detection is not among the candidates.
    """
    labels, wanted, boxes = reported["labels"], reported["scores"], reported["boxes"]
    count = len(labels)
    if not count:
        return labels.new_zeros(0)
    known = bool(((labels >= 0) & (labels < scores.shape[1])).all())
    if not known or not len(scores):
        raise ValueError(_not_found(count, count, vendor, "no candidate has such a label"))
    detections, rows = _same_scores(scores, labels, wanted)
    away = at_least_single(boxes_of(rows, labels[detections]) - boxes[detections]).abs().amax(-1)
    nearest = away.new_full((count,), float("inf")).scatter_reduce(0, detections, away, "amin")
    chosen = away == nearest[detections]
    first = rows.new_full((count,), len(scores)).scatter_reduce(
        0, detections[chosen], rows[chosen], "amin"
    )
    coarser = max(boxes.dtype, scores.dtype, key=lambda dtype: torch.finfo(dtype).eps)
    elsewhere = ~(nearest <= rounding_of(boxes.to(coarser)))
    missing = int(elsewhere.sum())
    if missing:
        distance = float(nearest[elsewhere].min())
        reason = "no candidate has these scores"
        if distance < float("inf"):
            reason = f"the candidates with these scores have boxes {distance:.4g} pixels away"
        raise ValueError(_not_found(missing, count, vendor, reason))
    return first


def rounding_of(boxes: Tensor) -> Tensor:
    """How far two ways to compute boxes ``(K, 4)`` may lead in the precision that they are in."""
    half = boxes.dtype in (torch.float16, torch.bfloat16)
    roundings = ROUNDINGS_OF_HALF if half else ROUNDINGS
    size = boxes.abs().amax().clamp(min=1.0)
    return roundings * torch.finfo(boxes.dtype).eps * at_least_single(size)


def _same_scores(scores: Tensor, labels: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Every pair of a detection and a row with its score, ``(M,)`` each."""
    likely = (scores.amax(1) >= wanted.min()).nonzero()[:, 0]  # few, but for thresholds near 0
    scores = scores[likely]
    step = max(_COMPARED_AT_ONCE // max(len(likely), 1), 1)
    pairs = []
    for start in range(0, len(labels), step):
        part = slice(start, start + step)
        rows, detections = (scores[:, labels[part]] == wanted[part]).nonzero(as_tuple=True)
        pairs.append((detections + start, likely[rows]))
    detections, rows = (torch.cat(entries) for entries in zip(*pairs, strict=True))
    return detections, rows


def _not_found(missing: int, count: int, vendor: str, reason: str) -> str:
    return (
        f"{missing} of {count} detections were not found among the candidates ({reason}): this "
        f"model does not post-process as {vendor} does; wrap it as your own detector "
        "(captum_ssgc.detectors.CandidateDetector)."
    )


def rows_above(
    scores: Tensor, score_threshold: float, first_label: int, sizes: Sequence[int]
) -> tuple[Tensor, Tensor, list[int]]:
    """Row and label of every score above a threshold, image by image.

    The highest score of an image comes first, and of each image 10,000 are taken at most.

    Args:
        scores: ``(R, C)`` of all candidates.
        score_threshold: the score has to be greater.
        first_label: 1 where column 0 is the background.
        sizes: how many of the rows belong to each image.

    Returns:
        Rows and labels, ``(M,)`` int64 each, equal scores in the order of rows, then labels; and
        how many of them each image has.
    """
    rows, labels = (scores[:, first_label:] > score_threshold).nonzero(as_tuple=True)
    labels = labels + first_label
    order = scores[rows, labels].sort(descending=True, stable=True).indices
    if len(sizes) == 1:
        order = order[:MOST_CANDIDATES]
        return rows[order], labels[order], [len(order)]
    images, ends = levels_of(rows, sizes), _ends(sizes, rows.device)
    before = torch.searchsorted(rows, ends).tolist()
    counts = [stop - start for start, stop in pairwise([0, *before])]
    parts = order[images[order].sort(stable=True).indices].split(counts)
    parts = [part[:MOST_CANDIDATES] for part in parts]
    order = torch.cat(parts)
    return rows[order], labels[order], [len(part) for part in parts]


def levels_of(rows: Tensor, level_sizes: Sequence[int]) -> Tensor:
    """Level of each row ``(K,)``, where the rows of one level follow those of another."""
    return torch.bucketize(rows, _ends(level_sizes, rows.device), right=True)


def _ends(sizes: Sequence[int], device: torch.device) -> Tensor:
    """Where each part ends; of equal parts, as images of one size have, without a transfer."""
    if len(set(sizes)) == 1:
        return torch.arange(1, len(sizes) + 1, device=device) * sizes[0]
    return torch.tensor(sizes, device=device).cumsum(0)
