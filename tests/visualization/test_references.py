"""Panels look as the pictures in ``references/``, which somebody has looked at.

Panels are compared without text, so that fonts do not matter. After a wanted change, write them
anew and look at each of them::

    CAPTUM_SSGC_WRITE_REFERENCES=1 python -m pytest tests/visualization/test_references.py
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from captum_ssgc.visualization import blend, comparison_grid, curves, overlay, overview

REFERENCES = Path(__file__).with_name("references")
MEAN_TOLERANCE, PIXEL_TOLERANCE, PIXELS_OFF = 1.5, 32, 0.01


def inside(ax: Axes) -> np.ndarray:
    """The pixels within the axes."""
    figure = ax.figure
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[..., :3]
    extent = ax.get_window_extent()
    rows = slice(round(drawn.shape[0] - extent.y1), round(drawn.shape[0] - extent.y0))
    return drawn[rows, round(extent.x0) : round(extent.x1)]


def small_axes() -> Axes:
    return Figure(figsize=(1.6, 1.2), dpi=100).add_axes((0, 0, 1, 1))


def panel_blend(picture: Tensor, explained: list[Any]) -> np.ndarray:
    return (255 * blend(picture, explained[0].heat_map)).round().astype(np.uint8)


def panel_overlay(picture: Tensor, explained: list[Any]) -> np.ndarray:
    first = explained[0]
    return inside(*overlay(picture, first.heat_map, first.box, ax=small_axes()).axes)


def panel_overview(picture: Tensor, explained: list[Any]) -> np.ndarray:
    return inside(overview(picture, explained).axes[2])[::2, ::2]


def panel_comparison(picture: Tensor, explained: list[Any]) -> np.ndarray:
    return inside(comparison_grid(picture, [[one] for one in explained]).axes[5])[::2, ::2]


def panel_curves(picture: Tensor, explained: list[Any]) -> np.ndarray:
    steps = torch.linspace(0, 1, 11)
    axes = small_axes()
    curves(steps, {"a": (1 - steps) ** 3, "b": 0.8 * (1 - steps)}, ax=axes)
    axes.get_legend().remove()
    return inside(axes)


PANELS: dict[str, Callable[[Tensor, list[Any]], np.ndarray]] = {
    "blend": panel_blend,
    "overlay": panel_overlay,
    "overview_map": panel_overview,
    "comparison_map": panel_comparison,
    "curves": panel_curves,
}


def difference(drawn: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Mean difference in levels, and the share of pixels that differ visibly."""
    off = np.abs(drawn.astype(float) - reference.astype(float)).max(2)
    return float(off.mean()), float((off > PIXEL_TOLERANCE).mean())


def same(drawn: np.ndarray, reference: np.ndarray) -> bool:
    mean, share = difference(drawn, reference)
    return mean <= MEAN_TOLERANCE and share <= PIXELS_OFF


@pytest.mark.parametrize("name", PANELS)
def test_panel_looks_as_its_reference(name: str, picture: Tensor, explained: list[Any]) -> None:
    drawn = PANELS[name](picture, explained)
    path = REFERENCES / f"{name}.png"
    if os.environ.get("CAPTUM_SSGC_WRITE_REFERENCES"):
        Image.fromarray(drawn).save(path, optimize=True)
    with Image.open(path) as image:
        reference = np.asarray(image.convert("RGB"))
    assert drawn.shape == reference.shape
    assert same(drawn, reference), difference(drawn, reference)


@pytest.mark.parametrize("change", ["map moved by two pixels", "no box", "another colour map"])
def test_the_tolerance_notices(change: str, picture: Tensor, explained: list[Any]) -> None:
    first = explained[0]
    heat = first.heat_map.roll(2, 1) if change.startswith("map") else first.heat_map
    box = None if change == "no box" else first.box
    colors = {"color_map": "viridis"} if change.startswith("another") else {}
    drawn = inside(*overlay(picture, heat, box, ax=small_axes(), **colors).axes)
    with Image.open(REFERENCES / "overlay.png") as image:
        assert not same(drawn, np.asarray(image.convert("RGB")))
