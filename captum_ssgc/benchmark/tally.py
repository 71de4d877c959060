"""Sums over images, one record at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from captum_ssgc.benchmark.columns import SECONDS
from captum_ssgc.benchmark.comparisons import Comparisons, PairedSums
from captum_ssgc.benchmark.records import ImageRecord
from captum_ssgc.benchmark.uncertainty import Array

_MERITS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Insertion s1 minus Deletion s1", ("ins_s1", "del_s1")),
    ("energy on the evidence", ("evidence",)),
    ("energy in the annotated box", ("ep_b",)),
    ("pointing game in the annotated box", ("p_b",)),
)


@dataclass(frozen=True)
class Place:
    """One detection of the run.

    Args:
        index: of its image.
        row: among the image's detections that were evaluated.
        merit: what it was chosen by.
    """

    index: int
    row: int
    merit: float


class Tally:
    """Adds up records; a few numbers are kept for each image, for the bootstrap and the tests.

    ``counts`` has: ``images``, ``failed``, ``empty`` (images without a detection to evaluate);
    ``reported``, ``above`` (the threshold), ``evaluated``, ``matched`` (detections);
    ``annotations``, ``crowd``, ``unknown_class`` (annotations).

    Args:
        names: keys of the rows.
        keys: of the columns.
    """

    def __init__(self, names: Sequence[str], keys: Sequence[str]) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: list[tuple[str, str]] = []
        self.problems: list[tuple[str, str]] = []
        self.labels: set[str] = set()
        self.seconds = 0.0
        self.merit, self._parts = next(
            ((text, parts) for text, parts in _MERITS if set(parts) <= set(keys)), ("", ())
        )
        self._names, self._keys = list(names), list(keys)
        self._sums: list[Array] = []
        self._counts: list[Array] = []
        self._pairs = PairedSums(self._names, self._keys)
        self._curves: dict[tuple[str, str], tuple[int, Array]] = {}
        self._merits: list[Array] = []
        self._owners: list[int] = []

    def add(self, record: ImageRecord) -> None:
        """Add the record of one image; images in their order, as rounding depends on it."""
        self.counts["images"] += 1
        if record.failed:
            self.counts["failed"] += 1
            self.failures.append((record.name, record.failed))
            return
        for key in ("reported", "above", "annotations", "crowd", "unknown_class"):
            self.counts[key] += getattr(record, key)
        self.counts["evaluated"] += len(record.detections)
        self.counts["matched"] += sum(one.annotation is not None for one in record.detections)
        self.seconds += record.total_seconds
        self.problems += [(record.name, problem) for problem in record.problems]
        self.labels.add(record.labels)
        if not record.detections:
            self.counts["empty"] += 1
            return
        self._add_values(record)
        for row, columns in record.curves.items():
            for key, entry in columns.items():
                count, total = self._curves.get((key, row), (0, np.zeros(len(entry.sum))))
                self._curves[key, row] = (count + entry.count, total + np.array(entry.sum))

    def arrays(self) -> tuple[Array, Array]:
        """Sums and counts, each ``(N, M)``.

        ``N`` are the images with detections, ``M`` row and column.
        """
        width = len(self._names) * len(self._keys)
        sums, counts = (
            np.stack(part) if part else np.zeros((0, width)) for part in (self._sums, self._counts)
        )
        return sums, counts

    def comparisons(self, seed: int) -> Comparisons:
        """Of every two rows in every column."""
        return self._pairs.comparisons(seed)

    def mean_curves(self) -> dict[str, dict[str, list[float]]]:
        """By column and row."""
        means: dict[str, dict[str, list[float]]] = {}
        for (key, name), (count, total) in self._curves.items():
            if count:
                means.setdefault(key, {})[name] = (total / count).tolist()
        return means

    def examples(self) -> dict[str, tuple[Place, ...]]:
        """By row the best, the median and the worst detection; fewer where there are fewer."""
        if not self._merits:
            return {}
        merits = np.concatenate(self._merits, axis=1)
        owners = np.repeat(self._owners, [part.shape[1] for part in self._merits])
        numbers = np.concatenate([np.arange(part.shape[1]) for part in self._merits])
        chosen = {}
        for name, values in zip(self._names, merits, strict=True):
            order = np.argsort(-values, kind="stable")[: int(np.isfinite(values).sum())]
            spots = sorted({0, len(order) // 2, len(order) - 1}) if len(order) else []
            chosen[name] = tuple(
                Place(int(owners[at]), int(numbers[at]), float(values[at])) for at in order[spots]
            )
        return chosen

    def _add_values(self, record: ImageRecord) -> None:
        detections = len(record.detections)
        table = np.full((len(self._names), len(self._keys), detections), np.nan)
        for row, name in enumerate(self._names):
            for column, key in enumerate(self._keys):
                values = record.values.get(name, {}).get(key)
                if values is not None:
                    table[row, column] = np.array(values, dtype=float)
                elif key == SECONDS and name in record.seconds:
                    table[row, column] = record.seconds[name] / detections
        if self._parts:
            first, *others = (table[:, self._keys.index(key)] for key in self._parts)
            self._merits.append(sum((-other for other in others), first))
            self._owners.append(record.index)
        known = np.isfinite(table)
        self._sums.append(np.where(known, table, 0.0).sum(2).ravel())
        self._counts.append(known.sum(2, dtype=float).ravel())
        self._pairs.add(table)
