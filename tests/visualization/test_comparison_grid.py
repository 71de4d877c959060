from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from captum_ssgc.visualization import METHOD_COLORS, comparison_grid
from captum_ssgc.visualization._layout import best_blocks

METHODS = ("grad-cam", "odam", "ssgrad-cam++")


@pytest.fixture
def rows(explained: list[Any]) -> list[list[Any]]:
    return [
        [dataclasses.replace(one, method=method) for method in METHODS] for one in explained[:2]
    ]


def test_rows_are_detections_and_columns_methods(picture: Tensor, rows: list[list[Any]]) -> None:
    figure = comparison_grid(picture, rows, title="cats.jpg")
    panels = figure.axes[:-1]
    assert len(panels) == 2 * (1 + len(METHODS))
    assert [ax.get_title(loc="left") for ax in panels[:4]] == ["image", *METHODS]
    assert [ax.get_title(loc="left") for ax in panels[4:]] == [""] * 4
    first, second = panels[0], panels[4]
    assert [text.get_text() for text in first.texts] == ["1 cat 0.93"]
    assert [text.get_text() for text in second.texts] == ["2 dog 0.71"]
    for row, ax in ((0, panels[3]), (1, panels[7])):
        (patch,) = ax.patches
        assert patch.get_bbox().extents.tolist() == rows[row][0].box.tolist()


def test_captions_are_written_into_their_panels(picture: Tensor, rows: list[list[Any]]) -> None:
    captions = [["a", "b", "c"], ["d", "", "f"]]
    panels = comparison_grid(picture, rows, captions=captions).axes
    written = [[text.get_text() for text in ax.texts] for ax in panels[5:8]]
    assert written == [["d"], [], ["f"]]


@pytest.mark.parametrize(
    ("methods", "detections"), [(8, 1), (1, 10)], ids=["8 methods", "10 detections"]
)
def test_is_wide_enough_to_be_read(
    picture: Tensor, explained: list[Any], methods: int, detections: int
) -> None:
    row = [dataclasses.replace(explained[0], method=str(number)) for number in range(methods)]
    figure = comparison_grid(picture, [row] * detections)
    assert figure.canvas.get_width_height()[0] == 1600
    sides = figure.axes[1].get_window_extent()
    assert sides.width >= 140


@pytest.mark.parametrize("methods", [9, 11, pytest.param(40, marks=pytest.mark.slow)])
def test_many_methods_go_on_in_further_lines(
    picture: Tensor, explained: list[Any], methods: int
) -> None:
    names = [f"ssgrad-cam++{number}" for number in range(methods)]
    row = [dataclasses.replace(explained[0], method=name) for name in names]
    panels = comparison_grid(picture, [row] * 2).axes[: 2 * (methods + 1)]
    titles = [ax.get_title(loc="left") for ax in panels]
    assert titles == ["image", *names] * 2
    assert min(ax.get_window_extent().width for ax in panels) >= 150


@pytest.mark.parametrize("columns", [2, 4, 7], ids="{} columns".format)
def test_panels_of_many_detections_can_be_read(columns: int) -> None:
    assert best_blocks(columns, 300, 1.5).cell_width >= 150


def test_a_very_tall_image_fits_a_screen() -> None:
    assert best_blocks(3, 2, 0.03).height <= 960


def test_methods_have_their_colour_in_the_curves(picture: Tensor, rows: list[list[Any]]) -> None:
    panels = comparison_grid(picture, rows).axes
    for ax, method in zip(panels[1:4], METHODS):
        (line,) = ax.get_lines()
        assert line.get_color() == METHOD_COLORS[method]


def test_a_small_box_fills_more_of_the_panels_of_its_row(
    picture: Tensor, rows: list[list[Any]]
) -> None:
    small = [dataclasses.replace(one, box=torch.tensor([70.0, 5.0, 74.0, 9.0])) for one in rows[0]]
    panels = comparison_grid(picture, [rows[1], small]).axes
    assert [ax.get_xlim() for ax in panels[:5]] == [(0.0, 80.0)] * 5
    assert {ax.get_xlim() for ax in panels[5:8]} == {(56.0, 80.0)}
    assert {ax.get_ylim() for ax in panels[5:8]} == {(18.0, 0.0)}


@pytest.mark.parametrize("aspect", [0.5, 0.75, 1.33, 2.0], ids="aspect {}".format)
@pytest.mark.parametrize("detections", [1, 2, 5, 9, 10, 30], ids="{} detections".format)
@pytest.mark.parametrize("columns", [2, 3, 7, 12], ids="{} columns".format)
def test_panels_do_not_overlap_and_stay_inside(
    columns: int, detections: int, aspect: float
) -> None:
    blocks = best_blocks(columns, detections, aspect)
    assert blocks.width <= 1568
    if detections <= 10 and columns <= 3:
        assert blocks.height <= 960
    places = [
        blocks.place(number, column) for number in range(detections) for column in range(columns)
    ]
    assert len(set(places)) == len(places)
    for left, top in places:
        assert 0 <= left <= blocks.width - blocks.cell_width + 1e-6
        assert 0 <= top <= blocks.height - blocks.cell_height + 1e-6
    for (left, top), (other_left, other_top) in itertools.combinations(places, 2):
        beside = abs(left - other_left) >= blocks.cell_width
        below = abs(top - other_top) >= blocks.cell_height
        assert beside or below


def test_errors(picture: Tensor, rows: list[list[Any]]) -> None:
    with pytest.raises(ValueError, match="rows: expected at least one detection"):
        comparison_grid(picture, [])
    with pytest.raises(ValueError, match="explanations: expected at least one"):
        comparison_grid(picture, [rows[0], []])
    with pytest.raises(ValueError, match=r"grad-cam, odam, ssgrad-cam\+\+ in row 0 and odam"):
        comparison_grid(picture, [rows[0], rows[1][1:]])
    with pytest.raises(ValueError, match=r"fewer panels: the picture would be .* pixels high"):
        comparison_grid(picture, rows[:1] * 1000)
    with pytest.raises(ValueError, match="captions: expected 2 rows of 3"):
        comparison_grid(picture, rows, captions=[["a"]])
