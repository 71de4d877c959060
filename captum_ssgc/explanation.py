"""From an image to one heat map per detection, in one call and one forward."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from captum_ssgc._annotations import (
    Boxes,
    Labels,
    candidates_for,
    check_annotations,
    is_among,
    label_indices,
)
from captum_ssgc._arguments import check_number, check_whole_number, shown
from captum_ssgc._as_before import leaves_all_as_before
from captum_ssgc._box_checks import check_corners_in_pixels
from captum_ssgc._exact import sent
from captum_ssgc._outputs import parse_output, with_label_indices
from captum_ssgc.attr import (
    LayerChoice,
    LayerMethod,
    Layers,
    MapRequest,
    Mask,
    Method,
    PerturbationMethod,
    Recording,
    check_mask,
    method_named,
    methods_named,
    recording,
)
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector, Output, outside_inference_mode
from captum_ssgc.detectors import wrap_detector
from captum_ssgc.explanations import Explanation, Explanations, name_of
from captum_ssgc.images import ImageSource, load_image
from captum_ssgc.instance_score import InstanceScoreWrapper
from captum_ssgc.label_names import LabelNames

IMAGES_PER_FORWARD = 8


class NoDetectionError(ValueError):
    """Nothing was detected above the threshold; ``highest_score`` is the best there was."""

    def __init__(self, message: str, highest_score: float | None) -> None:
        super().__init__(message)
        self.highest_score = highest_score

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self.args, self.highest_score)


@leaves_all_as_before
def explain(
    model: Any,
    image: ImageSource,
    method: str | Sequence[str] = "ssgrad-cam++",
    *,
    layer: LayerChoice | None = None,
    score_threshold: float = 0.5,
    top_k: int | None = None,
    output: Output = "score",
    mask: Mask = "region",
    method_options: Mapping[str, Mapping[str, Any]] | None = None,
    boxes: Boxes | None = None,
    labels: Labels | None = None,
    label_names: LabelNames | None = None,
) -> Explanations[Explanation]:
    """Every detection of an image with its heat maps, from one forward of the model.

    Args:
        model: a detection model (see :func:`captum_ssgc.wrap_detector`) or a
            :class:`captum_ssgc.Detector`.
        image: a path, Pillow image, uint8 array ``(H, W, 3)``, or float tensor ``(3, H, W)`` or
            ``(1, 3, H, W)`` in [0, 1]; for a model of other images see
            :func:`captum_ssgc.load_image`.
        method: name of a method, several names, or ``"all"`` (see
            :data:`captum_ssgc.attr.METHODS`). The methods made of gradients share one forward;
            ``"d-rise"`` runs the model on thousands of masked images, ``"refined-cam"`` on a
            hundred for each detection.
        layer: a module or its name; several are joined by their maximum in image pixels. ``None``:
            the detector's recommended layer for each detection.
        score_threshold: detections below it are left out.
        top_k: the most detections, best first; ``None`` for all. How many are explained together
            may change the last digits of a map.
        output: what is explained, see :class:`captum_ssgc.InstanceScoreWrapper`; D-RISE always
            explains the detection as a whole.
        mask: as in :meth:`captum_ssgc.SSGradCAMPlusPlus.attribute`, for methods that use one.
        method_options: further arguments of single methods by their name, such as
            ``{"d-rise": {"n_masks": 1000}, "odam": {"smoothing": 1.0}}``.
        boxes: ``(G, 4)`` x1, y1, x2, y2 in pixels, a tensor, array or lists, detected or not: of
            each the candidate before suppression is explained that has the highest IoU times score
            of its label, instead of detections; ``score_threshold`` and ``top_k`` do not matter.
        labels: ``G`` class indices or names, of ``boxes``.
        label_names: class names, for this call: a list, a dictionary, a file, or ``"coco"`` (see
            :func:`captum_ssgc.label_names.fit_label_names`); ``None`` for those of the detector.

    Returns:
        A list of one :class:`Explanation` per detection and method, best detection first, or in
        the order of ``boxes``; methods in the order given. It shows itself in a notebook, and has
        ``overview()`` and ``save_html(path)``, see :class:`captum_ssgc.Explanations`.

    Raises:
        NoDetectionError: if no detection reaches ``score_threshold``; says the highest score.
        ValueError, TypeError, FileNotFoundError: for a bad image, model, layer or option.

    Example:
        >>> import torch, torchvision, captum_ssgc as ssgc
        >>> _ = torch.manual_seed(0)
        >>> model = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        ...     weights=None, weights_backbone=None, box_score_thresh=0.0).eval()
        >>> found = ssgc.explain(model, torch.rand(3, 64, 96), score_threshold=0.0, top_k=2)
        >>> len(found), found[0].heat_map.shape
        (2, torch.Size([64, 96]))
    """
    output = parse_output(output)
    check_mask(mask)
    _check_choice(score_threshold, top_k)
    asked = _asked(boxes, labels)
    methods = methods_named(method)
    options = _options(methods, {} if method_options is None else method_options)
    detector = _named(wrap_detector(model), label_names)
    device = next((p.device for p in detector.model.parameters()), torch.device("cpu"))
    images = sent(load_image(image, detector.channels), device)
    requests = {
        entry: request
        for entry in methods
        if (request := _request(entry, options.get(entry.name, {}), output, mask, detector))
    }
    if requests and layer is None and not (detector.level_layers() or detector.target_layers()):
        detector.detect(images)  # what is no detector says so before layers are missed
    layers = Layers.of_detector(detector, layer) if requests else None
    maps: dict[type[Method], Sequence[Any]] = {}
    with (
        outside_inference_mode(),
        recorded_run(detector, layers, images, requests.values()) as (raw, record),
    ):
        found = detector.select(raw)[0]
        if asked is None:
            order = _choose(detector, raw, found, score_threshold, top_k)
            chosen, ious, reported = found[order], None, [True] * len(order)
        else:
            candidates = detector.candidates_above(raw, 0.0)[0]
            wanted = label_indices(asked[1], detector, candidates.class_scores.shape[1])
            rows, ious = candidates_for(candidates, asked[0], wanted)
            # What is no box of this image may overlap a candidate by accident.
            check_corners_in_pixels(asked[0], (images.shape[-2], images.shape[-1]))
            chosen = candidates[rows]
            order, reported = list(range(len(rows))), is_among(chosen, found).tolist()
        if record is not None:
            made = record.heat_maps(list(requests.values()), chosen)
            maps = {
                entry: [one.of(row) for row in range(len(chosen))]
                for entry, one in zip(requests, made, strict=True)
            }
    for entry in methods:
        if issubclass(entry, PerturbationMethod):
            own = dict(options.get(entry.name, {}))
            if entry in maps:
                own["prior_maps"] = torch.stack([one.in_image_pixels() for one in maps[entry]])
            offered = {"perturbations_per_eval": IMAGES_PER_FORWARD}
            wrapper = InstanceScoreWrapper(detector, chosen)
            maps[entry] = list(entry(wrapper).heat_maps(images, len(chosen), own, offered))
    details = (chosen.labels.tolist(), chosen.scores.tolist(), chosen.levels.tolist())
    explanations = [
        Explanation(
            index=index,
            label=detector.label_name(label),
            label_index=label,
            score=score,
            box=chosen.boxes[row],
            heat_map=maps[entry][row],
            method=entry.name,
            layer="" if layers is None or entry not in requests else layers.names_for(level),
            detected=reported[row],
            asked_iou=None if ious is None else ious[row],
            corners=None if chosen.corners is None else chosen.corners[row],
            mask=None if chosen.masks is None else chosen.masks[row],
        )
        for row, (index, label, score, level) in enumerate(zip(order, *details, strict=True))
        for entry in methods
    ]
    text = output if isinstance(output, str) else f"{output[0]} against {output[1]}"
    photo = images.detach().clone()  # the next frame of a film may be read into the same memory
    return Explanations(explanations, image=photo, name=name_of(image), output=text)


@contextmanager
def recorded_run(
    detector: Detector, layers: Layers | None, images: Tensor, requests: Iterable[MapRequest]
) -> Iterator[tuple[Any, Recording | None]]:
    """The detector's raw output, and the record of the layers where there are any."""
    if layers is None:
        with torch.no_grad():
            yield detector.run(images), None
    else:
        outputs = [request.output for request in requests]
        with recording(detector, layers, images, outputs=outputs) as record:
            yield record.raw, record


