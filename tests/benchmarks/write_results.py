"""Turns benchmark runs into a page of the documentation: the tables, and a chart of each.

python tests/benchmarks/write_results.py docs/results_tables.rst RUN "Title" [RUN "Title" ...]
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from captum_ssgc.benchmark.columns import METRICS, Column, columns_of
from captum_ssgc.visualization import METHOD_COLORS, plain_style

FLOOR_COLOR, DASHES = "#5B6675", ("--", ":", "-.")
PANELS = 5  # in one row of a chart


def section(run: Path, title: str, chart: str | None = None) -> str:
    """One run's ``table.md`` as reStructuredText, below its chart."""
    lines = (run / "table.md").read_text(encoding="utf-8").splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    notes = [line for line in lines if line and not line.startswith("|")]
    out = [title, "-" * len(title), ""]
    if chart is not None:
        out += [f".. figure:: {chart}", f"   :alt: The columns of the table below: {title}", ""]
        out += [
            "   Points are means, bands 95 % intervals by bootstrap over images, lines the floors.",
            "",
        ]
    out += [".. list-table::", "   :header-rows: 1", ""]
    for number, row in enumerate(rows):
        if number == 1:  # the line under a Markdown header
            continue
        cells = [cell.strip() for cell in row]
        out += [f"   {'*' if not place else ' '} - {cell}" for place, cell in enumerate(cells)]
    return "\n".join([*out, "", *(f"{note}\n" for note in notes)])


def chart(run: Path) -> Figure:
    """Each column of one run's ``table.csv``: methods with their intervals, floors dashed."""
    with (run / "table.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = [
        column
        for column in columns_of(METRICS)
        if column.unit == "number" and any(row.get(f"{column.key}_low") for row in rows)
    ]
    methods = sum(row["kind"] == "method" for row in rows)
    with plain_style():
        high = -(-len(columns) // PANELS)
        wide = -(-len(columns) // high)
        figure = Figure(figsize=(16, high * (0.7 + 0.3 * methods) + 0.5), layout="constrained")
        axes = figure.subplots(high, wide, sharey=True, squeeze=False).flatten()
        for ax, column in zip(axes, columns, strict=False):
            _panel(ax, column, rows)
        for ax in axes[len(columns) :]:
            ax.remove()
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _panel(ax: Axes, column: Column, rows: list[dict[str, str]]) -> None:
    methods = [row for row in rows if row["kind"] == "method"]
    for place, row in enumerate(methods):
        if not row[column.key]:
            continue
        mean, low, high = (float(row[column.key + end]) for end in ("", "_low", "_high"))
        color = METHOD_COLORS.get(row["name"].partition("[")[0], "#1B2430")
        ax.plot([low, high], [place, place], color=color, linewidth=4, alpha=0.35)
        ax.plot(mean, place, "o", color=color)
    floors = [row for row in rows if row["kind"] == "floor" and row[column.key]]
    for row, dashes in zip(floors, DASHES, strict=False):
        value = float(row[column.key])
        ax.axvline(value, color=FLOOR_COLOR, linestyle=dashes, linewidth=1.2, label=row["title"])
    ax.set_yticks(range(len(methods)), [row["title"] for row in methods])
    ax.set_ylim(len(methods) - 0.5, -0.5)
    ax.set_title(f"{column.title} {column.arrow}", loc="left", fontsize=11, fontweight="bold")
    ax.grid(axis="x", color="#E3E7EC")
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)


def main() -> None:
    page, *pairs = sys.argv[1:]
    target, sections = Path(page), []
    for number, (run, title) in enumerate(zip(pairs[::2], pairs[1::2], strict=True), 1):
        name = f"results_{number}.png"
        chart(Path(run)).savefig(target.with_name(name), dpi=110)
        sections.append(section(Path(run), title, name))
    target.write_text("\n".join(sections), encoding="utf-8")


if __name__ == "__main__":
    main()
