from __future__ import annotations

import warnings

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from rendering import rendered
from torch import Tensor

from captum_ssgc import Explanation
from captum_ssgc.visualization import BOX_COLORS, overlay, overview


def where_is(axes: Axes, x: float, y: float) -> tuple[int, int]:
    """Row and column in the rendered figure of a point in image pixels."""
    column, from_bottom = axes.transData.transform((x, y))
    height = axes.figure.bbox.height
    return int(height - from_bottom), int(column)


def test_title_has_label_and_score(picture: Tensor, heat_map: Tensor) -> None:
    (axes,) = overlay(picture, heat_map, label="traffic light", score=0.876).axes
    assert axes.get_title(loc="left") == "traffic light"
    assert axes.get_title(loc="right") == "0.88"
    assert overlay(picture, heat_map).axes[0].get_title(loc="left") == ""


def test_long_and_odd_labels_are_one_short_line_of_plain_text(
    picture: Tensor, heat_map: Tensor
) -> None:
    (axes,) = overlay(picture, heat_map, label="a $x_{1\nand " + "b" * 500, score=0.5).axes
    title = axes.get_title(loc="left")
    assert title.startswith("a $x_{1 and bbb")
    assert title.endswith("…")
    assert len(title) < 60
    rendered(axes.figure)


def test_a_bright_map_pixel_is_drawn_where_the_pixel_is() -> None:
    heat = torch.zeros(30, 40)
    heat[7, 22] = 1.0
    (axes,) = overlay(torch.zeros(3, 30, 40), heat).axes
    drawn = rendered(axes.figure).sum(2)
    lit = drawn[where_is(axes, 22.5, 7.5)]
    assert lit > 1.5
    for x, y in ((21.5, 7.5), (23.5, 7.5), (22.5, 6.5), (22.5, 8.5)):
        assert drawn[where_is(axes, x, y)] < 0.2


def test_the_box_is_drawn_in_image_pixels_and_clipped(picture: Tensor, heat_map: Tensor) -> None:
    box = torch.tensor([-10.0, 12.0, 64.0, 90.0])
    (axes,) = overlay(picture, heat_map, box, box_color="#00ff00").axes
    (outline,) = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert outline.get_bbox().extents.tolist() == [0.0, 12.0, 64.0, 60.0]
    drawn = rendered(axes.figure)
    red, green, blue = drawn[where_is(axes, 30.0, 12.0)]
    assert green > 0.9
    assert max(red, blue) < 0.3


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (17, 23), (1200, 1300)], ids=str)
def test_any_image_size_gives_a_picture_that_fits_a_screen(size: tuple[int, int]) -> None:
    (axes,) = overlay(torch.full((3, *size), 0.4), torch.rand(size), label="x", score=1.0).axes
    height, width = rendered(axes.figure).shape[:2]
    assert width <= 1140
    assert height <= 960


