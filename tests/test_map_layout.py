"""Rows, columns and channels, told by the canvas."""

from __future__ import annotations

import pytest
import torch

from captum_ssgc.map_layout import ChannelsFirst, check_map_layout


@pytest.mark.parametrize(
    ("grid", "canvas"),
    [
        ((25, 38), (800, 1216)),
        ((1, 1), (300, 300)),
        ((3, 5), (300, 480)),
        ((10, 10), (300, 300)),
        ((96, 128), (96, 128)),
        ((7, 10), (100, 133)),
        ((27, 37), (480, 640)),
    ],
)
def test_maps_of_one_stride_are_accepted(grid, canvas):
    check_map_layout((2, 64, *grid), canvas, "layer")
    maps = torch.rand(2, 64, *grid)
    assert ChannelsFirst(canvas)(maps) is maps


@pytest.mark.parametrize(
    ("shape", "canvas"),
    [
        ((1, 56, 56, 96), (224, 224)),
        ((1, 7, 7, 768), (224, 224)),
        ((1, 25, 38, 768), (800, 1216)),
        ((1, 200, 304, 96), (800, 1216)),
        ((1, 3, 4, 192), (96, 128)),
    ],
)
def test_channels_at_the_end_are_refused_and_turned(shape, canvas):
    with pytest.raises(ValueError, match=r"'a.b' gives.*looks like \(N, h, w, C\).*permute"):
        check_map_layout(shape, canvas, "a.b")
    maps = torch.rand(shape)
    assert torch.equal(ChannelsFirst(canvas)(maps), maps.permute(0, 3, 1, 2))


@pytest.mark.parametrize("shape", [(1, 3, 10, 40), (1, 8, 400, 400)], ids=["unequal", "sub-pixel"])
def test_maps_of_no_single_stride_are_refused(shape):
    with pytest.raises(ValueError, match="pass reshape_transform, a function"):
        check_map_layout(shape, (160, 160), "layer")
