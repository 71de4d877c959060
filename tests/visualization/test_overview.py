from __future__ import annotations

import dataclasses
import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path
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


@pytest.mark.parametrize("aspect", [0.03, 0.4, 0.67, 1.33, 2.5, 33.0], ids="aspect {}".format)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 7, 10, 25, 60], ids="{} maps".format)
def test_layout_is_readable_and_nothing_overlaps(count: int, aspect: float) -> None:
    layout = best_layout(count, aspect)
    assert layout.width + 2 * MARGIN <= 1600
    assert max(layout.cell_width, layout.cell_height) >= 180
    assert layout.image_size[0] == pytest.approx(aspect * layout.image_size[1])
    if count <= 10:
        assert layout.height <= 910
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


@pytest.mark.parametrize(
    ("count", "size"), [(1, (30, 300)), (1, (300, 30)), (3, (60, 80)), (12, (60, 80))], ids=str
)
def test_is_wide_enough_to_be_read(count: int, size: tuple[int, int]) -> None:
    box = torch.tensor([2.0, 2.0, 20.0, 20.0])
    one = SimpleNamespace(label="cat", score=0.5, box=box, heat_map=torch.rand(size), method="odam")
    many = [SimpleNamespace(**vars(one), index=index) for index in range(count)]
    figure = overview(torch.rand(3, *size), many)
    assert figure.canvas.get_width_height()[0] == 1600


def crowd(count: int, size: tuple[int, int]) -> list[Any]:
    """Small boxes all over an image, each with a map."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(count, 2, generator=generator) * (torch.tensor(size[::-1]) - 20.0)
    heat_map = torch.rand(size, generator=generator)
    return [
        SimpleNamespace(
            label="traffic light",
            score=0.5,
            box=torch.cat([corner, corner + 20.0]),
            heat_map=heat_map,
            method="odam",
            index=index,
        )
        for index, corner in enumerate(corners)
    ]


def test_many_boxes_have_their_numbers_only() -> None:
    figure = overview(torch.rand(3, 120, 160), crowd(11, (120, 160)))
    assert [text.get_text() for text in tags(figure.axes[0])] == [str(n) for n in range(1, 12)]
    assert figure.axes[11].get_title(loc="left") == "11 traffic light"


@pytest.mark.slow
def test_memory_grows_with_the_panels_not_with_their_square() -> None:
    """Peaks of a process of its own: what 300 panels need beyond 10."""
    program = (
        "import resource, sys, torch\n"
        "from visualization.test_overview import crowd\n"
        "from captum_ssgc.visualization import overview\n"
        "image = torch.rand(3, 427, 640)\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "for count in (10, 300):\n"
        "    overview(image, crowd(count, (427, 640))).savefig(sys.argv[1])\n"
        "    print(peak())"
    )
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", program, f"{folder}/many.png"]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=environment()
        )
    few, many = map(float, done.stdout.split())
    assert many - few < 300


def environment() -> dict[str, str]:
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def test_a_small_box_is_shown_with_its_surroundings(explained: list[Any]) -> None:
    """A box of 15 pixels in a photo: it would be 5 pixels of a panel."""
    heat = torch.zeros(480, 640)
    heat[100:110, 300:310] = 1.0
    clock = dataclasses.replace(
        explained[0], box=torch.tensor([298.0, 98.0, 313.0, 113.0]), heat_map=heat
    )
    large = dataclasses.replace(
        explained[1], box=torch.tensor([100.0, 100.0, 500.0, 400.0]), heat_map=heat
    )
    image, small, panel, _ = overview(torch.rand(3, 480, 640), [clock, large]).axes
    assert image.get_xlim() == panel.get_xlim() == (0.0, 640.0)
    left, right = small.get_xlim()
    bottom, top = small.get_ylim()
    assert (left, right, top, bottom) == (280.0, 330.0, 86.0, 124.0)
    assert small.patches[0].get_window_extent().width > 100
    assert not small.texts


def test_what_lies_outside_a_panel_is_said(explained: list[Any]) -> None:
    heat = torch.zeros(480, 640)
    heat[100:110, 300:310] = 1.0
    heat[400:410, 300:330] = 1.0
    clock = dataclasses.replace(
        explained[0], box=torch.tensor([298.0, 98.0, 313.0, 113.0]), heat_map=heat
    )
    _, panel, _ = overview(torch.rand(3, 480, 640), [clock]).axes
    assert [text.get_text() for text in panel.texts] == ["75% of the map is outside"]


def test_the_peak_outside_a_panel_keeps_the_scale(explained: list[Any]) -> None:
    heat = torch.zeros(480, 640)
    heat[100:110, 300:310] = 0.01
    heat[400:410, 300:330] = 1.0
    box = torch.tensor([298.0, 98.0, 313.0, 113.0])
    faint = dataclasses.replace(explained[0], box=box, heat_map=heat)
    grey = torch.full((3, 480, 640), 0.5)
    _, panel, _ = overview(grey, [faint]).axes
    shown = panel.images[0].get_array().astype(float)
    assert 0 < np.abs(shown - 127.5).max() < 30


def test_the_caller_may_say_why_a_map_is_empty(picture: Tensor, explained: list[Any]) -> None:
    empty = SimpleNamespace(
        **{**vars(explained[0]), "heat_map": torch.zeros(60, 80)},
        why_empty="the score is saturated",
    )
    panel = overview(picture, [empty]).axes[1]
    assert [text.get_text() for text in panel.texts] == ["the score is saturated"]


def test_smoothing_is_said_and_seen(picture: Tensor, explained: list[Any]) -> None:
    plain, smooth = (overview(picture, explained[:1], smoothing=s) for s in (0.0, 4.0))
    assert "ssgrad-cam++, each map on its own scale" in [text.get_text() for text in plain.texts]
    assert any("smoothed for display, σ = 4 px" in text.get_text() for text in smooth.texts)
    before, after = (figure.axes[1].images[0].get_array() for figure in (plain, smooth))
    assert (before != after).any()
    with pytest.raises(ValueError, match="smoothing: expected a finite number of pixels >= 0"):
        overview(picture, explained, smoothing=-1.0)


def test_tags_of_boxes_at_one_place_do_not_cover_each_other(
    picture: Tensor, explained: list[Any]
) -> None:
    together = [
        dataclasses.replace(explained[0], label=label, box=torch.tensor([30.0, 20.0, 50.0, edge]))
        for label, edge in (("one", 40.0), ("two", 41.0), ("three", 42.0), ("four", 43.0))
    ]
    figure = overview(picture, together)
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