@pytest.mark.parametrize("value", [0.0, 1e-38, 3e38], ids=["zero", "tiny", "huge"])
def test_flat_maps_draw_without_warnings(value: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flat = torch.full((6, 8), value)
        rendered(overlay(torch.rand(3, 6, 8), flat, label="x", score=0.1))


def test_draws_into_given_axes(picture: Tensor, heat_map: Tensor) -> None:
    figure = Figure(figsize=(4, 2))
    left, right = figure.subplots(1, 2)
    assert overlay(picture, heat_map, ax=right, label="cat") is figure
    assert right.get_title(loc="left") == "cat"
    assert len(left.images) == 0
    assert right.get_xlim() == (0.0, 80.0)
    assert right.get_ylim() == (60.0, 0.0)


@pytest.mark.parametrize("box", [torch.zeros(3), torch.tensor([0.0, 0.0, float("nan"), 1.0])])
def test_a_bad_box_is_named(picture: Tensor, heat_map: Tensor, box: Tensor) -> None:
    with pytest.raises(ValueError, match="box: expected four finite numbers"):
        overlay(picture, heat_map, box)


def test_box_colors_can_be_told_apart_by_colour_blind_readers() -> None:
    """Simulated dichromats (Vienot, Brettel and Mollon, 1999) see seven different colours."""
    to_lms = np.array(
        [[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]]
    )
    protan, deutan = np.eye(3), np.eye(3)
    protan[0] = [0.0, 2.02344, -2.52581]
    deutan[1] = [0.494207, 0.0, 1.24827]
    colors = np.array([matplotlib.colors.to_rgb(color) for color in BOX_COLORS]) ** 2.2
    for loss in (np.eye(3), protan, deutan):
        seen = colors @ (np.linalg.inv(to_lms) @ loss @ to_lms).T
        seen = seen.clip(0, 1) ** (1 / 2.2)
        distances = np.linalg.norm(seen[:, None] - seen[None], axis=2)
        assert distances[~np.eye(len(seen), dtype=bool)].min() > 0.1


def test_a_large_photo_is_averaged_without_moving_anything() -> None:
    image, heat = torch.zeros(3, 1201, 1603), torch.zeros(1201, 1603)
    heat[800:832, 400:432] = 1.0
    axes = Figure(figsize=(2, 1.5), dpi=100).add_axes((0, 0, 1, 1))
    overlay(image, heat, ax=axes)
    drawn = axes.images[0].get_array()
    assert drawn.shape[:2] == (300, 400)
    bright = rendered(axes.figure).sum(2)
    assert bright[where_is(axes, 416, 816)] > 1.5
    for x, y in ((386, 816), (446, 816), (416, 786), (416, 846)):
        assert bright[where_is(axes, x, y)] < 0.2


def test_a_single_picture_says_what_it_shows(picture: Tensor, heat_map: Tensor) -> None:
    box = torch.tensor([38.0, 12.0, 64.0, 40.0])
    said = {"number": 3, "method": "odam", "layer": "backbone.layer3", "source": "cats.jpg"}
    figure = overlay(picture, heat_map, box, "cat", 0.93, **said, smoothing=2.0)
    assert figure.axes[0].get_title(loc="left") == "3 cat"
    [line] = [text.get_text() for text in figure.texts]
    assert line == "odam · backbone.layer3 · cats.jpg · smoothed for display, σ = 2 px"
    unnamed = overlay(picture, heat_map, box, "17", 0.93, number=1)
    assert unnamed.axes[0].get_title(loc="left") == "#1 class 17"
    assert unnamed.texts == []


def test_a_narrow_picture_has_room_for_what_it_says() -> None:
    """Beside 36 pixels of image nothing else would fit."""
    image, heat_map = torch.full((3, 500, 20), 0.5), torch.rand(500, 20)
    said = {"number": 3, "method": "odam", "layer": "backbone.layer3", "source": "receipt.jpg"}
    figure = overlay(image, heat_map, torch.tensor([2.0, 9.0, 18.0, 400.0]), "a cat", 0.9, **said)
    lines = [text.get_text() for text in figure.texts]
    assert lines == ["3 a cat 0.90", "odam · backbone.layer3 · receipt.jpg"]
    assert figure.axes[0].get_title(loc="left") == ""
    for text in figure.texts:
        assert text.get_window_extent().x1 <= figure.get_window_extent().width


def test_titles_of_narrow_panels_do_not_meet() -> None:
    one = Explanation(
        0, "cat", 0, 0.5, torch.tensor([2.0, 9, 18, 400]), torch.rand(500, 20), "odam", "layer"
    )
    figure = overview(torch.full((3, 500, 20), 0.5), [one])
    titles = [[ax.get_title(loc=side) for side in ("left", "right")] for ax in figure.axes]
    assert ["1 cat 0.50", ""] in titles


def test_a_small_box_is_shown_enlarged_beside_the_image() -> None:
    heat = torch.zeros(300, 400)
    heat[96:104, 296:304] = 1.0
    box = torch.tensor([290.0, 90.0, 310.0, 110.0])
    whole, detail = overlay(torch.zeros(3, 300, 400), heat, box, label="clock").axes
    assert (whole.get_xlim(), whole.get_ylim()) == ((0.0, 400.0), (300.0, 0.0))
    assert (detail.get_xlim(), detail.get_ylim()) == ((275.0, 325.0), (125.0, 75.0))
    drawn = rendered(whole.figure).sum(2)
    for ax in (whole, detail):
        assert drawn[where_is(ax, 300.0, 100.0)] > 1.5
        assert drawn[where_is(ax, 285.0, 100.0)] < 0.2
    shown = detail.patches[0].get_window_extent()
    assert shown.width > 8 * whole.patches[0].get_window_extent().width / 2


@pytest.mark.parametrize(
    ("heat", "said"),
    [
        (torch.zeros(60, 80), "empty map: 0 everywhere"),
        (torch.full((60, 80), -1.0), "flat map: one value everywhere"),
        (torch.full((60, 80), 0.3), "flat map: one value everywhere"),
        (-torch.rand(60, 80), "empty map: no value above 0"),
    ],
    ids=["zero", "negative", "constant", "no positive"],
)
def test_an_empty_map_says_why_it_is_empty(picture: Tensor, heat: Tensor, said: str) -> None:
    (axes,) = overlay(picture, heat).axes
    assert [text.get_text() for text in axes.texts] == [said]


def test_a_map_with_colour_says_nothing(picture: Tensor, heat_map: Tensor) -> None:
    assert not overlay(picture, heat_map).axes[0].texts
