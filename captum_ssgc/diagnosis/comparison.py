"""Puts together what is known of one image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor

from captum_ssgc.detections import Detections
from captum_ssgc.detector import EDGES, Detector
from captum_ssgc.diagnosis.diagnosis import Diagnosis
from captum_ssgc.diagnosis.kinds import Kind, Kinds, iou_of
from captum_ssgc.diagnosis.mechanisms import Cause, ImageFacts


class Comparison:
    """What a detector reports for an image beside its annotations.

    Args:
        detector: that ran.
        shown: the detections that reach the threshold, in the detector's own order.
        facts: they, the candidates, and the objects that are no crowds.
        annotated: boxes ``(G, 4)`` and labels ``(G,)``.
        kinds: of detections and objects.
        causes: of the objects that were not found.
    """

    def __init__(
        self,
        detector: Detector,
        shown: Sequence[int],
        facts: ImageFacts,
        annotated: tuple[Tensor, Tensor],
        kinds: Kinds,
        causes: dict[int, Cause],
    ) -> None:
        self.detector, self.shown, self.facts = detector, shown, facts
        self.boxes, self.labels = annotated
        self.kinds, self.causes = kinds, causes

    def diagnoses(self) -> list[Diagnosis]:
        """Of all objects, then of the detections that belong to none."""
        kinds = self.kinds
        objects = [
            Diagnosis(
                kind=kind,
                label=self._name(int(self.labels[place])),
                label_index=int(self.labels[place]),
                box=self.boxes[place],
                object_index=place,
                **self._detection(kinds.detections_of[place], place),
                **self._cause(self.causes.get(place)),
                **self._edge(kind, kinds.detections_of[place], place),
            )
            for place, kind in enumerate(kinds.objects)
        ]
        order = self.facts.reported.scores.argsort(descending=True, stable=True).tolist()
        others = [row for row in order if row not in kinds.detections_of]
        return objects + [self._other(row) for row in others]

    def _other(self, row: int) -> Diagnosis:
        label = int(self.facts.reported.labels[row])
        return Diagnosis(
            kind=self.kinds.detections[row],
            label=self._name(label),
            label_index=label,
            box=self.facts.reported.boxes[row],
            mistaken_for=self.kinds.objects_of[row],
            **self._detection(row, self.kinds.objects_of[row]),
            **self._edge(self.kinds.detections[row], row, self.kinds.objects_of[row]),
        )

    def _detection(self, row: int | None, place: int | None) -> dict[str, Any]:
        if row is None:
            return {}
        one = self.facts.reported[row]
        iou = None if place is None else float(iou_of(one.boxes, self.boxes[place : place + 1]))
        return {
            "detection_index": self.shown[row],
            "score": float(one.scores),
            "detection": one,
            "detected_as": self._name(int(one.labels)),
            "iou": iou,
        }

    def _edge(self, kind: Kind, row: int | None, place: int | None) -> dict[str, Any]:
        """The edge that is off most, of what is placed badly."""
        cause = None if place is None else self.causes.get(place)
        if place is None:
            return {}
        if kind == "badly placed" and row is not None:
            box = self.facts.reported.boxes[row]
        elif row is None and cause is not None and cause.mechanism == "badly placed":
            box = cast("Detections", cause.candidate).boxes[0]
        else:
            return {}
        off = box - self.boxes[place]
        most = int(off.abs().argmax())
        return {"edge": EDGES[most], "edge_off_by": float(off[most])}

    def _cause(self, cause: Cause | None) -> dict[str, Any]:
        if cause is None:
            return {}
        if cause.candidate is None:
            return {"mechanism": cause.mechanism}
        lack = max(self.facts.score_threshold - float(cause.candidate.scores), 0.0)
        return {
            "mechanism": cause.mechanism,
            "candidate": cause.candidate,
            "candidate_iou": cause.iou,
            "under_threshold_by": lack,
            **({} if cause.by is None else self._by(cause.by)),
        }

    def _by(self, winner: Detections) -> dict[str, Any]:
        reported = self.facts.reported
        same = (reported.candidates == winner.candidates) & (reported.labels == winner.labels)
        rows = same.nonzero()[:, 0].tolist()
        return {
            "by": winner,
            "by_label": self._name(int(winner.labels)),
            "by_index": self.shown[rows[0]] if rows else None,
        }

    def _name(self, label: int) -> str:
        return self.detector.label_name(label)
