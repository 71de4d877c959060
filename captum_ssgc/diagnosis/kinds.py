"""Which detection is which annotated object, and what is wrong with those that are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torchvision.ops import box_area, box_iou

from captum_ssgc._exact import exact

Kind = Literal[
    "found", "wrong class", "badly placed", "both", "duplicate", "background", "missed", "ignored"
]
FOREGROUND_IOU = 0.5
BACKGROUND_IOU = 0.1


@dataclass(frozen=True)
class Kinds:
    """The kind of every detection and of every annotated object of one image.

    Args:
        detections: kind of each detection; never ``"missed"``.
        objects_of: for each detection the object that it is, or would be without its error;
            ``None`` for none.
        objects: kind of each annotated object: ``"found"``, ``"wrong class"``, ``"badly placed"``,
            ``"missed"``, or ``"ignored"`` for a crowd.
        detections_of: for each object the detection that is it, or would be without its error.
    """

    detections: list[Kind]
    objects_of: list[int | None]
    objects: list[Kind]
    detections_of: list[int | None]


def kinds_of(
    detected: tuple[Tensor, Tensor, Tensor],
    annotated: tuple[Tensor, Tensor],
    crowd: Tensor,
    foreground_iou: float = FOREGROUND_IOU,
    background_iou: float = BACKGROUND_IOU,
) -> Kinds:
    """The kinds of TIDE, by its definitions.

    Detections take, best score first, the free object of their class that they overlap most, if
    the IoU reaches ``foreground_iou``. What is left is, in this order, badly placed (an object of
    its class with an IoU from ``background_iou`` to ``foreground_iou``), of the wrong class (an
    object of another with at least ``foreground_iou``), a duplicate (an object of its class that
    another detection took), background (``background_iou`` at most with every object), or both
    wrong and badly placed. An object that only a detection of the first two kinds points to is of
    that detection's kind, the best-scored one's; others are missed.

    Args:
        detected: boxes ``(K, 4)``, labels ``(K,)`` and scores ``(K,)``.
        annotated: boxes ``(G, 4)`` and labels ``(G,)``.
        crowd: ``(G,)`` bool: a detection of no object that lies in a crowd of its class by more
            than ``foreground_iou`` of its area is ignored.
        foreground_iou: in [0, 1].
        background_iou: in [0, 1].

    References:
        Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV 2020,
        arXiv:2008.08115.
    """
    boxes, labels, scores = (tensor.cpu() for tensor in detected)
    their_boxes, their_labels = (tensor.cpu() for tensor in annotated)
    crowd = crowd.cpu()
    count, objects = len(boxes), len(their_boxes)
    overlap = iou_of(boxes, their_boxes) * ~crowd
    same_class = labels[:, None] == their_labels
    own, others = overlap * same_class, overlap * ~same_class
    ignored = (_covered(boxes, their_boxes) * (same_class & crowd) > foreground_iou).any(1)

    objects_of: list[int | None] = [None] * count
    detections_of: list[int | None] = [None] * objects
    order = scores.argsort(descending=True, stable=True).tolist()
    free = own.clone()
    for row in order:
        place = _most(free[row])
        if place is not None and float(free[row, place]) >= foreground_iou:
            objects_of[row], detections_of[place] = place, row
            free[:, place] = 0.0
    is_taken = [row is not None for row in detections_of]
    taken = torch.tensor(is_taken, dtype=torch.bool, device="cpu")

    kinds: list[Kind] = ["found"] * count
    of_objects: list[Kind] = ["missed" if row is None else "found" for row in detections_of]
    for row in order:
        if objects_of[row] is not None:
            continue
        kinds[row], objects_of[row] = _error(
            own[row], others[row], own[row] * taken, (foreground_iou, background_iou)
        )
        place = objects_of[row]
        points_to_it = kinds[row] in ("badly placed", "wrong class")
        if points_to_it and place is not None and of_objects[place] == "missed":
            of_objects[place], detections_of[place] = kinds[row], row
        if bool(ignored[row]) and (place is None or detections_of[place] != row):
            kinds[row] = "ignored"
    for place in crowd.nonzero()[:, 0].tolist():
        of_objects[place] = "ignored"
    return Kinds(kinds, objects_of, of_objects, detections_of)


def iou_of(boxes: Tensor, others: Tensor) -> Tensor:
    """``(K, G)`` in double precision, 0 for boxes without area."""
    return box_iou(exact(boxes), exact(others)).nan_to_num()


def _error(
    own: Tensor, others: Tensor, own_taken: Tensor, thresholds: tuple[float, float]
) -> tuple[Kind, int | None]:
    """What is wrong with a detection, and with which object; each ``(G,)``."""
    foreground, background = thresholds
    place = _most(own)
    if place is None:
        return "background", None
    if background <= float(own[place]) <= foreground:
        return "badly placed", place
    place = _most(others)
    if float(others.max()) >= foreground:
        return "wrong class", place
    if float(own_taken.max()) >= foreground:
        return "duplicate", _most(own_taken)
    if float(torch.maximum(own, others).max()) <= background:
        return "background", None
    return "both", _most(others)


def _most(overlap: Tensor) -> int | None:
    """The first place with the largest value, ``None`` where there is none."""
    return int((overlap == overlap.max()).nonzero()[0]) if len(overlap) else None


def _covered(boxes: Tensor, regions: Tensor) -> Tensor:
    """``(K, G)``: which share of each box lies in each region."""
    boxes, regions = exact(boxes), exact(regions)
    low = torch.maximum(boxes[:, None, :2], regions[:, :2])
    high = torch.minimum(boxes[:, None, 2:], regions[:, 2:])
    shared = (high - low).clamp(min=0.0).prod(-1)
    return (shared / box_area(boxes)[:, None]).nan_to_num()
