"""The page of results is made from the files of a run."""

from __future__ import annotations

import numpy as np
import pytest
from hand_made_run import FLOORS, METHODS, description, records
from write_results import chart, section

from captum_ssgc.benchmark.summary import summarise
from captum_ssgc.benchmark.tables import as_csv, markdown


@pytest.fixture
def run(tmp_path):
    summary = summarise(records(), description())
    (tmp_path / "table.md").write_text(markdown(summary), encoding="utf-8")
    (tmp_path / "table.csv").write_text(as_csv(summary), encoding="utf-8")
    return tmp_path, summary


def test_the_chart_shows_means_intervals_and_floors(run):
    folder, summary = run
    drawn = {ax.get_title(loc="left"): ax for ax in chart(folder).axes}
    numbers = [column for column in summary.columns if column.unit == "number"]
    assert list(drawn) == [f"{column.title} {column.arrow}" for column in numbers]
    for column in numbers:
        lines = drawn[f"{column.title} {column.arrow}"].lines
        bands, points, floors = lines[0:6:2], lines[1:6:2], lines[6:]
        for place, name in enumerate(METHODS):
            cell = summary.row(name).cells[column.key]
            np.testing.assert_allclose(bands[place].get_xdata(), [cell.low, cell.high], rtol=1e-6)
            np.testing.assert_allclose(points[place].get_xdata(), [cell.mean], rtol=1e-6)
            assert set(bands[place].get_ydata()) == {place}
        for line, name in zip(floors, FLOORS, strict=True):
            cell = summary.row(name).cells[column.key]
            np.testing.assert_allclose(line.get_xdata(), cell.mean, rtol=1e-6)


def test_a_section_has_the_chart_and_every_row(run):
    folder, summary = run
    text = section(folder, "A title", "results_1.png")
    assert text.startswith("A title\n-------\n\n.. figure:: results_1.png\n")
    for row in summary.rows:
        assert f"   * - {'*' if row.is_floor else ''}{row.title}" in text
    assert ".. figure::" not in section(folder, "A title")
