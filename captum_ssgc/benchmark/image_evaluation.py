"""Everything that is measured on one image, as a record."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from captum_ssgc.attr import method_named
from captum_ssgc.benchmark.agreement import truth_of
from captum_ssgc.benchmark.columns import ON_ANNOTATIONS
from captum_ssgc.benchmark.errors import BenchmarkError
from captum_ssgc.benchmark.floors import floor_maps
from captum_ssgc.benchmark.heat_maps import MapMaker
from captum_ssgc.benchmark.image_work import device_of
from captum_ssgc.benchmark.matching import LabelMap, chosen, class_name, label_map, matched
from captum_ssgc.benchmark.measurements import Measurements, rounded
from captum_ssgc.benchmark.records import DetectionRecord, ImageRecord
from captum_ssgc.benchmark.scores import score_maps
from captum_ssgc.benchmark.settings import BenchmarkSettings
from captum_ssgc.benchmark.sources import Case
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector

GROUP = 16


class ImageEvaluation:
    """The :class:`ImageWork` of a benchmark: evaluates images one by one.

    Args:
        detector: the detector.
        categories: names of the data set's categories by id.
        settings: what is measured.

    Raises:
        ValueError: if there is no layer to attribute.
    """

    task, kind = "benchmark", ImageRecord

    def __init__(
        self, detector: Detector, categories: Mapping[int, str], settings: BenchmarkSettings
    ) -> None:
        self.detector, self.settings = detector, settings
        self.maker = MapMaker(detector, settings)
        self.device = device_of(detector)
        self._rows = {row.key: row for row in settings.rows}
        # Their forwards serve all detections of an image at once.
        self._by_perturbation = [
            row for row in settings.rows if not method_named(row.method).gradient_based
        ]
        self._categories = categories
        self._labels: LabelMap | None = None

    def layer_names(self) -> list[str]:
        """The layers that are attributed, as the model names them."""
        return self.maker.layer_names()

    def record(self, case: Case, image: ImageRecord) -> ImageRecord:
        """Everything that is counted and measured on one image.

        Args:
            case: the image.
            image: its record so far, which says which image it is.

        Raises:
            BenchmarkError: if categories and labels cannot be brought together.
        """
        start = time.perf_counter()
        reported, evaluated, annotations = self.detections(case)
        unknown = self.labels(reported).of(case.categories) < 0
        measured = Measurements()
        if len(evaluated):
            self._measure(measured, case, evaluated, annotations, image.key)
        return replace(
            image,
            reported=len(reported),
            above=int((reported.scores > self.settings.score_threshold).sum()),
            annotations=len(case.boxes),
            crowd=int(case.crowd.sum()),
            unknown_class=int((unknown & ~case.crowd).sum()),
            labels=self.labels(reported).rule,
            detections=tuple(
                self._described(evaluated, place, row) for place, row in enumerate(annotations)
            ),
            **vars(measured),
            total_seconds=rounded(time.perf_counter() - start),
        )

    def detections(self, case: Case) -> tuple[Detections, Detections, list[int | None]]:
        """All that is reported, what is evaluated of it, and the annotation of each of these."""
        reported = self.detector.detect(case.image.to(self.device))[0]
        settings = self.settings
        evaluated = reported[chosen(reported, settings.score_threshold, settings.max_detections)]
        labels = self.labels(reported).of(case.categories)
        annotations = matched(evaluated, case.boxes, labels, case.crowd, settings.iou_threshold)
        return reported, evaluated, annotations

    def labels(self, reported: Detections) -> LabelMap:
        """How categories and labels belong together.

        Raises:
            BenchmarkError: if they do not, and something is measured on annotations.
        """
        if self._labels is None:
            classes = reported.class_scores.shape[1]
            try:
                self._labels = label_map(self._categories, self.detector, classes)
            except ValueError as error:
                if ON_ANNOTATIONS & set(self.settings.metrics):
                    raise BenchmarkError(str(error)) from error
                self._labels = LabelMap("not at all, as nothing is measured on annotations", {})
        return self._labels

    def maps(
        self, keys: Sequence[str], image: Tensor, detections: Detections, seed: int, first: int = 0
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Maps ``(K, H, W)`` of methods and floors by row, and the seconds that each method took.

        Args:
            keys: of the rows.
            image: ``(1, 3, H, W)`` on the detector's device.
            detections: ``K`` of them.
            seed: of the image.
            first: place of the first of these detections among those of the image.
        """
        rows = [self._rows[key] for key in keys if key in self._rows]
        heat_maps, seconds = self.maker.maps(rows, image, detections, seed)
        for key in keys:
            if key not in self._rows:
                heat_maps[key] = floor_maps(key, detections, seed, first)
        return heat_maps, seconds

    def _described(self, detections: Detections, place: int, row: int | None) -> DetectionRecord:
        label = int(detections.labels[place])
        name = class_name(label, self.detector, self.labels(detections), self._categories)
        return DetectionRecord(
            label=name,
            score=rounded(float(detections.scores[place])),
            box=tuple(rounded(corner) for corner in detections.boxes[place].tolist()),
            annotation=row,
        )

    def _measure(
        self,
        measured: Measurements,
        case: Case,
        detections: Detections,
        annotations: list[int | None],
        key: str,
    ) -> None:
        image, seed = case.image.to(self.device), image_seed(self.settings, key)
        whole, seconds = self.maker.maps(self._by_perturbation, image, detections, seed)
        measured.add_seconds(seconds)
        for row, heat_maps in whole.items():
            measured.add_small_maps(row, heat_maps)
        keys = list(self.settings.titles)
        others = [row for row in keys if row not in whole]
        # In groups, so that an image with a hundred detections needs no more memory.
        for start in range(0, len(detections), GROUP):
            group = detections[start : start + GROUP]
            truth = truth_of(case, annotations[start : start + GROUP])
            measured.problems += truth.problems
            group_maps, seconds = self.maps(others, image, group, seed, start)
            measured.add_seconds(seconds)
            group_maps |= {
                row: heat_maps[start : start + GROUP] for row, heat_maps in whole.items()
            }
            scored = {row: group_maps[row] for row in keys}
            score_maps(measured, self.maker, image, group, scored, truth, seed)


def image_seed(settings: BenchmarkSettings, key: str) -> int:
    """The seed of everything random on one image: from the run's seed and the image alone."""
    digest = hashlib.sha256(f"{settings.seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:7], "big")
