"""Turns the tables of benchmark runs into a page of the documentation.

python tests/benchmarks/write_results.py docs/results_tables.rst RUN "Title" [RUN "Title" ...]
"""

from __future__ import annotations

import sys
from pathlib import Path


def section(run: Path, title: str) -> str:
    """One run's ``table.md`` as reStructuredText."""
    lines = (run / "table.md").read_text().splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    notes = [line for line in lines if line and not line.startswith("|")]
    out = [title, "-" * len(title), "", ".. list-table::", "   :header-rows: 1", ""]
    for number, row in enumerate(rows):
        if number == 1:  # the line under a Markdown header
            continue
        cells = [cell.strip() for cell in row]
        out += [f"   {'*' if not place else ' '} - {cell}" for place, cell in enumerate(cells)]
    return "\n".join([*out, "", *(f"{note}\n" for note in notes)])


def main() -> None:
    target, *pairs = sys.argv[1:]
    runs = [(Path(run), title) for run, title in zip(pairs[::2], pairs[1::2], strict=True)]
    Path(target).write_text("\n".join(section(run, title) for run, title in runs))


if __name__ == "__main__":
    main()
