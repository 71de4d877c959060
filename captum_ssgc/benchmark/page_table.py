"""The table of the report, what its columns say, and its p-values."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from captum_ssgc.benchmark.columns import Column
from captum_ssgc.benchmark.markup import class_of, text
from captum_ssgc.benchmark.settings import REFERENCE, row_title
from captum_ssgc.benchmark.summary import Cell, Row, Summary
from captum_ssgc.benchmark.tables import notes


def results(summary: Summary) -> str:
    """The table; nothing where nothing was evaluated."""
    if not summary.columns:
        return ""
    groups = "".join(
        f'<th class="starts" colspan="{len(list(columns))}">{text(name)}</th>'
        for name, columns in groupby(summary.columns, key=lambda column: column.group)
    )
    first = _starts(summary.columns)
    heads = "".join(
        f"<th{class_of('starts' if column.key in first else '')} "
        f'title="{text(column.explanation)}">'
        f'{text(column.title)} <span class="arrow">{column.arrow}</span></th>'
        for column in summary.columns
    )
    rows = "\n".join(
        _row(summary, row, place > 0 and row.is_floor and not summary.rows[place - 1].is_floor)
        for place, row in enumerate(summary.rows)
    )
    numbers = "".join(
        f"<td>{max(row.cells[c.key].count for row in summary.rows if c.key in row.cells)}</td>"
        for c in summary.columns
    )
    return (
        '<h2>Results</h2>\n<div class="scroll"><table class="results">\n<thead>'
        f'<tr class="groups"><th></th>{groups}</tr>\n<tr><th>Method</th>{heads}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n<tfoot><tr><th>detections</th>{numbers}</tr></tfoot>\n"
        "</table></div>\n"
        "<p>Means over detections; below them 95&nbsp;% intervals (bootstrap over images). ↓ lower "
        "is better, ↑ higher is better, <b>bold</b>: the best method of the column.</p>\n"
        + "\n".join(f"<p>{_note(line)}</p>" for line in notes(summary))
    )


def explanations(summary: Summary) -> str:
    """What columns and floors mean."""
    if not summary.columns:
        return ""
    rows = "".join(
        f"<tr><th>{text(column.title)}&nbsp;{column.arrow}</th>"
        f"<td>{text(column.explanation)}</td></tr>"
        for column in summary.columns
    )
    floors = {
        "noise": "independent random pixels",
        "box": "the detection's box, filled",
        "centre": "a Gaussian in the middle of the image, whatever was detected",
    }
    known = [f"{row_title(name)} ({floors[name]})" for name in summary.settings.floors]
    below = (
        f"<p>Floors know nothing about the detector: {text('; '.join(known))}. A column in which "
        "a method loses to one of them (▾) says nothing for it.</p>"
        if known
        else ""
    )
    return f'<h2>What the columns say</h2>\n<table class="plain">{rows}</table>\n{below}'


def tests(summary: Summary) -> str:
    """All p-values."""
    tested = [
        column
        for column in summary.columns
        if any(c.p is not None for row in summary.rows if (c := row.cells.get(column.key)))
    ]
    if not tested:
        return ""
    heads = "".join(f"<th>{text(column.title)}</th>" for column in tested)
    lines = []
    for row in summary.rows:
        cells = [row.cells.get(column.key) for column in tested]
        values = [
            "–" if cell is None or cell.p is None else f"{cell.p:.2g} ({cell.p_holm:.2g})"
            for cell in cells
        ]
        shown = "".join(f"<td>{value}</td>" for value in values)
        if row.name != REFERENCE:
            lines.append(f"<tr><th>{text(row.title)}</th>{shown}</tr>")
    return (
        f"<details><summary>All p-values against {text(row_title(REFERENCE))} (in brackets: "
        f'adjusted)</summary>\n<div class="scroll"><table class="plain"><tr><th></th>{heads}</tr>'
        f"{''.join(lines)}</table></div></details>"
    )


def _row(summary: Summary, row: Row, first_floor: bool) -> str:
    first = _starts(summary.columns)
    cells = "".join(
        _cell(row.cells.get(column.key), column, row.is_floor, column.key in first)
        for column in summary.columns
    )
    names = ["floor" if row.is_floor else "", "first-floor" if first_floor else ""]
    names.append("reference" if row.name == REFERENCE else "")
    return f"<tr{class_of(*names)}><th>{text(row.title)}</th>{cells}</tr>"


def _cell(cell: Cell | None, column: Column, is_floor: bool, starts: bool) -> str:
    names = ["starts" if starts else ""]
    if cell is None:
        return f"<td{class_of(*names)}>–</td>"
    marks = '<span class="mark">≈</span>' if cell.tied and not is_floor else ""
    hints = [f"{cell.count} detections"]
    if cell.p is not None:
        hints.append(f"against {row_title(REFERENCE)}: p = {cell.p:.3g}, Holm {cell.p_holm:.3g}")
    if cell.loses_to:
        floors = ", ".join(row_title(name) for name in cell.loses_to)
        marks += '<span class="lost">▾</span>'
        hints.append(f"loses to {floors}")
    names.append("best" if cell.best else "")
    interval = f"{column.text(cell.low)}–{column.text(cell.high)}".replace(" %", "")
    return (
        f'<td{class_of(*names)} title="{text("; ".join(hints))}">{text(column.text(cell.mean))}'
        f"{marks}<small>{text(interval)}</small></td>"
    )


def _note(line: str) -> str:
    """A sentence of the legend with its mark as in the table."""
    marked = text(line).replace("≈", '<span class="mark">≈</span>', 1)
    return marked.replace("▾", '<span class="lost">▾</span>', 1)


def _starts(columns: Iterable[Column]) -> set[str]:
    """The first column of each group."""
    return {next(group).key for _, group in groupby(columns, key=lambda column: column.group)}
