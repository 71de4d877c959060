"""Draws what Refined CAM reaches with how many forwards, beside its prior and D-RISE.

    captum-ssgc benchmark --data synthetic:60 --model demo --max-detections 1 -o RUN --methods \\
        'ssgrad-cam++,d-rise,refined-cam[forwards=0],refined-cam[forwards=30],refined-cam'
    python tests/benchmarks/draw_refinement.py docs/refinement.png scenes=RUN [photos=RUN ...]

One panel for each column of the benchmark, the forwards along its axis, one line for each title.
Runs of the same title are taken together: they must have measured the same images.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from captum_ssgc.attr import METHODS, RefinedCAM
from captum_ssgc.benchmark import Cell, report
from captum_ssgc.benchmark.columns import METRICS, Column, columns_of
from captum_ssgc.visualization import METHOD_COLORS, plain_style

BESIDE = ("ssgrad-cam++", "d-rise")
ALL_FORWARDS = 100  # RefinedCAM's default
STYLES = ("-", "--", ":")
Rows = dict[str, dict[str, Cell]]  # by key of the row, then by key of the column


def measured(runs: Sequence[Path]) -> tuple[Rows, list[Column], int]:
    """The rows of all runs, the columns of the first, and the detections of each."""
    found = [report(run) for run in runs]
    counts = {(one.counts["images"], one.counts["evaluated"]) for one in found}
    if len(counts) != 1:
        raise ValueError(f"expected runs of the same images, got {sorted(counts)}.")
    numbers = {column.key for column in columns_of(METRICS) if column.unit == "number"}
    columns = [column for column in found[0].columns if column.key in numbers]
    rows = {
        row.name: row.cells for one in found for row in one.rows if not row.is_floor and row.cells
    }
    return rows, columns, found[0].counts["evaluated"]


def by_forwards(rows: Rows, column: str) -> list[tuple[int, float]]:
    """How many forwards, and what they reach."""
    prefix = RefinedCAM.name
    points = []
    for name, cells in rows.items():
        options = name.removeprefix(prefix).strip("[]")
        if name.startswith(prefix) and (not options or options.startswith("forwards=")):
            forwards = int(options.partition("=")[2] or ALL_FORWARDS)
            points.append((forwards, cells[column].mean))
    return sorted(points)


def drawn(titles: dict[str, list[Path]]) -> Figure:
    """One panel for each column, one line for each title."""
    results = {title: measured(runs) for title, runs in titles.items()}
    columns = next(iter(results.values()))[1]
    with plain_style():
        figure = Figure((15, 6.5), layout="constrained")
        panels = figure.subplots(2, -(-len(columns) // 2)).flatten()
        for ax, column in zip(panels, columns):
            for (title, (rows, own, count)), style in zip(results.items(), STYLES):
                if column.key not in {one.key for one in own}:
                    continue
                label = f"Refined CAM, {title} ({count} detections)"
                color = METHOD_COLORS[RefinedCAM.name]
                points = by_forwards(rows, column.key)
                ax.plot(*zip(*points), style, color=color, marker="o", label=label)
                for name in BESIDE:
                    if name in rows:
                        height, line = rows[name][column.key].mean, {"ls": style, "lw": 1.2}
                        label = f"{METHODS[name].title}, {title}"
                        ax.axhline(height, color=METHOD_COLORS[name], label=label, **line)
            ax.set_title(f"{column.title} {column.arrow}", loc="left", fontweight="bold")
            ax.set_xlabel("forwards for each detection")
            ax.spines[["top", "right"]].set_visible(False)
        for ax in panels[len(columns) :]:
            ax.remove()
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def main() -> None:
    """Draw from the command line."""
    target, *pairs = sys.argv[1:]
    titles: dict[str, list[Path]] = {}
    for title, _, run in (pair.partition("=") for pair in pairs):
        titles.setdefault(title, []).append(Path(run))
    drawn(titles).savefig(target, dpi=110)


if __name__ == "__main__":
    main()
