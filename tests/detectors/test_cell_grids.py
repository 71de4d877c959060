from __future__ import annotations

import pytest
import torch
from detectors import torchvision_families

from captum_ssgc._hooks import forward_hooks

SIZE = (150, 200)


def cells_of(detector, layers):
    sizes = {}
    hooks = {
        layer: lambda module, _, out: sizes.update({module: out.shape[-2:]}) for layer in layers
    }
    with torch.no_grad(), forward_hooks(hooks):
        detector.run(torch.rand(1, 3, *SIZE))
    return [detector.cell_grid(layer, SIZE, tuple(sizes[layer])) for layer in layers]


@pytest.mark.parametrize("name", ["retinanet", "fcos"])
def test_strides_of_a_pyramid_are_the_networks(name):
    detector = torchvision_families.build(name).detector
    grids = cells_of(detector, detector.level_layers())
    assert [grid.size for grid in grids] == [(12, 16), (6, 8), (3, 4), (2, 2), (1, 1)]
    assert [grid.stride for grid in grids] == [(step, step) for step in (8, 16, 32, 64, 128)]
    # three quarters of the way from the middle of the stride to that of the windows, 0.5
    expected = [step / 2 - 0.75 * (step / 2 - 0.5) for step in (8, 16, 32, 64, 128)]
    assert [grid.origin for grid in grids] == [(start, start) for start in expected]


@pytest.mark.slow
def test_levels_of_ssd_that_its_windows_do_not_cover_lie_where_its_boxes_do():
    detector = torchvision_families.build("ssd300").detector
    grids = cells_of(detector, detector.level_layers())
    assert [grid.stride[0] for grid in grids] == [8, 16, 32, 64, 100, 300]
    assert [grid.origin[0] for grid in grids] == [4, 8, 12, 20, 50, 150]
