"""Captum's own pictures work on the same tensors."""

from __future__ import annotations

import numpy as np
import pytest
from captum.attr import visualization
from matplotlib.backends.backend_agg import FigureCanvasAgg
from torch import Tensor


@pytest.mark.parametrize("method", ["heat_map", "blended_heat_map", "masked_image"])
def test_visualize_image_attr_takes_the_same_tensors(
    picture: Tensor, heat_map: Tensor, method: str
) -> None:
    figure, axes = visualization.visualize_image_attr(
        heat_map[..., None].numpy(),
        picture[0].permute(1, 2, 0).numpy(),
        method=method,
        sign="positive",
        use_pyplot=False,
        title="cat 0.93",
    )
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    assert np.asarray(canvas.buffer_rgba())[..., :3].std() > 10
    assert axes.get_title() == "cat 0.93"
