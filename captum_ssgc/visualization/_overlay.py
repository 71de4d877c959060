"""One detection: its heat map over the image."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from captum_ssgc.composites import Composite
from captum_ssgc.visualization._arrays import heat_array, named_image
from captum_ssgc.visualization._blend import COLOR_MAP, MUTE, STRENGTH, Look
from captum_ssgc.visualization._heat_panel import draw_heat_map
from captum_ssgc.visualization._marks import BOX_COLORS, Shape, draw_shape, named, shortened
from captum_ssgc.visualization._panels import FOOTER, GAP, MARGIN, TITLE, Sheet, panel_title
from captum_ssgc.visualization._picture import figure_of, plainly
from captum_ssgc.visualization._views import Photo, smoothed, view_of, whole

_LONGEST_LABEL = 56
_WORTHWHILE = 1.5  # times as large as in the whole image
_READABLE, _NARROW = 480, 240  # pixels for lines of text; panels have no room for theirs
_LONGEST_SIDE, _LARGEST_WIDTH, _LARGEST_HEIGHT = 800, 1100, 900


@plainly
def overlay(
    image: Any,
    heat_map: Any,
    box: Any = None,
    label: str | None = None,
    score: float | None = None,
    *,
    number: int | None = None,
    method: str | None = None,
    layer: str | None = None,
    source: str | None = None,
    ax: Axes | None = None,
    color_map: str = COLOR_MAP,
    strength: float = STRENGTH,
    mute: float = MUTE,
    maximum: float | None = None,
    floor: float | None = None,
    smoothing: float = 0.0,
    box_color: str = BOX_COLORS[0],
    corners: Any = None,
    mask: Any = None,
    composite: Composite | None = None,
) -> Figure:
    """Draw one heat map over the image, with the box, and label and score as title.

    A box that is small in the image is drawn once more beside it, enlarged with its surroundings.

    Args:
        image: ``(3, H, W)`` or ``(1, 3, H, W)``, RGB in [0, 1].
        heat_map: ``(H, W)`` at image size; negative values count as zero.
        box: ``(4,)`` x1, y1, x2, y2 in pixels, or ``None``.
        label: class name, or ``None``.
        score: in [0, 1], or ``None``.
        number: of the detection in other pictures of the image, from 1.
        method: written below the image, as are the next two.
        layer: the attributed layer.
        source: where the image came from, such as the name of its file.
        ax: where to draw, without the line below and the enlargement; ``None`` for a new figure.
        color_map: see :func:`blend`.
        strength: see :func:`blend`.
        mute: see :func:`blend`.
        maximum: see :func:`blend`.
        floor: see :func:`blend`.
        smoothing: standard deviation in pixels of a Gaussian under which the map is shown, which
            hides the cells of a coarse grid (half a cell is enough). The picture says so.
        box_color: any matplotlib colour.
        corners: ``(4, 2)`` of an oriented box, drawn in place of ``box``.
        mask: ``(H, W)``, whose outline is drawn beside ``box``.
        composite: what is shown of an image that is not RGB: indices of one channel (grey) or three
            (red, green and blue), or a function ``(C, H, W)`` to ``(3, H, W)``; ``None``: the first
            three of more channels, the first of fewer. The picture says what it shows.

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
    look = Look(color_map, strength, mute, maximum, floor)
    pixels, composed = named_image(image, composite)
    photo = Photo(pixels)
    height, width = size = photo.size
    heat = smoothed(heat_array(heat_map, size), smoothing)
    described = SimpleNamespace(box=box, corners=corners, mask=mask)
    shape = None if box is None else Shape.of(described, size)
    panels = [] if ax is None else [(ax, whole(size))]
    name = shortened(label or "", _LONGEST_LABEL)
    name = name if number is None else named(number, name)
    shown_score = "" if score is None else f"{score:.2f}"
    if ax is None:
        scale = max(1.0, _LONGEST_SIDE / max(width, height))
        scale = min(scale, _LARGEST_WIDTH / width, _LARGEST_HEIGHT / height)
        wide, tall = max(width * scale, 1.0), max(height * scale, 1.0)
        side = min(max(tall, 240.0), 480.0)
        detail = None if shape is None else view_of(shape.box, size, 1.0)
        if detail and side / max(detail.width, detail.height) < _WORTHWHILE * scale:
            detail = None
        below = [smoothing_remark(smoothing), method, layer, source, composed]
        caption = " · ".join(part for part in below[1:] + below[:1] if part)
        top = MARGIN + TITLE - 6
        beside = side + GAP if detail else 0.0
        sheet = Sheet(
            max(wide + beside, _READABLE if wide < _NARROW else 0.0) + 2 * MARGIN,
            top + max(tall, side if detail else 0.0) + MARGIN + (FOOTER - 6 if caption else 0),
            pixels=0,
        )
        panels.append((sheet.panel(MARGIN, top, wide, tall), whole(size)))
        if detail:
            panels.append((sheet.panel(MARGIN + wide + GAP, top, side, side), detail))
        if wide < _NARROW:
            line = " ".join(part for part in (name, shown_score) if part)
            sheet.text(MARGIN, top - 12, line, room=sheet.width - 2 * MARGIN)
            name = shown_score = ""
        if caption:
            room = sheet.width - 2 * MARGIN
            sheet.text(MARGIN, sheet.height - MARGIN, caption, room=room, quiet=True)
    else:
        ax.set_axis_off()
    for panel, view in panels:
        draw_heat_map(panel, photo, heat, look, view)
        if shape is not None:
            draw_shape(panel, shape, size, box_color)
    if name or shown_score:
        panel_title(panels[0][0], name, shown_score)
    return figure_of(panels[0][0])


def smoothing_remark(deviation: float) -> str:
    """What a picture says of maps that it has smoothed."""
    return f"smoothed for display, σ = {deviation:g} px" if deviation else ""
