"""The table as Markdown and as CSV, and the comparisons of its rows as CSV."""

from __future__ import annotations

import csv
import io

from captum_ssgc.benchmark.columns import Column
from captum_ssgc.benchmark.comparisons import SIGNIFICANT
from captum_ssgc.benchmark.summary import Cell, Summary

_CSV_DIGITS = 8


def markdown(summary: Summary) -> str:
    """The table with its legend."""
    head = ["", *(f"{column.title} {column.arrow}" for column in summary.columns)]
    lines = [_line(head), _line(["---", *("---:" for _ in summary.columns)])]
    for row in summary.rows:
        cells = [markdown_cell(row.cells.get(c.key), c, row.is_floor) for c in summary.columns]
        lines.append(_line([f"*{row.title}*" if row.is_floor else row.title, *cells]))
    return "\n".join([*lines, "", *legend(summary), ""])


def markdown_cell(cell: Cell | None, column: Column, is_floor: bool) -> str:
    """Mean, best in bold, with the marks of the legend."""
    if cell is None:
        return "–"
    text = column.text(cell.mean)
    text = f"**{text}**" if cell.best else text
    return text + marks(cell, is_floor)


def marks(cell: Cell, is_floor: bool) -> str:
    """``≈``, ``•`` and ``▾`` where they apply."""
    tied = " ≈" if cell.tied and not is_floor else ""
    return tied + (" •" if cell.as_best else "") + (" ▾" if cell.loses_to else "")


def legend(summary: Summary) -> list[str]:
    """Sentences that explain the table, one per line."""
    counts = summary.counts
    lines = [
        f"{counts['images'] - counts['failed']} images, {counts['evaluated']} detections, "
        f"{counts['matched']} of them matched to an annotation. ↓ lower is better, ↑ higher is "
        "better; **bold**: the best method of the column.",
    ]
    return [*lines, *notes(summary)] if counts["evaluated"] else lines


def notes(summary: Summary) -> list[str]:
    """What the marks say, and which methods floors beat; one sentence per line."""
    counts, lines = summary.counts, []
    settings = summary.settings
    if settings.reference is not None:
        lines.append(
            f"≈ not distinguishable from {settings.titles[settings.reference]}: paired sign-flip "
            "test over images, adjusted for the comparisons of the column (Holm), "
            f"p ≥ {SIGNIFICANT}."
        )
    if summary.comparisons.each:
        pairs = len(settings.titles) * (len(settings.titles) - 1) // 2
        lines.append(
            "• not distinguishable from the best method of the column: the same test, adjusted for "
            f"all {pairs} pairs of rows, as the best was not chosen beforehand."
        )
        # Of n images' signs, 2 in 2^n choices are as extreme as the most extreme result.
        units = counts["images"] - counts["failed"] - counts["empty"]
        if pairs * 2.0 ** (1 - units) >= SIGNIFICANT:
            lines.append(f"{units} images are too few to tell {len(settings.titles)} rows apart.")
    return [*lines, *lost_to_floors(summary)]


def lost_to_floors(summary: Summary) -> list[str]:
    """A sentence for each method that some floor beats; one if there is none."""
    titles, floors = summary.settings.titles, summary.settings.floors
    if not floors:
        return []
    lines = []
    for row in summary.rows:
        lost = []
        for floor in floors:
            columns = [
                column.title
                for column in summary.columns
                if column.key in row.cells and floor in row.cells[column.key].loses_to
            ]
            if columns:
                lost.append(f"to “{titles[floor]}” in {', '.join(columns)}")
        if lost:
            lines.append(f"▾ {row.title} loses {'; '.join(lost)}.")
    return lines or ["No method loses to a floor in any column."]


def as_csv(summary: Summary) -> str:
    """One line per row: means, interval ends, numbers of detections and p-values."""
    head = ["name", "title", "kind"]
    for column in summary.columns:
        key = column.key
        head += [key, f"{key}_low", f"{key}_high", f"{key}_n", f"{key}_p", f"{key}_p_holm"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for row in summary.rows:
        line = [row.name, row.title, "floor" if row.is_floor else "method"]
        for column in summary.columns:
            cell = row.cells.get(column.key)
            if cell is None:
                line += [""] * 6
                continue
            numbers = (cell.mean, cell.low, cell.high, cell.count, cell.p, cell.p_holm)
            line += ["" if number is None else _number(number) for number in numbers]
        writer.writerow(line)
    return text.getvalue()


def comparisons_csv(summary: Summary) -> str:
    """One line for any two rows and column: the difference, its interval and p-values."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["column", "row", "other", "n", "difference", "low", "high", "p", "p_holm"])
    for one in summary.comparisons.each:
        numbers = (one.count, one.difference, one.low, one.high, one.p, one.p_holm)
        writer.writerow([one.column, one.row, one.other, *map(_number, numbers)])
    return text.getvalue()


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.{_CSV_DIGITS}g}"
