"""From the records of all images to the table: means, intervals, tests, curves, examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from captum_ssgc.benchmark.columns import Column, columns_of
from captum_ssgc.benchmark.comparisons import SIGNIFICANT, UNTESTED, Comparisons
from captum_ssgc.benchmark.described import Described
from captum_ssgc.benchmark.records import ImageRecord
from captum_ssgc.benchmark.settings import BenchmarkSettings
from captum_ssgc.benchmark.tally import Place, Tally
from captum_ssgc.benchmark.uncertainty import Array, bootstrap_intervals, holm, ratio_of_sums


@dataclass(frozen=True)
class Cell:
    """One number of the table.

    Args:
        mean: over all detections.
        low: lower end of its 95 % interval.
        high: upper end.
        count: number of detections.
        p: of the paired test against SSGrad-CAM++; ``None`` where there is none.
        p_holm: the same, adjusted for the comparisons with SSGrad-CAM++ in its column.
        best: no method is better, and some are worse.
        as_best: a method that is not the best but cannot be told from it, adjusted for all pairs
            of rows of the column.
        loses_to: floors that are better.
    """

    mean: float
    low: float
    high: float
    count: int
    p: float | None = None
    p_holm: float | None = None
    best: bool = False
    as_best: bool = False
    loses_to: tuple[str, ...] = ()

    @property
    def tied(self) -> bool:
        """Not distinguishable from SSGrad-CAM++."""
        return self.p_holm is not None and self.p_holm >= SIGNIFICANT


@dataclass(frozen=True)
class Row:
    """One method with its options, or one floor.

    Args:
        name: its key, see :class:`MethodRow`.
        title: for readers.
        is_floor: whether it is a floor.
        cells: by column; one in which nothing was measured has none.
    """

    name: str
    title: str
    is_floor: bool
    cells: dict[str, Cell]


@dataclass(frozen=True)
class Summary(Described):
    """The result of a benchmark run.

    Args:
        rows: methods, then floors.
        columns: those in which something was measured.
        comparisons: of any two rows in any column that is tested.
        counts: of images, detections and annotations; see :mod:`captum_ssgc.benchmark.tally`.
        failures: name of the image and reason, for every image that could not be evaluated.
        problems: name of the image and what could not be used of its annotations.
        curves: by column and key of the row, the mean curve.
        examples: by key of the row, the best, the median and the worst detection.
        merit: what the examples are ordered by, for readers.
        labels: how categories and labels were brought together.
        damaged: number of stored lines that were no record of this run.
        seconds: spent on all images by all processes together.
        complete: whether every image is done.
        description: what was measured, with which model, on what; see the run's ``run.json``.
    """

    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    comparisons: Comparisons
    counts: Counter[str]
    failures: tuple[tuple[str, str], ...]
    problems: tuple[tuple[str, str], ...]
    curves: dict[str, dict[str, list[float]]]
    examples: dict[str, tuple[Place, ...]]
    merit: str
    labels: tuple[str, ...]
    damaged: int
    seconds: float
    complete: bool
    description: dict[str, Any] = field(repr=False)

    @property
    def settings(self) -> BenchmarkSettings:
        """What was measured."""
        return BenchmarkSettings.from_json(self.description["settings"])

    def row(self, name: str) -> Row:
        """The row of a method or floor, by its key."""
        return next(row for row in self.rows if row.name == name)


def summarise(
    records: Iterable[ImageRecord], description: dict[str, Any], damaged: int = 0
) -> Summary:
    """The summary of a run.

    Args:
        records: of the images, in their order; they are read once and not kept.
        description: of the run.
        damaged: number of lines that could not be read.
    """
    settings = BenchmarkSettings.from_json(description["settings"])
    columns = columns_of(settings.metrics)
    tally = Tally(list(settings.titles), [column.key for column in columns])
    for record in records:
        tally.add(record)
    comparisons = tally.comparisons(settings.seed)
    rows = _rows(settings, columns, tally, comparisons)
    known = [column for column in columns if any(column.key in row.cells for row in rows)]
    return Summary(
        rows=tuple(rows),
        columns=tuple(known),
        comparisons=comparisons,
        counts=tally.counts,
        failures=tuple(tally.failures),
        problems=tuple(tally.problems),
        curves=tally.mean_curves(),
        examples={
            key: places for key, places in tally.examples().items() if key not in settings.floors
        },
        merit=tally.merit,
        labels=tuple(sorted(tally.labels)),
        damaged=damaged,
        seconds=tally.seconds,
        complete=tally.counts["images"] == description["data"]["images"],
        description=description,
    )


def _rows(
    settings: BenchmarkSettings, columns: list[Column], tally: Tally, comparisons: Comparisons
) -> list[Row]:
    titles, keys = settings.titles, [column.key for column in columns]
    sums, counts = tally.arrays()
    shape = (len(titles), len(keys))
    means = ratio_of_sums(sums, counts).reshape(shape)
    low, high = (end.reshape(shape) for end in bootstrap_intervals(sums, counts, settings.seed))
    totals = counts.sum(0).reshape(shape)
    p_values, adjusted = _against_reference(settings, keys, comparisons)
    rows = []
    for place, (name, title) in enumerate(titles.items()):
        is_floor = name in settings.floors
        cells = {}
        for at, column in enumerate(columns):
            if not totals[place, at]:
                continue
            ours = means[: len(settings.rows), at]
            best = [
                other.key
                for other, mean in zip(settings.rows, ours, strict=True)
                if _is_best(column, mean, ours)
            ]
            cells[column.key] = Cell(
                mean=float(means[place, at]),
                low=float(low[place, at]),
                high=float(high[place, at]),
                count=int(totals[place, at]),
                p=_known(p_values[place, at]),
                p_holm=_known(adjusted[place, at]),
                best=name in best,
                as_best=not is_floor and _as_best(comparisons, column, name, best),
                loses_to=() if is_floor else _better_floors(settings, column, place, means[:, at]),
            )
        rows.append(Row(name, title, is_floor, cells))
    return rows


def _against_reference(
    settings: BenchmarkSettings, keys: list[str], comparisons: Comparisons
) -> tuple[Array, Array]:
    """P-values against the reference and the adjusted ones, NaN where there is no test."""
    p_values = np.full((len(settings.titles), len(keys)), np.nan)
    if settings.reference is not None:
        for place, name in enumerate(settings.titles):
            for at, key in enumerate(keys):
                one = comparisons.of(key, name, settings.reference)
                p_values[place, at] = np.nan if one is None else one.p
    adjusted = np.stack([holm(p_values[:, at]) for at in range(len(keys))], axis=1)
    return p_values, adjusted


def _as_best(comparisons: Comparisons, column: Column, name: str, best: list[str]) -> bool:
    against_best = [comparisons.of(column.key, other, name) for other in best if name not in best]
    return any(one is not None and not one.distinguishable for one in against_best)


def _is_best(column: Column, value: float, others: Array) -> bool:
    known = others[np.isfinite(others)]
    distinct = bool((known != value).any())
    return distinct and not any(column.better(other, value) for other in known)


def _better_floors(
    settings: BenchmarkSettings, column: Column, place: int, means: Array
) -> tuple[str, ...]:
    if column.key in UNTESTED:
        return ()
    floors = enumerate(settings.floors, start=len(settings.rows))
    return tuple(name for at, name in floors if column.better(means[at], means[place]))


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
