"""What a changed image says about a detection: s1 and s2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from captum_ssgc._similarity import (
    largest_of_own_image,
    overlaps,
    own_class_similarities,
    similarities,
)
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector
from captum_ssgc.metrics.curve_settings import CurveSettings


@dataclass(frozen=True)
class Reading:
    """One score, with all that it takes to read it off a changed image."""

    score: str
    match: str
    iou_threshold: float
    score_threshold: float

    @classmethod
    def of(cls, settings: CurveSettings, score: str) -> Reading:
        """Only what the score depends on, so that equal readings compare equal."""
        if score == "s2" and settings.s2 == "own_class":
            return cls(score, settings.s2, 0.0, 0.0)
        if score == "s2":
            return cls(score, "", 0.0, settings.score_threshold)
        if settings.match == "candidate":
            return cls(score, settings.match, 0.0, 0.0)
        return cls(score, settings.match, settings.iou_threshold, settings.score_threshold)

    @property
    def of_candidate(self) -> bool:
        return self.score == "s1" and self.match == "candidate"

    @property
    def of_own_class(self) -> bool:
        return self.score == "s2" and self.match == "own_class"


def read_scores(
    detector: Detector,
    images: Tensor,
    chosen: Sequence[Detections],
    readings: Sequence[Reading],
) -> dict[Reading, Tensor]:
    """Every reading of every chosen detection, ``(P,)`` over the images in turn.

    One call of the detector serves all readings, unless candidates depend on the image in a way
    that asks for a call of their own (:meth:`Detector.run_from`).
    """
    read: dict[Reading, Tensor] = {}
    of_candidate = [reading for reading in readings if reading.of_candidate]
    of_own_class = [reading for reading in readings if reading.of_own_class]
    of_all = [one for one in readings if not (one.of_candidate or one.of_own_class)]
    raw = None
    if of_all or of_own_class:
        raw = detector.run(images)
    if of_own_class:
        every = zip(chosen, detector.class_candidates(raw, chosen), strict=True)
        best = torch.cat([_largest(own_class_similarities(*pair)) for pair in every])
        read.update(dict.fromkeys(of_own_class, best))
    if of_all:
        threshold = min(reading.score_threshold for reading in of_all)
        found = detector.candidates_above(raw, threshold)
        for reading in of_all:
            read[reading] = largest_of_own_image(partial(_compared, reading), chosen, found)
    if of_candidate:
        if raw is None:
            raw = detector.run(images, chosen)
        else:
            raw = detector.run_from(raw, images, chosen)
        values = torch.cat(detector.values(raw, chosen, "score"))
        read.update(dict.fromkeys(of_candidate, values))
    return read


def _largest(similarity: Tensor) -> Tensor:
    """``(K, R)`` to ``(K,)``; 0 where there is no candidate."""
    if not similarity.shape[1]:
        return similarity.new_zeros(len(similarity))
    return similarity.amax(1)


def _compared(reading: Reading, chosen: Detections, candidates: Detections) -> Tensor:
    """What each candidate is worth to each chosen detection, ``(K, J)``: s1 by IoU, or s2."""
    above = candidates.scores > reading.score_threshold
    if reading.score == "s2":
        return similarities(chosen, candidates) * above
    eligible = above & (overlaps(chosen, candidates) >= reading.iou_threshold)
    eligible &= chosen.labels.to(candidates.labels)[:, None] == candidates.labels
    return eligible * candidates.scores