def _named(detector: Detector, label_names: LabelNames | None) -> Detector:
    """The detector under other class names; one that is the caller's keeps its own."""
    if label_names is None:
        return detector
    other = copy.copy(detector)
    other.label_names = label_names
    return other


def _asked(boxes: Boxes | None, labels: Labels | None) -> tuple[Tensor, Labels] | None:
    if boxes is None and labels is None:
        return None
    if boxes is None or labels is None:
        raise ValueError(
            "boxes and labels: expected both, or none of them; class names are label_names=."
        )
    boxes, _ = check_annotations(boxes, labels, None)
    if not len(boxes):
        raise ValueError("boxes: expected at least one, got none.")
    return boxes, labels


def _request(
    method: type[Method],
    options: Mapping[str, Any],
    output: Output,
    mask: Mask,
    detector: Detector,
) -> MapRequest | None:
    """What a method asks of the recording; ``None`` if it needs none."""
    recorded = method.recorded(options)
    if recorded is None or not issubclass(recorded, LayerMethod):
        return None
    own = dict(options) if recorded is method else {}
    output = with_label_indices(parse_output(own.pop("output", output)), detector.label_names)
    if "mask" in recorded.option_names():
        own.setdefault("mask", mask)
    return recorded.request(own, output)


def _options(
    methods: Sequence[type[Method]], given: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Mapping[str, Any]]:
    names = [entry.name for entry in methods]
    if not isinstance(given, Mapping):
        raise TypeError(
            "method_options: expected a dictionary from the name of a method to its options, got "
            f"{shown(given)}."
        )
    for name, options in given.items():
        if not isinstance(options, Mapping):
            raise TypeError(
                f"method_options[{name!r}]: expected a dictionary of options, got {shown(options)}."
            )
        if name not in names:
            raise ValueError(
                f"method_options: {name!r} is none of the chosen methods {', '.join(names)}."
            )
        method, own = method_named(name), dict(options)
        if method.gradient_based:
            parse_output(own.pop("output", "score"))
            check_mask(own.get("mask"))
        method.check_options(own, f"method_options[{name!r}]")
    return given


