"""How alike two detections are: the overlap of their boxes, times the cosine of their classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou

from captum_ssgc._polygons import polygon_iou
from captum_ssgc.detections import Detections
from captum_ssgc.detector import ClassCandidates


def overlaps(one: Detections, other: Detections) -> Tensor:
    """IoU of every box of ``one`` with every box of ``other``, ``(K, J)``; 0 where both are empty.

    That of the oriented boxes where both have corners. On the device of ``other``, and in its
    precision.
    """
    if one.corners is not None and other.corners is not None:
        return polygon_iou(one.corners.to(other.corners.device), other.corners)
    return box_iou(one.boxes.to(other.boxes), other.boxes).nan_to_num()


def similarities(one: Detections, other: Detections) -> Tensor:
    """IoU of the boxes times the cosine of the class scores, ``(K, J)`` in [0, 1].

    The similarity of D-RISE (Petsiuk et al., CVPR 2021) without its objectness, which is the score
    s2 of Yamauchi (CVPRW 2024, eq. 11).
    """
    theirs = other.class_scores
    theirs = theirs.to(torch.promote_types(theirs.dtype, torch.float32))
    ours = one.class_scores.to(theirs)
    cosines = F.normalize(ours, dim=-1) @ F.normalize(theirs, dim=-1).mT
    return (overlaps(one, other) * cosines).clamp(0.0, 1.0)


def own_class_similarities(one: Detections, candidates: ClassCandidates) -> Tensor:
    """The same, with each candidate's box for the own class and all its scores, ``(K, R)``.

    As in VX-CODE (Yamauchi, Kera, Kawamoto, CVPR 2026): the cosine includes the background, and
    there is no threshold.
    """
    theirs, boxes = candidates.distributions, candidates.boxes
    ours = candidates.own.to(theirs)
    cosines = F.normalize(ours, dim=-1) @ F.normalize(theirs, dim=-1).mT
    pairs = zip(one.boxes.to(boxes), boxes, strict=True)
    rows = [box_iou(box[None], others)[0].nan_to_num() for box, others in pairs]
    overlap = torch.stack(rows) if rows else cosines
    return (overlap * cosines).clamp(0.0, 1.0)
