"""Any two rows of the table, compared on the detections that both have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from captum_ssgc.benchmark.uncertainty import (
    SIGN_FLIPS,
    Array,
    bootstrap_intervals,
    holm,
    ratio_of_sums,
    sign_flip_test,
)

SIGNIFICANT = 0.05
UNTESTED = ("seconds", "zero")
_FLIPS_PER_PAIR = 40  # so that a clear difference among very many rows can be told


@dataclass(frozen=True)
class Comparison:
    """Two rows in one column, over the detections of which both have a value.

    Args:
        column: key of the column.
        row: key of one row.
        other: key of the other.
        difference: mean of ``row`` minus ``other``.
        low: lower end of its 95 % interval, by the bootstrap over images.
        high: upper end.
        count: number of detections.
        p: of the paired sign-flip test over images.
        p_holm: the same, adjusted for all pairs of rows of the column (Holm).

    Example:
        >>> from captum_ssgc.benchmark.comparisons import Comparison
        >>> one = Comparison("p_b", "odam", "d-rise", 0.25, 0.125, 0.5, 40, 0.01, 0.06)
        >>> one.turned().difference, one.turned().low, one.distinguishable
        (-0.25, -0.5, False)
    """

    column: str
    row: str
    other: str
    difference: float
    low: float
    high: float
    count: int
    p: float
    p_holm: float

    @property
    def distinguishable(self) -> bool:
        """Whether the rows differ, all pairs of the column considered."""
        return self.p_holm < SIGNIFICANT

    def turned(self) -> Comparison:
        """The same from the other row's side."""
        return replace(
            self,
            row=self.other,
            other=self.row,
            difference=0.0 - self.difference,  # which does not make zero negative
            low=0.0 - self.high,
            high=0.0 - self.low,
        )


class Comparisons:
    """All comparisons of a table.

    Args:
        each: one for each pair of rows and column.
    """

    def __init__(self, each: Sequence[Comparison]) -> None:
        self.each = tuple(each)
        both = [side for one in self.each for side in (one, one.turned())]
        self._by_pair = {(one.column, one.row, one.other): one for one in both}

    def of(self, column: str, row: str, other: str) -> Comparison | None:
        """``row`` minus ``other`` in a column; ``None`` where no detection has both."""
        return self._by_pair.get((column, row, other))


class PairedSums:
    """Sums of differences, image by image.

    Args:
        names: keys of the rows.
        keys: of the columns.
    """

    def __init__(self, names: Sequence[str], keys: Sequence[str]) -> None:
        self._names, self._keys = names, keys
        self._columns = [place for place, key in enumerate(keys) if key not in UNTESTED]
        pairs = list(combinations(range(len(names)), 2))
        self._rows, self._others = ([pair[side] for pair in pairs] for side in (0, 1))
        self._sums: list[Array] = []
        self._counts: list[Array] = []

    def add(self, table: Array) -> None:
        """Add an image's values, ``(rows, columns, detections)``, NaN where there is none."""
        tested = table[:, self._columns]
        differences = tested[self._rows] - tested[self._others]
        known = np.isfinite(differences)
        self._sums.append(np.where(known, differences, 0.0).sum(2).ravel())
        self._counts.append(known.sum(2, dtype=float).ravel())

    def comparisons(self, seed: int) -> Comparisons:
        """Every pair of rows in every column.

        Args:
            seed: of the bootstrap and of the tests.
        """
        shape = (len(self._rows), len(self._columns))
        if not (self._sums and shape[0] and shape[1]):
            return Comparisons(())
        sums, counts = np.stack(self._sums), np.stack(self._counts)
        flips = max(SIGN_FLIPS, _FLIPS_PER_PAIR * shape[0])
        p_values = sign_flip_test(sums, seed, flips)
        p_values[counts.sum(0) == 0] = np.nan
        figures = (ratio_of_sums(sums, counts), *bootstrap_intervals(sums, counts, seed), p_values)
        means, low, high, p = (figure.reshape(shape) for figure in figures)
        totals = counts.sum(0).reshape(shape)
        adjusted = np.stack([holm(p[:, at]) for at in range(shape[1])], axis=1)
        return Comparisons(
            [
                Comparison(
                    self._keys[column],
                    self._names[self._rows[pair]],
                    self._names[self._others[pair]],
                    float(means[pair, at]),
                    float(low[pair, at]),
                    float(high[pair, at]),
                    int(totals[pair, at]),
                    float(p[pair, at]),
                    float(adjusted[pair, at]),
                )
                for at, column in enumerate(self._columns)
                for pair in range(shape[0])
                if totals[pair, at]
            ]
        )
