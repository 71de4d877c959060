"""From a diagnosis to what is stored and read of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from torch import Tensor

from captum_ssgc.benchmark.auditing.records import Finding, Support
from captum_ssgc.benchmark.matching import LabelMap, class_name
from captum_ssgc.benchmark.measurements import rounded
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector
from captum_ssgc.diagnosis import Diagnosis
from captum_ssgc.metrics import Reliance


@dataclass(frozen=True, eq=False)
class Names:
    """What labels are called, and which categories they are."""

    detector: Detector
    labels: LabelMap
    categories: Mapping[int, str]

    def of(self, label: int) -> str:
        """Name of a label."""
        return class_name(label, self.detector, self.labels, self.categories)

    def category(self, label: int) -> int | None:
        """Category of a label."""
        return self.labels.categories.get(label)


def as_finding(
    one: Diagnosis, rows: Sequence[int], names: Names, relies: Reliance | None
) -> Finding:
    """What is stored of a diagnosis.

    Args:
        one: the diagnosis.
        rows: of the image's annotations, for each object that was looked at.
        names: of the classes.
        relies: what the detection rests on; ``None`` where it was not tried.
    """
    detected = None if one.detection is None else int(one.detection.labels)
    by = None if one.by is None else int(one.by.labels)
    named = replace(
        one,
        label=names.of(one.label_index),
        detected_as=None if detected is None else names.of(detected),
        by_label=None if by is None else names.of(by),
    )
    return Finding(
        kind=named.kind,
        label=named.label,
        category=names.category(named.label_index),
        box=_corners(named.box),
        words=str(named),
        row=None if one.object_index is None else rows[one.object_index],
        mistaken_for=None if one.mistaken_for is None else rows[one.mistaken_for],
        detection=named.detection_index,
        score=_number(named.score),
        detected_as=named.detected_as,
        detected_category=None if detected is None else names.category(detected),
        detected_box=_box(named.detection),
        iou=_number(named.iou),
        edge=named.edge,
        edge_off_by=_number(named.edge_off_by),
        mechanism=named.mechanism,
        candidate_box=_box(named.candidate),
        candidate_score=None if named.candidate is None else rounded(float(named.candidate.scores)),
        candidate_iou=_number(named.candidate_iou),
        under_threshold_by=_number(named.under_threshold_by),
        by_label=named.by_label,
        by_score=None if named.by is None else rounded(float(named.by.scores)),
        by_box=_box(named.by),
        support=None if relies is None else _support(relies),
    )


def _support(one: Reliance) -> Support:
    return Support(
        verdict=one.verdict,
        words=str(one),
        score=rounded(one.score),
        alone=rounded(median(one.alone.values())),
        without=rounded(median(one.without.values())),
        energy_in_box=_number(one.energy_in_box),
        energy_on_others=_number(one.energy_on_others),
        energy_in_mask=_number(one.energy_in_mask),
    )


def _box(one: Detections | None) -> tuple[float, ...] | None:
    return None if one is None else _corners(one.boxes[0])


def _corners(box: Tensor) -> tuple[float, ...]:
    return tuple(rounded(corner) for corner in box.tolist())


def _number(value: float | None) -> float | None:
    return None if value is None else rounded(value)
