"""Which detections are evaluated, and which annotation each of them is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import box_iou

from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector


@dataclass(frozen=True)
class LabelMap:
    """The detector's label of each category of the data set.

    Args:
        rule: how they were brought together, for readers.
        labels: by category id; categories that the detector does not know are left out.
    """

    rule: str
    labels: dict[int, int]

    def of(self, categories: Tensor) -> Tensor:
        """Labels ``(G,)`` of categories ``(G,)``; -1 where the detector has none."""
        labels = [self.labels.get(int(category), -1) for category in categories]
        return torch.tensor(labels, dtype=torch.int64, device="cpu")

    @property
    def categories(self) -> dict[int, int]:
        """Category id by label."""
        return {label: category for category, label in self.labels.items()}


def class_name(
    label: int, detector: Detector, labels: LabelMap, categories: Mapping[int, str]
) -> str:
    """The detector's name of a label; the data set's where the detector has no names."""
    if detector.label_names is None and label in labels.categories:
        return categories[labels.categories[label]]
    return detector.label_name(label)


def label_map(categories: Mapping[int, str], detector: Detector, classes: int) -> LabelMap:
    """Bring categories and labels together: by name, else by id, else by position.

    Args:
        categories: names by id.
        detector: whose ``label_names`` are used where they are known.
        classes: number of class scores of a detection.

    Raises:
        ValueError: if none of the three fits.
    """
    by_name = _by_name(categories, detector)
    if by_name:
        return LabelMap("by name", by_name)
    ids, count = sorted(categories), len(categories)
    ids_fit = max(ids, default=0) < classes
    torchvision = _is_torchvision(detector)
    if torchvision and 0 in categories:
        raise ValueError(
            f"category 0 of the data set, {categories[0]!r}, would be the background of the "
            f"torchvision model, whose {classes} labels have no names that agree with the data "
            "set's: number the categories from 1 as the model was trained, or give the detector "
            "its label names, the background first (label_names=['__background__', ...], or "
            "--labels FILE)."
        )
    if torchvision and ids_fit:
        return LabelMap("by id: label n is category n, as torchvision numbers COCO", _same(ids))
    if torchvision and classes == count + 1:
        places = {category: place for place, category in enumerate(ids, start=1)}
        return LabelMap("by position after the background, in the order of the ids", places)
    if classes == count:
        places = {category: place for place, category in enumerate(ids)}
        return LabelMap("by position, in the order of the ids", places)
    if ids_fit:
        return LabelMap("by id: label n is category n", _same(ids))
    raise ValueError(
        f"the detector's {classes} labels and the {count} categories of the data set cannot be "
        "brought together: no name, number or count agrees; give the detector its label names "
        "(label_names=..., or --labels FILE)."
    )


def chosen(reported: Detections, score_above: float, most: int | None) -> list[int]:
    """The detections that are evaluated, best first."""
    order = reported.scores.argsort(descending=True, stable=True)
    return [int(row) for row in order if bool(reported.scores[row] > score_above)][:most]


def matched(
    detections: Detections, boxes: Tensor, labels: Tensor, crowd: Tensor, iou_above: float
) -> list[int | None]:
    """The annotation of each detection, one to one, best detection first.

    Each detection takes the free annotation of its class that it overlaps most, if their IoU is
    above ``iou_above``; annotations of crowds are never taken.

    Args:
        detections: ``K`` of them, best first.
        boxes: ``(G, 4)`` of the annotations.
        labels: ``(G,)`` their labels, -1 for none.
        crowd: ``(G,)`` bool.
        iou_above: in [0, 1].

    Returns:
        ``K`` rows of annotations, ``None`` where a detection has none.
    """
    overlap = box_iou(detections.boxes.cpu().double(), boxes.double())
    overlap = overlap * (detections.labels.cpu()[:, None] == labels) * ~crowd
    taken: list[int | None] = []
    for row in overlap:
        best = int(row.argmax()) if len(row) else 0
        if len(row) and float(row[best]) > iou_above:
            taken.append(best)
            overlap[:, best] = 0.0
        else:
            taken.append(None)
    return taken


def _by_name(categories: Mapping[int, str], detector: Detector) -> dict[int, int]:
    places: dict[str, int] = {}
    for place, name in enumerate(detector.label_names or ()):
        places.setdefault(_plain(name), place)
    return {
        category: places[_plain(name)]
        for category, name in categories.items()
        if _plain(name) in places
    }


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _same(ids: list[int]) -> dict[int, int]:
    return {category: category for category in ids}


def _is_torchvision(detector: Detector) -> bool:
    modules = [base.__module__ for base in type(detector.model).__mro__]
    return any(module.startswith("torchvision.models.detection") for module in modules)
