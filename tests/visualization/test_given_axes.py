"""Pictures of many panels in the rectangle of axes that somebody else has laid out."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from captum_ssgc.visualization import comparison_grid, overview

Draw = Callable[[Tensor, list[Any], Axes], Figure]


def draw_overview(picture: Tensor, explained: list[Any], ax: Axes) -> Figure:
    return overview(picture, explained, title="cats.jpg", ax=ax)


def draw_comparison(picture: Tensor, explained: list[Any], ax: Axes) -> Figure:
    return comparison_grid(picture, [[one, one] for one in explained], title="cats.jpg", ax=ax)


def half(dpi: float, layout: str | None) -> tuple[Figure, Axes, Axes]:
    figure = Figure(figsize=(12, 5), dpi=dpi, layout=layout)
    return (figure, *figure.subplots(1, 2, width_ratios=[1, 2]))


@pytest.mark.parametrize("draw", [draw_overview, draw_comparison], ids=["overview", "comparison"])
@pytest.mark.parametrize("layout", [None, "constrained", "tight"], ids=str)
@pytest.mark.parametrize(
    "dpi",
    [pytest.param(72, marks=pytest.mark.slow), 100, pytest.param(200, marks=pytest.mark.slow)],
    ids="{} dpi".format,
)
def test_panels_and_texts_stay_inside(
    draw: Draw, layout: str | None, dpi: float, picture: Tensor, explained: list[Any]
) -> None:
    figure, left, right = half(dpi, layout)
    left.plot([0, 1])
    size = figure.get_size_inches().tolist()
    assert draw(picture, explained, right) is figure
    FigureCanvasAgg(figure).draw()
    assert figure.get_size_inches().tolist() == size
    assert figure.dpi == dpi
    assert left.axison
    assert not right.axison
    frame = right.get_window_extent()
    assert figure.axes == [left, right]
    panels = right.child_axes
    extents = [ax.get_window_extent() for ax in panels]
    texts = [text for ax in panels for text in (ax.title, ax._left_title, ax._right_title)]
    texts += [text for ax in panels for text in ax.texts] + list(right.texts)
    extents += [text.get_window_extent() for text in texts if text.get_text()]
    for extent in extents:
        assert frame.x0 - 1 <= extent.x0 <= extent.x1 <= frame.x1 + 1
        assert frame.y0 - 1 <= extent.y0 <= extent.y1 <= frame.y1 + 1
    for one, two in itertools.combinations([ax.get_window_extent() for ax in panels], 2):
        assert not one.overlaps(two)
    shown = [ax.images[0] for ax in panels if ax.patches]
    assert min(image.axes.get_window_extent().width for image in shown) > 0.6 * dpi


@pytest.mark.parametrize("draw", [draw_overview, draw_comparison], ids=["overview", "comparison"])
def test_axes_without_room_are_an_error(draw: Draw, picture: Tensor, explained: list[Any]) -> None:
    with pytest.raises(ValueError, match="ax: expected axes with room for the picture, got 155 x"):
        draw(picture, explained, Figure(figsize=(2, 2), dpi=100).add_subplot())


def test_removed_axes_are_an_error(picture: Tensor, explained: list[Any]) -> None:
    axes = Figure().add_subplot()
    axes.remove()
    with pytest.raises(ValueError, match="ax: expected axes of a figure"):
        overview(picture, explained, ax=axes)
