"""From an image and its annotations to what went wrong, in one call and one forward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from captum_ssgc._annotations import Boxes, Labels, check_annotations, label_indices
from captum_ssgc._as_before import leaves_all_as_before
from captum_ssgc._box_checks import check_corners_in_pixels
from captum_ssgc._exact import sent
from captum_ssgc.attr import LayerChoice, Layers
from captum_ssgc.detector import Detector, outside_inference_mode
from captum_ssgc.detectors import wrap_detector
from captum_ssgc.diagnosis.comparison import Comparison
from captum_ssgc.diagnosis.diagnosis import Diagnosis
from captum_ssgc.diagnosis.evidence import gradient_method, with_maps
from captum_ssgc.diagnosis.kinds import (
    BACKGROUND_IOU,
    FOREGROUND_IOU,
    kinds_of,
)
from captum_ssgc.diagnosis.mechanisms import ImageFacts, cause_of
from captum_ssgc.diagnosis.thresholds import check_thresholds
from captum_ssgc.explanation import recorded_run
from captum_ssgc.images import ImageSource, load_image


@leaves_all_as_before
def diagnose(
    model: Any,
    image: ImageSource,
    boxes: Boxes,
    labels: Labels,
    *,
    crowd: Tensor | None = None,
    score_threshold: float = 0.5,
    foreground_iou: float = FOREGROUND_IOU,
    background_iou: float = BACKGROUND_IOU,
    method: str | None = None,
    layer: LayerChoice | None = None,
) -> list[Diagnosis]:
    """What a detector got right and wrong in one image, and why it missed what it missed.

    Everything comes from one forward of the model. Of all candidates the best 10,000 pairs of
    candidate and class are looked at.

    Args:
        model: anything that :func:`captum_ssgc.wrap_detector` takes, or a detector.
        image: a path, array, PIL image or tensor, see :func:`captum_ssgc.load_image`.
        boxes: ``(G, 4)`` of the annotated objects, x1, y1, x2, y2 in pixels of the image; a tensor,
            an array or lists.
        labels: ``G`` class indices as the detector numbers them, or class names.
        crowd: ``(G,)`` bool, annotations of crowds, which no detection can find; ``None``: none.
        score_threshold: detections below it do not count.
        foreground_iou: from this IoU on a detection is the object.
        background_iou: up to this IoU a detection has nothing to do with an object.
        method: name of a method made of gradients, for ``maps`` of what went wrong; ``None``: no
            maps.
        layer: as in :func:`captum_ssgc.explain`, for the maps.

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
    images = sent(load_image(image, detector.channels), device)
    check_corners_in_pixels(boxes, (images.shape[-2], images.shape[-1]))
    layers, requests = None, []
    if method is not None:
        requests = [gradient_method(method).request({}, "-logit")]  # the run keeps its graph
        layers = Layers.of_detector(detector, layer)
    thresholds = (score_threshold, foreground_iou, background_iou)
    with (
        outside_inference_mode(),
        recorded_run(detector, layers, images, requests) as (raw, record),
    ):
        compared = _compared(detector, raw, (boxes, labels, crowd), thresholds)
        diagnoses = compared.diagnoses()
        if method is None or record is None:
            return diagnoses
        return with_maps(diagnoses, compared.labels, method, record)


def _compared(
    detector: Detector,
    raw: Any,
    annotated: tuple[Tensor, Labels, Tensor],
    thresholds: tuple[float, float, float],
) -> Comparison:
    """What the detector reports and all candidates, beside the annotations."""
    boxes, labels, crowd = annotated
    score_threshold, foreground_iou, background_iou = thresholds
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
    facts = ImageFacts(
        candidates.to("cpu"), found, boxes[real], known[real], score_threshold, foreground_iou,
        background_iou,
    )  # fmt: skip
    causes = {
        place: cause_of(facts, row)
        for row, place in enumerate(real)
        if kinds.objects[place] != "found"
    }
    return Comparison(detector, shown, facts, (boxes, known), kinds, causes)
