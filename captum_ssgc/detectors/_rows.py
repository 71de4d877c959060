"""Candidates of an image: those that the detections came from, and all above a score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from captum_ssgc.detections import Detections

ROUNDINGS = 64
MOST_CANDIDATES = 10_000


@dataclass(frozen=True)
class ChosenRows:
    """Some candidates of one image, each with one of its labels.

    Args:
        rows: ``(K,)`` int64, which of the candidates.
        labels: ``(K,)`` int64.
        scores: ``(K,)``, of the label.
        boxes: ``(K, 4)`` xyxy.
        class_scores: ``(K, C)``.
    """

    rows: Tensor
    labels: Tensor
    scores: Tensor
    boxes: Tensor
    class_scores: Tensor

    @classmethod
    def reported(
        cls,
        scores: Tensor,
        reported: dict[str, Tensor],
        boxes_of: Callable[[Tensor], Tensor],
        vendor: str,
    ) -> ChosenRows:
        """The rows of a vendor's report, with the arguments of :func:`reported_rows`."""
        rows = reported_rows(scores, reported, boxes_of, vendor)
        return cls(rows, reported["labels"], reported["scores"], reported["boxes"], scores[rows])

    @classmethod
    def above(
        cls,
        scores: Tensor,
        score_threshold: float,
        boxes_of: Callable[[Tensor], Tensor],
        first_label: int = 0,
    ) -> ChosenRows:
        """What :func:`rows_above` finds, where every row has one box, ``boxes_of(rows)``."""
        rows, labels = rows_above(scores, score_threshold, first_label)
        return cls(rows, labels, scores[rows, labels], boxes_of(rows), scores[rows])

    def detections(
        self, candidates: Tensor, regions: Tensor, levels: Tensor, image_size: tuple[int, int]
    ) -> Detections:
        """These, with what else :class:`Detections` says, where boxes are in image pixels."""
        return Detections(
            boxes=self.boxes,
            labels=self.labels,
            scores=self.scores,
            candidates=candidates,
            regions=regions,
            levels=levels,
            class_scores=self.class_scores,
            image_size=image_size,
        )


def reported_rows(
    scores: Tensor,
    reported: dict[str, Tensor],
    boxes_of: Callable[[Tensor], Tensor],
    vendor: str,
) -> Tensor:
    """First row with the reported score at the reported label, and the reported box.

    Scores are compared exactly. Boxes are, too, where the arithmetic is the same on every machine;
    a difference of a few roundings is accepted, as vendors decode a part of the rows only.

    Args:
        scores: ``(R, C)`` of all candidates.
        reported: ``boxes`` ``(K, 4)``, ``labels`` ``(K,)`` and ``scores`` ``(K,)``.
        boxes_of: rows ``(M,)`` to their boxes ``(M, 4)``, in the units of the reported ones.
        vendor: whose post-processing this follows, for the error message.

    Returns:
        ``(K,)`` int64.

    Raises:
        ValueError: if a detection is not among the candidates.
    """
    labels = reported["labels"].tolist()
    columns = {label: scores[:, label].contiguous() for label in set(labels)}
    matches = [
        (columns[label] == score).nonzero()[:, 0]
        for label, score in zip(labels, reported["scores"], strict=True)
    ]
    boxes = reported["boxes"]
    counts = [len(rows) for rows in matches]
    found = torch.zeros(len(labels), dtype=torch.int64, device=scores.device)
    missing = counts.count(0)
    if sum(counts):
        rows = torch.cat(matches)
        wanted = boxes.repeat_interleave(torch.tensor(counts, device=boxes.device), 0)
        distances = (boxes_of(rows) - wanted).abs().amax(-1)
        size = float(boxes.abs().amax().clamp(min=1.0))
        tolerance = ROUNDINGS * torch.finfo(boxes.dtype).eps * size
        for index, (mine, away) in enumerate(
            zip(rows.split(counts), distances.split(counts), strict=True)
        ):
            if len(mine):
                nearest = int(away.argmin())
                missing += int(not away[nearest] <= tolerance)
                found[index] = mine[nearest]
    if missing:
        raise ValueError(
            f"{missing} of {len(labels)} detections were not found among the candidates: this "
            f"model does not post-process as {vendor} does; wrap it as your own detector "
            "(captum_ssgc.detectors.CandidateDetector)."
        )
    return found


def rows_above(
    scores: Tensor, score_threshold: float, first_label: int = 0
) -> tuple[Tensor, Tensor]:
    """Row and label of every score above a threshold, highest score first, 10,000 at most.

    Args:
        scores: ``(R, C)`` of all candidates.
        score_threshold: the score has to be greater.
        first_label: 1 where column 0 is the background.

    Returns:
        Rows and labels, ``(M,)`` int64 each; equal scores in the order of rows, then labels.
    """
    rows, labels = (scores[:, first_label:] > score_threshold).nonzero(as_tuple=True)
    labels = labels + first_label
    best = scores[rows, labels].sort(descending=True, stable=True).indices[:MOST_CANDIDATES]
    return rows[best], labels[best]


def levels_of(rows: Tensor, level_sizes: Sequence[int]) -> Tensor:
    """Level of each row ``(K,)``, where the rows of one level follow those of another."""
    ends = torch.tensor(level_sizes, device=rows.device).cumsum(0)
    return torch.bucketize(rows, ends, right=True)
