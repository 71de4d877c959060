"""Everything that an audit finds out about one image, as a record."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from captum_ssgc.attr import Layers, recording
from captum_ssgc.benchmark.auditing.records import AuditRecord, Finding
from captum_ssgc.benchmark.auditing.settings import AuditSettings
from captum_ssgc.benchmark.auditing.wording import Names, as_finding
from captum_ssgc.benchmark.errors import BenchmarkError
from captum_ssgc.benchmark.image_work import device_of, layer_names
from captum_ssgc.benchmark.matching import LabelMap, label_map
from captum_ssgc.benchmark.measurements import rounded
from captum_ssgc.benchmark.sources import Case
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector, Output
from captum_ssgc.diagnosis import Diagnosis, diagnose
from captum_ssgc.diagnosis.evidence import gradient_method
from captum_ssgc.metrics import Reliance, reliance


class ImageAudit:
    """The :class:`ImageWork` of an audit.

    Args:
        detector: the detector.
        categories: names of the data set's categories by id.
        settings: what is looked at.

    Raises:
        ValueError: if there is no layer to attribute, where maps are wanted.
    """

    task, kind = "audit", AuditRecord

    def __init__(
        self, detector: Detector, categories: Mapping[int, str], settings: AuditSettings
    ) -> None:
        self.detector, self.settings = detector, settings
        self.device = device_of(detector)
        self._layers = None
        if settings.method is not None:
            layer = None if settings.layer is None else list(settings.layer)
            self._layers = Layers.of_detector(detector, layer)
        self._categories = categories
        self._labels: LabelMap | None = None

    def layer_names(self) -> list[str]:
        """The layers that are attributed, as the model names them."""
        return layer_names(self._layers)

    def record(self, case: Case, image: AuditRecord) -> AuditRecord:
        """Everything that is found out about one image.

        Args:
            case: the image.
            image: its record so far, which says which image it is.

        Raises:
            BenchmarkError: if categories and labels cannot be brought together.
        """
        start = time.perf_counter()
        known = self._known(case)
        diagnoses = self.diagnoses(case)
        findings, problems = self._findings(case, diagnoses, known)
        return replace(
            image,
            height=int(case.image.shape[-2]),
            width=int(case.image.shape[-1]),
            annotations=len(case.boxes),
            crowd=int(case.crowd.sum()),
            unknown_class=len(case.boxes) - len(known) - int(self._unknown_crowd(case)),
            labels=self.labels(case).rule,
            findings=findings,
            problems=problems,
            total_seconds=rounded(time.perf_counter() - start),
        )

    def diagnoses(self, case: Case, method: str | None = None) -> list[Diagnosis]:
        """The diagnoses of an image, with maps where a method is named."""
        settings, rows = self.settings, self._known(case)
        return diagnose(
            self.detector,
            case.image,
            case.boxes[rows],
            self.labels(case).of(case.categories)[rows],
            crowd=case.crowd[rows],
            score_threshold=settings.score_threshold,
            foreground_iou=settings.foreground_iou,
            background_iou=settings.background_iou,
            method=method,
            layer=None if settings.layer is None else list(settings.layer),
        )

    def maps(self, case: Case, detections: Detections, output: Output) -> Tensor | None:
        """Maps ``(K, H, W)`` of detections of an image; ``None`` where none are wanted."""
        if self._layers is None or self.settings.method is None:
            return None
        request = gradient_method(self.settings.method).request({}, output)
        image = case.image.to(self.device)
        with recording(self.detector, self._layers, image, detections, outputs=[output]) as record:
            return record.heat_maps([request], detections)[0].heat_maps()

    def labels(self, case: Case) -> LabelMap:
        """How categories and labels belong together.

        Raises:
            BenchmarkError: if they do not.
        """
        if self._labels is None:
            reported = self.detector.detect(case.image.to(self.device))[0]
            try:
                self._labels = label_map(
                    self._categories, self.detector, reported.class_scores.shape[1]
                )
            except ValueError as error:
                raise BenchmarkError(str(error)) from error
        return self._labels

    def _known(self, case: Case) -> list[int]:
        """Rows of the annotations whose class the detector knows."""
        labels = self.labels(case).of(case.categories)
        return (labels >= 0).nonzero()[:, 0].tolist()

    def _unknown_crowd(self, case: Case) -> Tensor:
        return ((self.labels(case).of(case.categories) < 0) & case.crowd).sum()

    def _findings(
        self, case: Case, diagnoses: Sequence[Diagnosis], rows: Sequence[int]
    ) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
        names = Names(self.detector, self.labels(case), self._categories)
        problems: list[str] = []
        supports = self._reliance(case, diagnoses, rows, problems)
        findings = tuple(
            as_finding(one, rows, names, supports.get(place)) for place, one in enumerate(diagnoses)
        )
        return findings, tuple(dict.fromkeys(problems))

    def _reliance(
        self, case: Case, diagnoses: Sequence[Diagnosis], rows: Sequence[int], problems: list[str]
    ) -> dict[int, Reliance]:
        """What the best detections rest on, by the place of their diagnosis."""
        scored = [
            (-one.score, place)
            for place, one in enumerate(diagnoses)
            if one.score is not None and one.kind != "ignored"
        ]
        places = [place for _, place in sorted(scored)][: self.settings.max_detections]
        chosen = [one for place in places if (one := diagnoses[place].detection) is not None]
        if not chosen:
            return {}
        detections = Detections.cat(chosen).to(self.device)
        heat_maps = self.maps(case, detections, "score")
        objects = [_object_of(diagnoses[place], rows) for place in places]
        said = reliance(
            self.detector,
            case.image.to(self.device),
            detections,
            heat_maps,
            others=[_other_boxes(case, row) for row in objects],
            masks=None if heat_maps is None else [_mask(case, row, problems) for row in objects],
            fills=self.settings.fills,
            thresholds=self.settings.reliance_thresholds,
            images_per_forward=self.settings.batch_size,
        )
        return dict(zip(places, said, strict=True))


def _object_of(one: Diagnosis, rows: Sequence[int]) -> int | None:
    """Row of the annotation which a detection is, or would be without its error."""
    own = one.mistaken_for if one.object_index is None else one.object_index
    return None if own is None else rows[own]


def _other_boxes(case: Case, row: int | None) -> Tensor:
    """The annotated boxes but that one."""
    keep = torch.ones(len(case.boxes), dtype=torch.bool, device="cpu")
    if row is not None:
        keep[row] = False
    return case.boxes[keep]


def _mask(case: Case, row: int | None, problems: list[str]) -> Tensor | None:
    """The pixels of an annotation, where they are known."""
    try:
        pixels = None if row is None else case.mask(row)
    except (ImportError, ValueError) as error:  # only one figure of many needs them
        problems.append(str(error))
        return None
    return pixels if pixels is not None and bool(pixels.any()) else None
