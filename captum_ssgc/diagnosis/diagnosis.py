"""What is said of one annotated object, or of one detection that is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from captum_ssgc.detections import Detections
from captum_ssgc.diagnosis.kinds import Kind
from captum_ssgc.diagnosis.mechanisms import Mechanism

Edge = Literal["left", "top", "right", "bottom"]


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """One annotated object, or one detection that belongs to none, and what went wrong with it.

    Args:
        kind: see :func:`captum_ssgc.diagnosis.kinds_of`.
        label: class name of the object; of the detection, where there is no object.
        label_index: class index of the same.
        box: ``(4,)`` x1, y1, x2, y2 of the same, in pixels of the original image.
        object_index: row of the annotations; ``None`` for a detection that belongs to none.
        mistaken_for: row of the object that a detection which belongs to none would be without its
            error, or that it is a duplicate of.
        detection_index: in the detector's own order; ``None`` for a missed object.
        score: of that detection.
        detected_as: class name that the detection was given.
        iou: of the detection with either object.
        detection: the detection itself (``K = 1``).
        edge: of a badly placed one, the box edge that is off most: ``"left"``, ``"top"``,
            ``"right"`` or ``"bottom"``.
        edge_off_by: how far, in pixels; above 0: too far right, or too far down.
        mechanism: why the object was not found, see :func:`captum_ssgc.diagnosis.cause_of`;
            ``None`` for detections and for objects that were found.
        candidate: the best candidate for the object, under its class (``K = 1``).
        candidate_iou: of its box with the object's.
        under_threshold_by: how much its score lacks; 0 where it lacks nothing.
        by: the candidate that won by suppression or with another class (``K = 1``).
        by_label: its class name.
        by_index: where it was reported, its place in the detector's own order.
        maps: heat maps ``(H, W)``, >= 0, by the question that they answer, where a method was
            chosen: ``"for"`` and ``"against"``, what speaks for and against the class at the best
            candidate, or at the detection that belongs to none; ``"contrast"``, what speaks for
            the class that won, and not for the object's; ``"edge"``, what moves the edge that is
            off to where it is.
    """

    kind: Kind
    label: str
    label_index: int
    box: Tensor
    object_index: int | None = None
    mistaken_for: int | None = None
    detection_index: int | None = None
    score: float | None = None
    detected_as: str | None = None
    iou: float | None = None
    detection: Detections | None = None
    edge: Edge | None = None
    edge_off_by: float | None = None
    mechanism: Mechanism | None = None
    candidate: Detections | None = None
    candidate_iou: float | None = None
    under_threshold_by: float | None = None
    by: Detections | None = None
    by_label: str | None = None
    by_index: int | None = None
    maps: Mapping[str, Tensor] = field(default_factory=dict)

    def __str__(self) -> str:
        what = f"{self.label}: {self.kind}"
        if self.detected_as is not None:
            what += f" (detection {self.detection_index}, {self.detected_as} {self.score:.3f}"
            what += ")" if self.iou is None else f", IoU {self.iou:.2f})"
        if self.edge_off_by is not None:
            what += f", {self.edge} edge off by {self.edge_off_by:+.0f} px"
        why = self._why()
        return f"{what}; {why}" if why else what

    def _why(self) -> str:
        if self.mechanism is None:
            return ""
        if self.candidate is None:
            return "no candidate at all"
        score = float(self.candidate.scores)
        best = f"its best candidate ({score:.3f}, IoU {self.candidate_iou:.2f})"
        if self.mechanism == "badly placed":
            return (
                f"no candidate placed well enough, the best has an IoU of {self.candidate_iou:.2f}"
            )
        if self.mechanism == "under the threshold":
            return f"{best} is under the threshold by {self.under_threshold_by:.3f}"
        if self.mechanism == "dropped":
            return f"{best} was dropped by the detector's own threshold or limit on detections"
        if self.by is None:
            return f"{best} is the detection of another object"
        won = f"{self.by_label} {float(self.by.scores):.3f}"
        if self.mechanism == "another class wins":
            return f"{best} loses to another class, {won}"
        return f"{best} was suppressed by detection {self.by_index}, {won}"
