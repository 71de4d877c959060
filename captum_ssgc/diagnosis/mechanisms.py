"""Why an annotated object was not found: what became of the candidates for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from captum_ssgc._annotations import is_among
from captum_ssgc.detections import Detections
from captum_ssgc.diagnosis.kinds import iou_of

Mechanism = Literal[
    "suppressed",
    "under the threshold",
    "another class wins",
    "badly placed",
    "no candidate",
    "covered by another object's detection",
    "dropped",
]


@dataclass(frozen=True, eq=False)
class Cause:
    """What became of the best candidate for an object.

    Args:
        mechanism: in one word or a few.
        candidate: the best one, under the object's label (``K = 1``); ``None`` where there is
            none. Where none is placed well enough: the one with the highest IoU, under its label.
        iou: of its box with the object's.
        by: the candidate that won, by suppression or with another class (``K = 1``).
    """

    mechanism: Mechanism
    candidate: Detections | None = None
    iou: float = 0.0
    by: Detections | None = None


@dataclass(frozen=True, eq=False)
class ImageFacts:
    """What is known of one image when its missed objects are explained.

    Args:
        candidates: every candidate with every class, before suppression, the best score first.
        reported: the detector's own detections that reach the threshold.
        boxes: ``(G, 4)`` of the annotated objects.
        labels: ``(G,)``.
        score_threshold: detections below it do not count.
        foreground_iou: a candidate with less is not well placed.
        background_iou: a candidate with less has nothing to do with the object.
    """

    candidates: Detections
    reported: Detections
    boxes: Tensor
    labels: Tensor
    score_threshold: float
    foreground_iou: float
    background_iou: float


def cause_of(facts: ImageFacts, place: int) -> Cause:
    """Why the object at ``place`` was not found.

    The mechanisms follow Miller et al., with the two that a threshold and a limit on detections
    add. The best candidate is the one of the object's class with the highest score among those
    that are placed well (``foreground_iou``) and not themselves reported. Then, in this order:

    * it reaches the threshold: a reported detection of its class that overlaps it more than
      ``foreground_iou`` suppressed it; else another class of the same candidate has a higher score
      and wins; else the reported detection that overlaps it most suppressed it; else the detector
      dropped it (its own threshold, or its limit on detections);
    * it does not: a well placed candidate of a class that is not annotated there does, and that
      class wins; else it is under the threshold.

    References:
        Miller et al., "What's in the Black Box? The False Negative Mechanisms Inside Object
        Detectors", IEEE RA-L 2022, arXiv:2203.07662.
    """
    everything, label = facts.candidates, int(facts.labels[place])
    if not len(everything):
        return Cause("no candidate")
    overlap = iou_of(everything.boxes, facts.boxes[place : place + 1])[:, 0]
    placed = overlap >= facts.foreground_iou
    if not bool(placed.any()):
        return _nearest(everything, overlap, label, facts.background_iou)
    right = placed & (everything.labels == label)
    shown = is_among(everything, facts.reported)
    hidden = (right & ~shown).nonzero()[:, 0]
    if bool(right.any()) and not len(hidden):
        row = int(right.nonzero()[0])
        return Cause("covered by another object's detection", everything[row], float(overlap[row]))
    if len(hidden):
        row = int(hidden[0])
        best = everything[row]
    else:
        row = _best_score(everything.class_scores[:, label], placed)
        best = _relabelled(everything[row], label)
    iou = float(overlap[row])
    if float(best.scores) >= facts.score_threshold:
        return _hidden_cause(facts, best, iou)
    rival = _rival(facts, placed & (everything.labels != label), float(best.scores))
    if rival is not None:
        return Cause("another class wins", best, iou, rival)
    return Cause("under the threshold", best, iou)


def _nearest(everything: Detections, overlap: Tensor, label: int, background: float) -> Cause:
    """No candidate is placed well: the one that is placed best, of the right class if equal."""
    tied = overlap == overlap.max()
    own = tied & (everything.labels == label)
    row = int((own if bool(own.any()) else tied).nonzero()[0])
    if float(overlap[row]) < background:
        return Cause("no candidate")
    return Cause("badly placed", everything[row], float(overlap[row]))


def _hidden_cause(facts: ImageFacts, best: Detections, iou: float) -> Cause:
    """Why a candidate that reaches the threshold is not among the detections."""
    reported, everything = facts.reported, facts.candidates
    stronger = reported[reported.scores >= best.scores]
    overlap = iou_of(stronger.boxes, best.boxes)[:, 0]
    same = stronger.labels == best.labels
    of_class = overlap * same
    if len(stronger) and float(of_class.max()) > facts.foreground_iou:
        return Cause("suppressed", best, iou, stronger[int(of_class.argmax())])
    siblings = everything[
        (everything.candidates == best.candidates)
        & (everything.labels != best.labels)
        & (everything.scores > best.scores)
    ]
    if len(siblings):
        return Cause("another class wins", best, iou, siblings[0])
    for of_these in (of_class, overlap):
        if len(stronger) and float(of_these.max()) > 0.0:
            return Cause("suppressed", best, iou, stronger[int(of_these.argmax())])
    return Cause("dropped", best, iou)


def _rival(facts: ImageFacts, others: Tensor, score: float) -> Detections | None:
    """The best well-placed candidate of a class that no object there has."""
    everything = facts.candidates
    others = others & (everything.scores >= facts.score_threshold) & (everything.scores > score)
    rows = others.nonzero()[:, 0]
    overlap = iou_of(everything.boxes[rows], facts.boxes) >= facts.foreground_iou
    annotated = (overlap & (everything.labels[rows, None] == facts.labels)).any(1)
    rows = rows[~annotated]
    return everything[int(rows[0])] if len(rows) else None


def _best_score(scores: Tensor, among: Tensor) -> int:
    return int(scores.masked_fill(~among, -1.0).argmax())


def _relabelled(chosen: Detections, label: int) -> Detections:
    labels = torch.full_like(chosen.labels, label)
    return replace(chosen, labels=labels, scores=chosen.class_scores[:, label])
