"""Everything that is measured on one image, as a record that JSON can hold."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from captum_ssgc.attr import method_named
from captum_ssgc.benchmark.agreement import Truth, agreement, truth_of
from captum_ssgc.benchmark.captum_metrics import infidelities, sensitivities
from captum_ssgc.benchmark.columns import CURVES
from captum_ssgc.benchmark.floors import floor_maps
from captum_ssgc.benchmark.heat_maps import MapMaker
from captum_ssgc.benchmark.matching import LabelMap, chosen, label_map, matched
from captum_ssgc.benchmark.settings import BenchmarkSettings
from captum_ssgc.benchmark.sources import Case
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector
from captum_ssgc.metrics import deletion_insertion

Record = dict[str, Any]
GROUP = 16
_DIGITS = 9


class ImageEvaluation:
    """Evaluates images one by one; what it gives for an image depends on nothing else.

    Args:
        detector: the detector.
        categories: names of the data set's categories by id.
        settings: what is measured.

    Raises:
        ValueError: if there is no layer to attribute.
    """

    def __init__(
        self, detector: Detector, categories: Mapping[int, str], settings: BenchmarkSettings
    ) -> None:
        self.detector, self.settings = detector, settings
        self.maker = MapMaker(detector, settings)
        self.device = _device(detector)
        self._categories = categories
        self._labels: LabelMap | None = None

    def record(self, case: Case, key: str) -> Record:
        """Everything that is counted and measured on one image."""
        start = time.perf_counter()
        image = case.image.to(self.device)
        reported, found, rows = self.detections(case)
        unknown = self.labels(reported).of(case.categories) < 0
        record: Record = {
            "reported": len(reported),
            "above": int((reported.scores > self.settings.score_threshold).sum()),
            "annotations": len(case.boxes),
            "crowd": int(case.crowd.sum()),
            "unknown_class": int((unknown & ~case.crowd).sum()),
            "labels": self.labels(reported).rule,
            "detections": [self._described(found, place, row) for place, row in enumerate(rows)],
            "values": {},
            "curves": {},
            "seconds": {},
            "problems": [],
        }
        if len(found):
            self._measure(record, case, image, found, rows, image_seed(self.settings, key))
        record["total_seconds"] = _rounded(time.perf_counter() - start)
        return record

    def detections(self, case: Case) -> tuple[Detections, Detections, list[int | None]]:
        """All that is reported, what is evaluated of it, and the annotation of each of these."""
        reported = self.detector.detect(case.image.to(self.device))[0]
        settings = self.settings
        found = reported[chosen(reported, settings.score_threshold, settings.max_detections)]
        labels = self.labels(reported).of(case.categories)
        rows = matched(found, case.boxes, labels, case.crowd, settings.iou_threshold)
        return reported, found, rows

    def labels(self, found: Detections) -> LabelMap:
        """How categories and labels belong together."""
        if self._labels is None:
            self._labels = label_map(self._categories, self.detector, found.class_scores.shape[1])
        return self._labels

    def maps(
        self, names: Iterable[str], image: Tensor, found: Detections, seed: int, first: int = 0
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Maps ``(K, H, W)`` of methods and floors, and the seconds that each method took."""
        wanted = list(names)
        maps, seconds = self.maker.maps(
            [name for name in wanted if name in self.settings.methods], image, found, seed
        )
        for name in wanted:
            if name not in maps:
                maps[name] = floor_maps(name, found, seed, first)
        return maps, seconds

    def _described(self, found: Detections, place: int, row: int | None) -> dict[str, Any]:
        label = int(found.labels[place])
        name = self.detector.label_name(label)
        if self.detector.label_names is None:
            categories = {label: category for category, label in self.labels(found).labels.items()}
            name = self._categories[categories[label]] if label in categories else name
        return {
            "label": name,
            "score": _rounded(float(found.scores[place])),
            "box": [_rounded(corner) for corner in found.boxes[place].tolist()],
            "annotation": row,
        }

    def _measure(
        self,
        record: Record,
        case: Case,
        image: Tensor,
        found: Detections,
        rows: list[int | None],
        seed: int,
    ) -> None:
        names, seconds = self.settings.map_names, dict.fromkeys(self.settings.methods, 0.0)
        known = self.settings.methods
        slow = [name for name in known if not method_named(name).gradient_based]
        by_changed_images, seconds_of_these = self.maps(slow, image, found, seed)
        seconds.update(seconds_of_these)
        # In groups, so that an image with a hundred detections needs no more memory.
        for start in range(0, len(found), GROUP):
            group = found[start : start + GROUP]
            truth = truth_of(case, rows[start : start + GROUP])
            record["problems"] += truth.problems
            others = [name for name in names if name not in slow]
            maps, took = self.maps(others, image, group, seed, start)
            for name, value in took.items():
                seconds[name] += value
            for name, whole in by_changed_images.items():
                maps[name] = whole[start : start + GROUP]
            self._score(record, image, group, {name: maps[name] for name in names}, truth, seed)
        record["seconds"] = {name: _rounded(value) for name, value in seconds.items()}

    def _score(
        self,
        record: Record,
        image: Tensor,
        found: Detections,
        maps: dict[str, Tensor],
        truth: Truth,
        seed: int,
    ) -> None:
        settings, metrics = self.settings, self.settings.metrics
        values = record["values"]
        for name, heat_maps in maps.items():
            flat = heat_maps.flatten(1)
            empty = ~(flat.isfinite().all(1) & (flat > 0).any(1))
            _extend(values, name, "zero", empty.float())
        if "deletion-insertion" in metrics:
            measured = deletion_insertion(
                self.detector,
                image,
                found,
                maps,
                settings.curve_preset,
                generator=torch.Generator().manual_seed(seed),
                perturbations_per_eval=settings.batch_size,
            )
            for name, both in measured.items():
                for column in CURVES:
                    side = both.deletion if column.startswith("del") else both.insertion
                    _extend(values, name, column, side[column[4:]].area)
                    _add_curve(record["curves"], name, column, side[column[4:]].scores)
        for name, heat_maps in maps.items():
            for column, found_values in agreement(metrics, heat_maps.cpu(), truth).items():
                _extend(values, name, column, found_values)
        for name, heat_maps in maps.items():
            if "infidelity" in metrics:
                samples = settings.perturbed_images
                errors = infidelities(self.detector, image, found, heat_maps, samples, seed)
                _extend(values, name, "infidelity", errors)
            if "sensitivity" in metrics and name in settings.methods:
                samples = settings.perturbed_images
                changes = sensitivities(self.maker, name, image, found, samples, seed)
                _extend(values, name, "sensitivity", changes)


