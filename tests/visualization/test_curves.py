from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from captum_ssgc.visualization import METHOD_COLORS, curves

STEPS = torch.linspace(0, 1, 11)


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in axes_of(figure).get_legend().get_texts()]


def axes_of(figure: Figure) -> Axes:
    (axes,) = figure.axes
    return axes


def test_lines_are_the_scores_and_the_legend_has_their_areas() -> None:
    figure = curves(STEPS, {"falling": 1 - STEPS, "flat": torch.full((11,), 0.25)})
    for line, expected in zip(axes_of(figure).get_lines(), (1 - STEPS, torch.full((11,), 0.25))):
        np.testing.assert_allclose(line.get_xdata(), STEPS, atol=1e-7)
        np.testing.assert_allclose(line.get_ydata(), expected, atol=1e-7)
    assert legend(figure) == ["falling  0.500", "flat  0.250"]


def test_the_area_is_divided_by_the_range_that_was_changed() -> None:
    assert legend(curves([0.0, 0.1, 0.4], {"flat": [0.6, 0.6, 0.6]})) == ["flat  0.600"]


def test_a_method_has_one_colour_whatever_is_drawn_beside_it() -> None:
    both = axes_of(curves(STEPS, {"ODAM": STEPS, "D-RISE": STEPS})).get_lines()
    alone = axes_of(curves(STEPS, {"mine": STEPS, "d-rise": STEPS})).get_lines()
    assert [line.get_color() for line in both] == [METHOD_COLORS["odam"], METHOD_COLORS["d-rise"]]
    assert alone[1].get_color() == METHOD_COLORS["d-rise"]
    assert alone[0].get_color() not in METHOD_COLORS.values()
    assert {line.get_linestyle() for line in [*both, *alone]} == {"-"}
    [by_title] = axes_of(curves(STEPS, {"LayerCAM": STEPS})).get_lines()
    assert by_title.get_color() == METHOD_COLORS["layer-cam"]


def test_floors_are_grey_and_dashed() -> None:
    lines = {"ODAM": STEPS, "Noise": STEPS, "box": STEPS}
    method, *floors = axes_of(curves(STEPS, lines, floors=["Noise", "box"])).get_lines()
    assert method.get_linestyle() == "-"
    assert len({line.get_color() for line in floors}) == 1
    assert all(line.is_dashed() for line in floors)
    assert floors[0]._dash_pattern != floors[1]._dash_pattern
    with pytest.raises(ValueError, match="floors: expected some of the labels"):
        curves(STEPS, {"a": STEPS}, floors=["b"])


def test_areas_can_be_given() -> None:
    assert legend(curves(STEPS, {"a": STEPS}, areas={"a": 0.123})) == ["a  0.123"]
    with pytest.raises(ValueError, match="areas: expected the labels"):
        curves(STEPS, {"a": STEPS}, areas={"b": 0.123})


def test_odd_labels_are_shown_as_they_are() -> None:
    figure = curves(STEPS, {"_hidden": STEPS, "$x_{": STEPS})
    assert [text.strip("\u200b") for text in legend(figure)] == ["_hidden  0.500", r"\$x_{  0.500"]
    FigureCanvasAgg(figure).draw()


def test_thumbnails_stand_above_the_curves(picture: Tensor) -> None:
    steps = [(0.0, picture), (0.5, picture * 0.5), (1.0, picture[0] * 0)]
    figure = curves(STEPS, {"a": STEPS}, thumbnails=steps, title="Deletion")
    axes = axes_of(figure)
    strip = axes.child_axes
    assert len(strip) == 3
    FigureCanvasAgg(figure).draw()
    top = axes.get_window_extent().y1
    extents = [ax.get_window_extent() for ax in strip]
    assert all(extent.y0 > top and extent.y1 < figure.bbox.y1 for extent in extents)
    assert all(one.x1 < two.x0 for one, two in itertools.pairwise(extents))


@pytest.mark.parametrize("layout", ["constrained", "tight"])
@pytest.mark.parametrize("dpi", [72, 200], ids="{} dpi".format)
def test_thumbnails_and_titles_have_room_in_a_layout(
    layout: str, dpi: float, picture: Tensor
) -> None:
    figure = Figure(figsize=(11, 5), dpi=dpi, layout=layout)
    over_all = figure.suptitle("photo.jpg")
    for ax in figure.subplots(1, 2):
        thumbnails = [(0.1, picture), (0.5, picture)]
        curves(STEPS, {"a": STEPS}, ax=ax, thumbnails=thumbnails, title="Deletion")
    FigureCanvasAgg(figure).draw()
    for ax in figure.axes:
        title = ax._left_title.get_window_extent()
        strip = [inset.get_window_extent() for inset in ax.child_axes]
        assert not title.overlaps(over_all.get_window_extent())
        assert title.y1 <= figure.bbox.y1
        for extent in strip:
            assert ax.get_window_extent().y1 < extent.y0 < extent.y1 < title.y0
            assert extent.width >= 0.5 * dpi


def test_thumbnails_of_large_photos_are_reduced() -> None:
    photo = torch.rand(3, 1200, 1600)
    figure = curves(STEPS, {"a": STEPS}, thumbnails=[(0.5, photo)])
    (inset,) = axes_of(figure).child_axes
    (shown,) = inset.images
    assert shown.get_array().shape[0] < 300
    assert inset.get_xlim() == (0.0, 1600.0)
    assert inset.get_ylim() == (1200.0, 0.0)


def test_draws_into_given_axes() -> None:
    figure = Figure()
    axes = figure.add_subplot()
    assert curves(STEPS, {"a": STEPS}, ax=axes, x_label="share added") is figure
    assert figure.axes == [axes]
    assert axes.get_xlabel() == "share added"


@pytest.mark.parametrize(
    ("fractions", "scores", "message"),
    [
        ([0.0], {"a": [1.0]}, "fractions: expected at least two"),
        ([0.0, 0.0], {"a": [1.0, 1.0]}, "fractions: expected rising"),
        ([0.0, 2.0], {"a": [1.0, 1.0]}, "fractions: expected rising"),
        ([0.0, 1.0], {}, "scores: expected at least one"),
        ([0.0, 1.0], {"a": [1.0]}, r"scores\['a'\]: expected 2 numbers"),
        ([0.0, 1.0], {"a": [1.0, float("nan")]}, r"scores\['a'\]: expected finite numbers"),
    ],
    ids=["one step", "equal", "above 1", "none", "length", "nan"],
)
def test_errors(fractions: list[float], scores: dict[str, list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        curves(fractions, scores)


def test_all_zero_scores_draw() -> None:
    figure = curves(STEPS, {"a": torch.zeros(11)})
    FigureCanvasAgg(figure).draw()
    low, high = axes_of(figure).get_ylim()
    assert low == 0.0
    assert high > 0.0
