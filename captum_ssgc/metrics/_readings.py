"""What a changed image says about a detection: s1 and s2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

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
        """Of s2 only what it depends on, so that equal readings compare equal."""
        if score == "s2":
            return cls(score, "", 0.0, settings.score_threshold)
        return cls(score, settings.match, settings.iou_threshold, 0.0)

    @property
    def of_candidate(self) -> bool:
        return self.score == "s1" and self.match == "candidate"


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
    of_outputs = [reading for reading in readings if not reading.of_candidate]
    raw = None
    if of_outputs:
        raw = detector.run(images)
        outputs = _Outputs.joined(detector.select(raw), chosen)
        read.update({reading: outputs.read(reading) for reading in of_outputs})
    if of_candidate:
        if raw is None:
            raw = detector.run(images, chosen)
        else:
            raw = detector.run_from(raw, images, chosen)
        values = torch.cat(detector.values(raw, chosen, "score")).to(images.dtype)
        read.update(dict.fromkeys(of_candidate, values))
    return read


@dataclass(frozen=True)
class _Outputs:
    """How ``K`` chosen detections meet ``J`` outputs in each of ``B`` images, both padded."""

    real: Tensor  # (B, K)
    scores: Tensor  # (B, 1, J), -1 where padded
    same_class: Tensor  # (B, K, J), as the rest
    overlap: Tensor
    cosine: Tensor

    @classmethod
    def joined(cls, found: Sequence[Detections], chosen: Sequence[Detections]) -> _Outputs:
        outputs = _Padded.of(found)
        wanted = _Padded.of([entry.to(outputs.scores.device) for entry in chosen])
        wanted_classes = F.normalize(wanted.class_scores.to(outputs.class_scores), dim=-1)
        return cls(
            real=wanted.scores >= 0,
            scores=outputs.scores[:, None],
            same_class=wanted.labels[:, :, None] == outputs.labels[:, None],
            overlap=_iou(wanted.boxes.to(outputs.boxes)[:, :, None], outputs.boxes[:, None]),
            cosine=wanted_classes @ F.normalize(outputs.class_scores, dim=-1).mT,
        )

    def read(self, reading: Reading) -> Tensor:
        if reading.score == "s1":
            eligible = self.same_class & (self.overlap >= reading.iou_threshold)
            eligible &= self.scores >= 0
            values = self.scores.expand_as(self.overlap)
        else:
            eligible = (self.scores > reading.score_threshold).expand_as(self.overlap)
            values = (self.overlap * self.cosine).clamp(0.0, 1.0)
        if values.shape[-1] == 0:
            return values.new_zeros(int(self.real.sum()))
        return torch.where(eligible, values, torch.zeros_like(values)).amax(-1)[self.real]


@dataclass(frozen=True)
class _Padded:
    """The detections of several images as one tensor each, ``(B, K, ...)``."""

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    class_scores: Tensor

    @classmethod
    def of(cls, several: Sequence[Detections]) -> _Padded:
        return cls(
            pad_sequence([entry.boxes for entry in several], batch_first=True),
            pad_sequence([entry.labels for entry in several], batch_first=True),
            pad_sequence([entry.scores for entry in several], True, padding_value=-1.0),
            pad_sequence([entry.class_scores for entry in several], batch_first=True),
        )


def _iou(one: Tensor, other: Tensor) -> Tensor:
    """IoU of boxes paired by broadcasting, ``(..., 4)`` to ``(...)``; 0 where both are empty."""
    low = torch.maximum(one[..., :2], other[..., :2])
    high = torch.minimum(one[..., 2:], other[..., 2:])
    shared = (high - low).clamp(min=0.0).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (one, other)]
    union = areas[0] + areas[1] - shared
    return torch.where(union > 0, shared / union.clamp(min=1e-12), torch.zeros_like(shared))
