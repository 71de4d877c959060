"""One detection: its heat map over the image."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from captum_ssgc.visualization._arrays import Array, box_array, heat_array, image_array, reduced
from captum_ssgc.visualization._blend import COLOR_MAP, MUTE, STRENGTH, Look, mixed
from captum_ssgc.visualization._marks import BOX_COLORS, draw_box
from captum_ssgc.visualization._panels import (
    MARGIN,
    TITLE,
    Sheet,
    figure_of,
    panel_title,
    show_pixels,
)

_SMALLEST_SIDE, _LARGEST_WIDTH, _LARGEST_HEIGHT = 420, 1100, 900


def overlay(
    image: Any,
    heat_map: Any,
    box: Any = None,
    label: str | None = None,
    score: float | None = None,
    *,
    ax: Axes | None = None,
    color_map: str = COLOR_MAP,
    strength: float = STRENGTH,
    mute: float = MUTE,
    maximum: float | None = None,
    box_color: str = BOX_COLORS[0],
) -> Figure:
    """Draw one heat map over the image, with the box, and label and score as title.

    Args:
        image: ``(3, H, W)`` or ``(1, 3, H, W)``, RGB in [0, 1].
        heat_map: ``(H, W)`` at image size; negative values count as zero.
        box: ``(4,)`` x1, y1, x2, y2 in pixels, or ``None``.
        label: class name, or ``None``.
        score: in [0, 1], or ``None``.
        ax: where to draw; ``None`` for a new figure of the image's proportions.
        color_map: see :func:`blend`.
        strength: see :func:`blend`.
        mute: see :func:`blend`.
        maximum: see :func:`blend`.
        box_color: any matplotlib colour.

    Returns:
        The figure; ``savefig(path)`` writes it. Its axes are in box coordinates: x from 0 to W, y
        from H to 0.

    Raises:
        ValueError: for a wrong shape or range.

    Example:
        >>> import torch
        >>> from captum_ssgc.visualization import overlay
        >>> image, heat_map = torch.rand(3, 30, 40), torch.rand(30, 40)
        >>> figure = overlay(image, heat_map, torch.tensor([5.0, 5.0, 20.0, 25.0]), "cat", 0.93)
        >>> figure.axes[0].get_title(loc="left"), figure.axes[0].get_title(loc="right")
        ('cat', '0.93')
    """
    look = Look(color_map, strength, mute, maximum)
    pixels = image_array(image)
    height, width = size = (pixels.shape[0], pixels.shape[1])
    heat = heat_array(heat_map, size)
    if ax is None:
        scale = max(1.0, _SMALLEST_SIDE / max(width, height))
        scale = min(scale, _LARGEST_WIDTH / width, _LARGEST_HEIGHT / height)
        shown = (max(width * scale, 1.0), max(height * scale, 1.0))
        sheet = Sheet(shown[0] + 2 * MARGIN, shown[1] + TITLE + 2 * MARGIN - 6)
        ax = sheet.panel(MARGIN, MARGIN + TITLE - 6, *shown)
    else:
        ax.set_axis_off()
    draw_heat_map(ax, pixels, heat, look)
    if box is not None:
        draw_box(ax, box_array(box), size, box_color)
    if label is not None or score is not None:
        shown_score = "" if score is None else f"{score:.2f}"
        panel_title(ax, label or "", shown_score)
    return figure_of(ax)


def draw_heat_map(ax: Axes, pixels: Array, heat: Array, look: Look) -> None:
    """Draw ``(H, W)`` over ``(H, W, 3)``, in image pixels, at the resolution of the axes."""
    extent = ax.get_window_extent()
    size = max(extent.height, 1.0), max(extent.width, 1.0)
    small = mixed(reduced(pixels, size), reduced(heat, size), look)
    show_pixels(ax, small, (pixels.shape[0], pixels.shape[1]))