def _check_choice(score_threshold: float, top_k: int | None) -> None:
    check_number("score_threshold", score_threshold)
    if math.isnan(score_threshold):
        raise ValueError("score_threshold: expected a number, got nan.")
    if top_k is not None:
        check_whole_number("top_k", top_k, " or None")


def _choose(
    detector: Detector, raw: Any, found: Detections, score_threshold: float, top_k: int | None
) -> list[int]:
    scores, order = found.scores.sort(descending=True, stable=True)
    ranked = zip(order.tolist(), scores.tolist(), strict=True)
    kept = [index for index, score in ranked if score >= score_threshold]
    if kept:
        return kept[:top_k]
    scores = found.scores if len(found) else detector.candidates_above(raw, 0.0)[0].scores
    highest = float(scores.max()) if len(scores) else None
    best = "nothing at all" if highest is None else f"the highest score is {highest:.3f}"
    advice = "lower score_threshold, or check the image and the weights"
    broken = _scores_without_number(detector, raw, found)
    if broken:
        advice = (
            f"{broken} candidates have no score but NaN, which no threshold passes: the model's "
            "own arithmetic overflows (half precision?), or its weights or the image hold NaN"
        )
    elif highest is not None and highest >= score_threshold:
        advice = (
            "the detector has a threshold of its own and reports none: lower that one, where the "
            "model is wrapped or built (score_threshold, box_score_thresh)"
        )
    raise NoDetectionError(
        f"no detection with a score of at least {score_threshold:g} ({best}); {advice}.", highest
    )


@torch.no_grad()
def _scores_without_number(detector: Detector, raw: Any, found: Detections) -> int:
    """How many candidates have a score that is NaN, as far as the detector knows candidates."""
    try:
        candidates = detector.class_candidates(raw, [found])[0]
    except ValueError:
        return 0
    return int(candidates.distributions.isnan().any(1).sum())
