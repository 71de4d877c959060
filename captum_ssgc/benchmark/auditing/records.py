"""What an audit stores of each image."""

from __future__ import annotations

from dataclasses import dataclass

from captum_ssgc.benchmark.records import StoredImage

CONTEXT = ("surroundings", "neighbour")
"""The verdicts of detections that lean on context."""


@dataclass(frozen=True)
class Support:
    """What one detection rests on; :class:`captum_ssgc.metrics.Reliance` with one number a fill.

    Args:
        verdict: see :class:`captum_ssgc.metrics.Reliance`.
        words: the verdict with its figures.
        score: of the detection, on the image as it is.
        alone: median over the fills of the score with all but the box removed.
        without: the same with the box removed.
        energy_in_box: share of the map's energy in the box; ``None`` without a map.
        energy_on_others: share of it on other objects.
        energy_in_mask: share of it in the mask of the annotated object that the detection is, or
            would be without its error; ``None`` where there is no such mask.
    """

    verdict: str
    words: str
    score: float
    alone: float
    without: float
    energy_in_box: float | None
    energy_on_others: float | None
    energy_in_mask: float | None = None

    @property
    def on_context(self) -> bool:
        """Whether it rests on the surroundings or a neighbour."""
        return self.verdict in CONTEXT

    @property
    def left_without(self) -> float | None:
        """Share of the score that is left without the box, at most 1."""
        return min(self.without / self.score, 1.0) if self.score > 0.0 else None


@dataclass(frozen=True)
class Finding:
    """One annotated object, or one detection that belongs to none.

    See :class:`captum_ssgc.Diagnosis`; rows are those of the image's annotations.

    Args:
        kind: what it is.
        label: class of the object; of the detection, where there is no object.
        category: id of that class in the data set; ``None`` where it has none.
        box: ``(x1, y1, x2, y2)`` of the same, in pixels of the image.
        words: the diagnosis in words.
        row: of the object; ``None`` for a detection that belongs to none.
        mistaken_for: row of the object that such a detection would be without its error.
        detection: its number, in the detector's own order; ``None`` for a missed object.
        score: of the detection.
        detected_as: its class.
        detected_category: id of that class in the data set.
        detected_box: its box.
        iou: of the detection with either object.
        edge: the box edge that is off most.
        edge_off_by: by how many pixels.
        mechanism: why the object was not found.
        candidate_box: of the best candidate for it.
        candidate_score: of the same, under the object's class.
        candidate_iou: of the same with the object.
        under_threshold_by: what its score lacks.
        by_label: class of what won.
        by_score: its score.
        by_box: its box.
        support: what the detection rests on; ``None`` where it was not tried.
    """

    kind: str
    label: str
    category: int | None
    box: tuple[float, ...]
    words: str
    row: int | None = None
    mistaken_for: int | None = None
    detection: int | None = None
    score: float | None = None
    detected_as: str | None = None
    detected_category: int | None = None
    detected_box: tuple[float, ...] | None = None
    iou: float | None = None
    edge: str | None = None
    edge_off_by: float | None = None
    mechanism: str | None = None
    candidate_box: tuple[float, ...] | None = None
    candidate_score: float | None = None
    candidate_iou: float | None = None
    under_threshold_by: float | None = None
    by_label: str | None = None
    by_score: float | None = None
    by_box: tuple[float, ...] | None = None
    support: Support | None = None


@dataclass(frozen=True)
class AuditRecord(StoredImage):
    """What became of the objects and detections of one image.

    Args:
        height: of the image in pixels.
        width: of the image in pixels.
        annotations: number of annotations.
        crowd: how many of them stand for groups.
        unknown_class: how many others are of a class that the detector does not know.
        labels: how categories and labels were brought together.
        findings: objects, in their order, then the detections that belong to none, best first.
        problems: what could not be used of the annotations.
        total_seconds: spent on the image.
    """

    height: int = 0
    width: int = 0
    annotations: int = 0
    crowd: int = 0
    unknown_class: int = 0
    labels: str = ""
    findings: tuple[Finding, ...] = ()
    problems: tuple[str, ...] = ()
    total_seconds: float = 0.0
    schema = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        boxes = [one.box for one in self.findings]
        boxes += [box for one in self.findings for box in _further(one) if box is not None]
        if any(len(box) != 4 for box in boxes):
            raise ValueError("record: expected boxes of four numbers.")


def _further(one: Finding) -> tuple[tuple[float, ...] | None, ...]:
    return one.detected_box, one.candidate_box, one.by_box
