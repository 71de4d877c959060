"""The mean deletion and insertion curves as pictures for the report."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.figure import Figure

from captum_ssgc.benchmark.summary import Summary
from captum_ssgc.visualization import curves

TITLES = {
    "del_s1": "Deletion, s1: the detection's class score",
    "ins_s1": "Insertion, s1: the detection's class score",
    "del_s2": "Deletion, s2: the best IoU × cosine of all candidates",
    "ins_s2": "Insertion, s2: the best IoU × cosine of all candidates",
}


def mean_curve_pictures(summary: Summary) -> dict[str, str]:
    """SVG by title."""
    pictures = {}
    preset = summary.settings.curve_preset
    for key, title in TITLES.items():
        drawn = [row for row in summary.rows if row.name in summary.curves.get(key, {})]
        if not drawn:
            continue
        means = {row.title: summary.curves[key][row.name] for row in drawn}
        deletes = key.startswith("del")
        settings = preset.deletion if deletes else preset.insertion
        figure = curves(
            np.linspace(0.0, 1.0, len(next(iter(means.values())))),
            means,
            floors=[row.title for row in drawn if row.is_floor],
            areas={row.title: row.cells[key].mean for row in drawn},
            title=title,
            x_label=f"share of the {settings.budget}'s pixels {'removed' if deletes else 'added'}",
            y_label="share of the initial score" if settings.normalize else "score",
        )
        pictures[title] = _svg(figure)
    return pictures


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    content = text.getvalue()
    return content[content.index("<svg") :]
