from __future__ import annotations

import dataclasses
import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from torch import Tensor

from captum_ssgc.visualization import overview
from captum_ssgc.visualization._layout import best_layout
from captum_ssgc.visualization._panels import MARGIN


def titles(axes: list[Axes]) -> list[tuple[str, str]]:
    return [(ax.get_title(loc="left"), ax.get_title(loc="right")) for ax in axes]


def tags(ax: Axes) -> list[Text]:
    return [text for text in ax.texts if text.get_text()]


def test_one_panel_for_the_image_and_one_for_each_detection(
    picture: Tensor, explained: list[Any]
) -> None:
    figure = overview(picture, explained, title="cats.jpg")
    assert titles(figure.axes[:4]) == [
        ("3 detections", ""),
        ("1 cat", "0.93"),
        ("2 dog", "0.71"),
        ("3 cat", "0.64"),
    ]
    image, *maps, _ = figure.axes
    assert [len(ax.patches) for ax in (image, *maps)] == [3, 1, 1, 1]
    assert sorted(text.get_text() for text in tags(image)) == ["1 cat", "2 dog", "3 cat"]
    assert "cats.jpg" in [text.get_text() for text in figure.texts]


def test_a_detection_has_one_colour_in_all_panels(picture: Tensor, explained: list[Any]) -> None:
    image, *maps, _ = overview(picture, explained).axes
    by_box = {tuple(patch.get_bbox().extents): patch.get_edgecolor() for patch in image.patches}
    assert len(set(by_box.values())) == 3
    for ax in maps:
        (patch,) = ax.patches
        assert by_box[tuple(patch.get_bbox().extents)] == patch.get_edgecolor()


def test_several_methods_of_one_detection_share_its_number(
    picture: Tensor, explained: list[Any]
) -> None:
    other = [dataclasses.replace(one, method="odam") for one in explained[:2]]
    pairs = [explained[0], other[0], explained[1], other[1]]
    figure = overview(picture, pairs)
    assert titles(figure.axes[:5]) == [
        ("2 detections", ""),
        ("1 cat · ssgrad-cam++", "0.93"),
        ("1 cat · odam", "0.93"),
        ("2 dog · ssgrad-cam++", "0.71"),
        ("2 dog · odam", "0.71"),
    ]


def test_identical_detections_are_told_apart_by_their_index(
    picture: Tensor, explained: list[Any]
) -> None:
    twice = [SimpleNamespace(**vars(explained[0]), index=index) for index in (4, 7)]
    assert overview(picture, twice).axes[0].get_title(loc="left") == "2 detections"
    assert overview(picture, [explained[0]] * 2).axes[0].get_title(loc="left") == "1 detection"


@pytest.mark.parametrize("aspect", [0.4, 0.67, 1.0, 1.33, 2.5], ids="aspect {}".format)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 7, 10, 25], ids="{} maps".format)
def test_layout_is_readable_and_nothing_overlaps(count: int, aspect: float) -> None:
    layout = best_layout(count, aspect)
    assert layout.width + 2 * MARGIN <= 1400
    assert max(layout.cell_width, layout.cell_height) >= 150
    if count <= 10 and 0.6 < aspect < 1.5:
        assert layout.height <= 900
    places = [(0.0, 24.0, *layout.image_size)]
    places += [
        (*layout.place(number), layout.cell_width, layout.cell_height) for number in range(count)
    ]
    for left, top, width, height in places:
        assert left >= 0
        assert top >= 24
        assert left + width <= layout.width + 1e-6
        assert top + height <= layout.height + 1e-6
    for one, two in itertools.combinations(places, 2):
        beside = one[0] + one[2] < two[0] or two[0] + two[2] < one[0]
        below = one[1] + one[3] + 24 <= two[1] or two[1] + two[3] + 24 <= one[1]
        assert beside or below


@pytest.mark.parametrize("aspect", [5.0, 10.0, 33.0], ids="aspect {}".format)
@pytest.mark.parametrize("count", [1, 3, 6, 10], ids="{} maps".format)
def test_panoramas_take_the_width_there_is(count: int, aspect: float) -> None:
    layout = best_layout(count, aspect)
    assert layout.width + 2 * MARGIN <= 1400
    assert layout.height <= 900
    assert layout.cell_width >= 450
    tops = sorted(layout.place(number)[1] for number in range(count))
    assert tops[-1] + layout.cell_height <= layout.height + 1e-6


def test_tags_of_boxes_at_one_place_do_not_cover_each_other(
    picture: Tensor, explained: list[Any]
) -> None:
    crowd = [
        dataclasses.replace(explained[0], label=label, box=torch.tensor([30.0, 20.0, 50.0, edge]))
        for label, edge in (("one", 40.0), ("two", 41.0), ("three", 42.0), ("four", 43.0))
    ]
    figure = overview(picture, crowd)
    boxes = [text.get_window_extent() for text in tags(figure.axes[0])]
    frame = figure.axes[0].get_window_extent()
    assert len(boxes) == 4
    for box in boxes:
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1
        assert frame.y0 <= box.y0
        assert box.y1 <= frame.y1
    for one, two in itertools.combinations(boxes, 2):
        assert not one.overlaps(two)


def test_one_pixel_and_empty_maps_draw(picture: Tensor, explained: list[Any]) -> None:
    nothing = dataclasses.replace(explained[0], heat_map=torch.zeros(60, 80))
    pixel = dataclasses.replace(
        nothing, heat_map=torch.ones(1, 1), box=torch.tensor([0.0, 0.0, 1.0, 1.0])
    )
    for figure in (overview(picture, [nothing]), overview(torch.rand(3, 1, 1), [pixel])):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        assert np.asarray(canvas.buffer_rgba()).std() > 0


def test_no_explanation_is_an_error(picture: Tensor) -> None:
    with pytest.raises(ValueError, match="explanations: expected at least one"):
        overview(picture, [])
