"""Oriented boxes and masks in pictures."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Polygon, Rectangle
from torch import Tensor

from captum_ssgc._mask_outlines import mask_outlines
from captum_ssgc.visualization import comparison_grid, overlay, overview

CORNERS = torch.tensor([[40.0, 12.0], [64.0, 20.0], [60.0, 40.0], [38.0, 30.0]])


def blob() -> Tensor:
    mask = torch.zeros(60, 80)
    mask[10:30, 40:70] = 0.6
    mask[0:5, 0:5] = 0.5
    mask[40:50, 10:20] = 0.49
    return mask


def lines(ax: Axes) -> list[Any]:
    return [patch.get_xy() for patch in ax.patches if isinstance(patch, Polygon)]


def shaped(explained: list[Any], **shapes: Any) -> list[Any]:
    return [SimpleNamespace(**vars(one), **shapes) for one in explained[:1]]


def test_an_oriented_box_is_drawn_in_place_of_the_upright_one(
    picture: Tensor, explained: list[Any], heat_map: Tensor
) -> None:
    found = shaped(explained, corners=CORNERS)
    figures = [
        overview(picture, found).axes[:2],
        comparison_grid(picture, [found]).axes[:2],
        overlay(picture, heat_map, found[0].box, corners=CORNERS).axes[:1],
    ]
    for panels in figures:
        for panel in panels:
            [line] = lines(panel)
            np.testing.assert_allclose(line[:4], CORNERS)
            assert not any(isinstance(patch, Rectangle) for patch in panel.patches)


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
def test_the_outline_of_a_mask_is_drawn_beside_the_box(
    picture: Tensor, explained: list[Any], heat_map: Tensor, dtype: torch.dtype
) -> None:
    mask = blob() if dtype == torch.float32 else blob() >= 0.5
    found = shaped(explained, mask=mask)
    figures = [
        overview(picture, found).axes[:2],
        comparison_grid(picture, [found]).axes[:2],
        overlay(picture, heat_map, found[0].box, mask=mask).axes[:1],
    ]
    for panels in figures:
        for panel in panels:
            extents = sorted([*line.min(0), *line.max(0)] for line in lines(panel))
            assert extents == [[0.0, 0.0, 5.0, 5.0], [40.0, 10.0, 70.0, 30.0]]
            assert sum(isinstance(patch, Rectangle) for patch in panel.patches) == 1


def test_outlines_hold_the_pixels_that_they_go_around() -> None:
    mask = np.zeros((9, 12), bool)
    mask[2:6, 3:9] = True
    mask[3, 5] = False  # a hole has a line of its own
    outer, hole = sorted(mask_outlines(mask), key=len, reverse=True)
    assert [*outer.min(0), *outer.max(0)] == [3.0, 2.0, 9.0, 6.0]
    assert [*hole.min(0), *hole.max(0)] == [5.0, 3.0, 6.0, 4.0]
    assert np.array_equal(outer[0], outer[-1])
    assert mask_outlines(np.zeros((3, 4))) == []


def test_large_masks_are_thinned_and_stay_in_place() -> None:
    mask = np.zeros((1500, 2000), bool)
    mask[100:1300, 200:1900] = True
    [line] = mask_outlines(mask)
    assert len(line) < 1000
    np.testing.assert_allclose([*line.min(0), *line.max(0)], [200, 100, 1900, 1300], atol=9)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"corners": torch.zeros(4)}, r"corners: expected finite numbers \(4, 2\)"),
        ({"corners": torch.full((4, 2), torch.nan)}, "corners: expected finite numbers"),
        ({"mask": torch.zeros(60, 81)}, r"mask: expected shape \(60, 80\), as the image"),
    ],
)
def test_shapes_that_do_not_fit_are_named(
    picture: Tensor, explained: list[Any], shape: dict[str, Tensor], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        overview(picture, shaped(explained, **shape))
