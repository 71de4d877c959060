from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from captum_ssgc.visualization import curves

STEPS = torch.linspace(0, 1, 11)


def legend(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_lines_are_the_scores_and_the_legend_has_their_areas() -> None:
    axes = curves(STEPS, {"falling": 1 - STEPS, "flat": torch.full((11,), 0.25)})
    for line, expected in zip(axes.get_lines(), (1 - STEPS, torch.full((11,), 0.25))):
        np.testing.assert_allclose(line.get_xdata(), STEPS, atol=1e-7)
        np.testing.assert_allclose(line.get_ydata(), expected, atol=1e-7)
    assert legend(axes) == ["falling  0.500", "flat  0.250"]


def test_the_area_is_divided_by_the_range_that_was_changed() -> None:
    assert legend(curves([0.0, 0.1, 0.4], {"flat": [0.6, 0.6, 0.6]})) == ["flat  0.600"]


def test_areas_can_be_given() -> None:
    assert legend(curves(STEPS, {"a": STEPS}, areas={"a": 0.123})) == ["a  0.123"]
    with pytest.raises(ValueError, match="areas: expected the labels"):
        curves(STEPS, {"a": STEPS}, areas={"b": 0.123})


def test_odd_labels_are_shown_as_they_are() -> None:
    axes = curves(STEPS, {"_hidden": STEPS, "$x_{": STEPS})
    assert [text.strip("\u200b") for text in legend(axes)] == ["_hidden  0.500", r"\$x_{  0.500"]
    FigureCanvasAgg(axes.get_figure(root=True)).draw()


def test_thumbnails_stand_above_the_curves(picture: Tensor) -> None:
    steps = [(0.0, picture), (0.5, picture * 0.5), (1.0, picture[0] * 0)]
    axes = curves(STEPS, {"a": STEPS}, thumbnails=steps, title="Deletion")
    strip = axes.child_axes
    assert len(strip) == 3
    figure = axes.get_figure(root=True)
    FigureCanvasAgg(figure).draw()
    top = axes.get_window_extent().y1
    extents = [ax.get_window_extent() for ax in strip]
    assert all(extent.y0 > top and extent.y1 < figure.bbox.y1 for extent in extents)
    assert all(one.x1 < two.x0 for one, two in itertools.pairwise(extents))


def test_draws_into_given_axes() -> None:
    axes = Figure().add_subplot()
    assert curves(STEPS, {"a": STEPS}, ax=axes, x_label="share added") is axes
    assert axes.get_xlabel() == "share added"


@pytest.mark.parametrize(
    ("fractions", "scores", "message"),
    [
        ([0.0], {"a": [1.0]}, "fractions: expected at least two"),
        ([0.0, 0.0], {"a": [1.0, 1.0]}, "fractions: expected rising"),
        ([0.0, 2.0], {"a": [1.0, 1.0]}, "fractions: expected rising"),
        ([0.0, 1.0], {}, "scores: expected at least one"),
        ([0.0, 1.0], {"a": [1.0]}, r"scores\['a'\]: expected 2 finite"),
        ([0.0, 1.0], {"a": [1.0, float("nan")]}, r"scores\['a'\]: expected 2 finite"),
    ],
    ids=["one step", "equal", "above 1", "none", "length", "nan"],
)
def test_errors(fractions: list[float], scores: dict[str, list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        curves(fractions, scores)


def test_all_zero_scores_draw() -> None:
    axes = curves(STEPS, {"a": torch.zeros(11)})
    FigureCanvasAgg(axes.get_figure(root=True)).draw()
    low, high = axes.get_ylim()
    assert low == 0.0
    assert high > 0.0
