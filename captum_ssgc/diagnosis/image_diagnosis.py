"""From an image and its annotations to what went wrong, in one call and one forward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector, outside_inference_mode
from captum_ssgc.detectors import wrap_detector
from captum_ssgc.diagnosis.annotations import check_annotations, check_thresholds, label_indices
from captum_ssgc.diagnosis.diagnosis import Diagnosis
from captum_ssgc.diagnosis.kinds import BACKGROUND_IOU, FOREGROUND_IOU, Kinds, iou_of, kinds_of
from captum_ssgc.diagnosis.mechanisms import Cause, Scene, cause_of
from captum_ssgc.images import ImageSource, load_image


def diagnose(
    model: Any,
    image: ImageSource,
    boxes: Tensor,
    labels: Tensor | Sequence[int] | Sequence[str],
    *,
    crowd: Tensor | None = None,
    score_threshold: float = 0.5,
    foreground_iou: float = FOREGROUND_IOU,
    background_iou: float = BACKGROUND_IOU,
) -> list[Diagnosis]:
    """What a detector got right and wrong in one image, and why it missed what it missed.

    Everything comes from one forward of the model. Of all candidates the best 10,000 pairs of
    candidate and class are looked at.

    Args:
        model: anything that :func:`captum_ssgc.wrap_detector` takes, or a detector.
        image: a path, array, PIL image or tensor, see :func:`captum_ssgc.load_image`.
        boxes: ``(G, 4)`` of the annotated objects, x1, y1, x2, y2 in pixels of the image.
        labels: ``G`` class indices as the detector numbers them, or class names.
        crowd: ``(G,)`` bool, annotations of crowds, which no detection can find; ``None``: none.
        score_threshold: detections below it do not count.
        foreground_iou: from this IoU on a detection is the object.
        background_iou: up to this IoU a detection has nothing to do with an object.

    Returns:
        One :class:`Diagnosis` per annotated object, in their order, then one per detection that
        is not the one of an object, best first.

    Raises:
        ValueError, TypeError, FileNotFoundError: for a bad image, model, annotation or threshold.

    References:
        Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV 2020,
        arXiv:2008.08115 (the kinds).

        Miller et al., "What's in the Black Box? The False Negative Mechanisms Inside Object
        Detectors", IEEE RA-L 2022, arXiv:2203.07662 (the mechanisms).

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> def two_boxes(images):   # any function: images -> boxes (N, R, 4), scores (N, R, C)
        ...     boxes = torch.tensor([[0., 0., 8., 8.], [8., 0., 16., 8.]])
        ...     scores = torch.tensor([[0.9, 0.0], [0.3, 0.1]])
        ...     return boxes.expand(len(images), 2, 4), scores.expand(len(images), 2, 2)
        >>> annotated = torch.tensor([[0., 0., 8., 7.], [8., 0., 16., 8.]])
        >>> detector = ssgc.wrap_detector(two_boxes, label_names=["cat", "dog"])
        >>> for one in ssgc.diagnose(detector, torch.rand(3, 8, 16), annotated, ["cat", "dog"]):
        ...     print(one)
        cat: found (detection 0, cat 0.900, IoU 0.88)
        dog: missed; its best candidate (0.100, IoU 1.00) is under the threshold by 0.400
    """
    check_thresholds(score_threshold, foreground_iou, background_iou)
    boxes, crowd = check_annotations(boxes, labels, crowd)
    detector = wrap_detector(model)
    device = next((p.device for p in detector.model.parameters()), torch.device("cpu"))
    images = load_image(image).to(device)
    with outside_inference_mode(), torch.no_grad():
        raw = detector.run(images)
        reported = detector.select(raw)[0]
        candidates = detector.candidates_above(raw, 0.0)[0]
    shown = [row for row, score in enumerate(reported.scores.tolist()) if score >= score_threshold]
    found = reported[shown].to("cpu")
    known = label_indices(labels, detector, candidates.class_scores.shape[1])
    kinds = kinds_of(
        (found.boxes, found.labels, found.scores), (boxes, known), crowd, foreground_iou,
        background_iou,
    )  # fmt: skip
    real = (~crowd).nonzero()[:, 0].tolist()
    scene = Scene(
        candidates.to("cpu"), found, boxes[real], known[real], score_threshold, foreground_iou,
        background_iou,
    )  # fmt: skip
    causes = {
        place: cause_of(scene, row)
        for row, place in enumerate(real)
        if kinds.objects[place] != "found"
    }
    return _Image(detector, shown, scene, (boxes, known), kinds).diagnoses(causes)


class _Image:
    """Puts together what is known of one image."""

    def __init__(
        self,
        detector: Detector,
        shown: Sequence[int],
        scene: Scene,
        annotated: tuple[Tensor, Tensor],
        kinds: Kinds,
    ) -> None:
        self.detector, self.shown, self.scene = detector, shown, scene
        self.boxes, self.labels = annotated
        self.kinds = kinds

    def diagnoses(self, causes: dict[int, Cause]) -> list[Diagnosis]:
        kinds = self.kinds
        objects = [
            Diagnosis(
                kind=kind,
                label=self._name(int(self.labels[place])),
                label_index=int(self.labels[place]),
                box=self.boxes[place],
                object_index=place,
                **self._detection(kinds.detections_of[place], place),
                **self._cause(causes.get(place)),
            )
            for place, kind in enumerate(kinds.objects)
        ]
        order = self.scene.reported.scores.argsort(descending=True, stable=True).tolist()
        others = [row for row in order if row not in kinds.detections_of]
        return objects + [self._other(row) for row in others]

    def _other(self, row: int) -> Diagnosis:
        label = int(self.scene.reported.labels[row])
        return Diagnosis(
            kind=self.kinds.detections[row],
            label=self._name(label),
            label_index=label,
            box=self.scene.reported.boxes[row],
            **self._detection(row, self.kinds.objects_of[row]),
        )

    def _detection(self, row: int | None, place: int | None) -> dict[str, Any]:
        if row is None:
            return {}
        one = self.scene.reported[row]
        iou = None if place is None else float(iou_of(one.boxes, self.boxes[place : place + 1]))
        return {
            "detection_index": self.shown[row],
            "score": float(one.scores),
            "detected_as": self._name(int(one.labels)),
            "iou": iou,
        }

    def _cause(self, cause: Cause | None) -> dict[str, Any]:
        if cause is None:
            return {}
        if cause.candidate is None:
            return {"mechanism": cause.mechanism}
        lack = max(self.scene.score_threshold - float(cause.candidate.scores), 0.0)
        return {
            "mechanism": cause.mechanism,
            "candidate": cause.candidate,
            "candidate_iou": cause.iou,
            "under_threshold_by": lack,
            **({} if cause.by is None else self._by(cause.by)),
        }

    def _by(self, winner: Detections) -> dict[str, Any]:
        reported = self.scene.reported
        same = (reported.candidates == winner.candidates) & (reported.labels == winner.labels)
        rows = same.nonzero()[:, 0].tolist()
        return {
            "by": winner,
            "by_label": self._name(int(winner.labels)),
            "by_index": self.shown[rows[0]] if rows else None,
        }

    def _name(self, label: int) -> str:
        return self.detector.label_name(label)
