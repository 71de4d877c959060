"""The same detections explained by several methods, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from captum_ssgc._explained import Explained
from captum_ssgc.composites import Composite
from captum_ssgc.visualization._arrays import (
    heat_array,
    named_image,
    one_by_one,
)
from captum_ssgc.visualization._blend import Look
from captum_ssgc.visualization._heat_panel import draw_heat_map
from captum_ssgc.visualization._layout import best_blocks, room_in
from captum_ssgc.visualization._marks import (
    BOX_COLORS,
    Shape,
    Tag,
    draw_boxes,
    draw_shape,
    named,
    shortened,
)
from captum_ssgc.visualization._method_colors import line_styles
from captum_ssgc.visualization._overlay import smoothing_remark
from captum_ssgc.visualization._panels import (
    FOOTER,
    HEADER,
    MARGIN,
    NARROWEST,
    TITLE,
    Sheet,
    note,
    panel_title,
    pixels_of,
    show_pixels,
)
from captum_ssgc.visualization._picture import plainly
from captum_ssgc.visualization._views import Photo, smoothed, view_of, whole


@plainly
def comparison_grid(
    image: Any,
    rows: Sequence[Sequence[Explained]],
    *,
    captions: Sequence[Sequence[str]] | None = None,
    title: str | None = None,
    smoothing: float = 0.0,
    composite: Composite | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw one row for each detection and one column for each method.

    Where the panels of so many methods could not be read side by side, they go on in further lines.

    The first column shows the image with the row's box, label and score. Every map is scaled to
    its own lowest and highest value; a small box fills more of its panel, with its surroundings.

    Args:
        image: ``(3, H, W)`` or ``(1, 3, H, W)``, RGB in [0, 1].
        rows: for each detection its explanations, the same methods in the same order in all
            rows; any objects with ``label``, ``score``, ``box``, ``heat_map`` and ``method``, and
            ``corners`` and ``mask`` where they have them, as in :func:`overview`.
        captions: short texts, one for each explanation, written into its panel.
        title: a line above all panels.
        smoothing: standard deviation in pixels of a Gaussian under which the maps are shown; the
            picture says so.
        composite: what is shown of an image that is not RGB: indices of one channel (grey) or three
            (red, green and blue), or a function ``(C, H, W)`` to ``(3, H, W)``; ``None``: the first
            three of more channels, the first of fewer. The picture says what it shows.
        ax: axes whose place the picture takes, and which are hidden; ``None`` for a new figure that
            pyplot does not know of.

    Returns:
        The figure. A new one is at least 1,600 pixels wide, and as high as its panels need.

    Raises:
        ValueError: if there is no row, or rows differ in their methods or captions.

    Example:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> from captum_ssgc.visualization import comparison_grid
        >>> cat = dict(label="cat", score=0.93, box=torch.tensor([5.0, 5.0, 20.0, 25.0]))
        >>> row = [SimpleNamespace(**cat, heat_map=torch.rand(30, 40), method=name)
        ...        for name in ("grad-cam", "ssgrad-cam++")]
        >>> figure = comparison_grid(torch.rand(3, 30, 40), [row])
        >>> [axes.get_title(loc="left") for axes in figure.axes[1:3]]
        ['grad-cam', 'ssgrad-cam++']
    """
    rows = [one_by_one(row) for row in rows]
    methods = _methods(rows)
    texts = _captions(captions, rows)
    pixels, composed = named_image(image, composite)
    photo = Photo(pixels, panels=len(rows) * (len(methods) + 1))
    size = photo.size
    above = MARGIN + (HEADER if title else 0) + TITLE
    blocks = best_blocks(len(methods) + 1, len(rows), size[1] / size[0], room_in(ax, above))
    sheet = Sheet(
        max(blocks.width + 2 * MARGIN, NARROWEST), above + blocks.height + MARGIN + FOOTER, ax
    )
    if title:
        sheet.header(title)
    cell = blocks.cell_width, blocks.cell_height
    for number, (row, captioned) in enumerate(zip(rows, texts)):
        color = BOX_COLORS[number % len(BOX_COLORS)]
        panels = []
        for column in range(blocks.columns):
            left, top = blocks.place(number, column)
            panels.append(sheet.panel(MARGIN + left, above + top, *cell))
        first, shape = row[0], Shape.of(row[0], size)
        show_pixels(panels[0], photo.plain(whole(size), pixels_of(panels[0])), whole(size))
        text = shortened(named(number + 1, first.label), int(cell[0] / 7) - 5)
        draw_boxes(panels[0], [Tag(shape, f"{text} {first.score:.2f}", color)], size)
        view = view_of(shape.box, size, cell[0] / cell[1])
        for panel, one, caption in zip(panels[1:], row, captioned):
            heat = smoothed(heat_array(one.heat_map, size), smoothing)
            why_empty = getattr(one, "why_empty", None) or ""
            draw_heat_map(panel, photo, heat, Look(floor=None), view, why_empty)
            draw_shape(panel, Shape.of(one, size), size, color)
            if caption:
                note(panel, caption)
        if blocks.is_titled(number):
            panel_title(panels[0], "image")
            for panel, (name, style) in zip(panels[1:], line_styles(methods, ()).items()):
                panel_title(panel, name)
                _underline(panel, style["color"])
    remarks = ["each map on its own scale", smoothing_remark(smoothing), composed]
    sheet.legend(", ".join(part for part in remarks if part))
    return sheet.figure


def _underline(ax: Axes, color: str) -> None:
    """The method's colour in the curves, below its title."""
    ax.plot([0, 1], [1.015, 1.015], transform=ax.transAxes, color=color, lw=2.5, clip_on=False)


def _methods(rows: Sequence[Sequence[Explained]]) -> list[str]:
    if not rows:
        raise ValueError("rows: expected at least one detection, got none.")
    names = [[one.method for one in row] for row in rows]
    for number, row in enumerate(names):
        if row != names[0]:
            raise ValueError(
                "rows: expected the same methods in the same order in all rows, got "
                f"{', '.join(names[0])} in row 0 and {', '.join(row)} in row {number}."
            )
    return names[0]


def _captions(
    captions: Sequence[Sequence[str]] | None, rows: Sequence[Sequence[Explained]]
) -> list[list[str]]:
    if captions is None:
        return [[""] * len(row) for row in rows]
    texts = [list(row) for row in captions]
    if [len(row) for row in texts] != [len(row) for row in rows]:
        raise ValueError(
            f"captions: expected {len(rows)} rows of {len(rows[0])}, one text for each map, got "
            f"rows of {[len(row) for row in texts]}."
        )
    return texts