def image_seed(settings: BenchmarkSettings, key: str) -> int:
    """The seed of everything random on one image: from the run's seed and the image alone."""
    digest = hashlib.sha256(f"{settings.seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:7], "big")


def _extend(values: dict[str, dict[str, list[Any]]], name: str, key: str, found: Tensor) -> None:
    row = values.setdefault(name, {}).setdefault(key, [])
    row.extend(_rounded(value) for value in found.detach().cpu().tolist())


def _add_curve(curves: dict[str, Any], name: str, key: str, scores: Tensor) -> None:
    """Add the curves ``(K, S + 1)`` to the sum of the image; those with NaN are left out."""
    scores = scores.detach().cpu().double()
    finite = scores[scores.isfinite().all(1)]
    entry = curves.setdefault(name, {}).setdefault(
        key, {"count": 0, "sum": [0.0] * scores.shape[1]}
    )
    entry["count"] += len(finite)
    entry["sum"] = [_rounded(a + b) for a, b in zip(entry["sum"], finite.sum(0).tolist())]


def _rounded(value: float) -> float | None:
    """What float32 can tell apart; ``None`` for what is not finite, as JSON has no such numbers."""
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None


def _device(detector: Detector) -> torch.device:
    first = next(detector.model.parameters(), None)
    return torch.device("cpu") if first is None else first.device
