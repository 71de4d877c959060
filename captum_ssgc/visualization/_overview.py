"""All detections of an image at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from captum_ssgc._explained import Explained
from captum_ssgc.composites import Composite
from captum_ssgc.visualization._arrays import (
    box_array,
    heat_array,
    named_image,
    one_by_one,
)
from captum_ssgc.visualization._blend import Look
from captum_ssgc.visualization._heat_panel import draw_heat_map
from captum_ssgc.visualization._layout import best_layout, cell_aspect, room_in
from captum_ssgc.visualization._marks import (
    BOX_COLORS,
    MANY,
    Shape,
    Tag,
    draw_boxes,
    draw_shape,
    named,
    shortened,
)
from captum_ssgc.visualization._overlay import smoothing_remark
from captum_ssgc.visualization._panels import (
    FOOTER,
    HEADER,
    MARGIN,
    NARROWEST,
    TITLE,
    Sheet,
    panel_title,
    pixels_of,
    show_pixels,
)
from captum_ssgc.visualization._picture import plainly
from captum_ssgc.visualization._views import Photo, smoothed, view_of, whole


@plainly
def overview(
    image: Any,
    explanations: Sequence[Explained],
    *,
    title: str | None = None,
    smoothing: float = 0.0,
    composite: Composite | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the image with all boxes, and one heat map for each explanation.

    Each map is scaled to its own lowest and highest value. Boxes have the same number and colour
    in all panels; explanations of one detection by several methods share them. A small box fills
    more of its panel, with its surroundings; what of the map lies outside is said.

    Args:
        image: ``(3, H, W)`` or ``(1, 3, H, W)``, RGB in [0, 1].
        explanations: as :func:`captum_ssgc.explain` returns them; any objects with ``label``,
            ``score``, ``box``, ``heat_map`` and ``method``, and ``index`` where the same box, label
            and score may belong to two detections. ``why_empty``, where there is one, is written
            into the panel of an empty map; ``corners`` ``(4, 2)`` of an oriented box are drawn in
            place of the box, and the outline of a ``mask`` ``(H, W)`` beside it.
        title: a line above all panels, such as the name of the image.
        smoothing: standard deviation in pixels of a Gaussian under which the maps are shown, which
            hides the cells of a coarse grid (half a cell is enough). The picture says so.
        composite: what is shown of an image that is not RGB: indices of one channel (grey) or three
            (red, green and blue), or a function ``(C, H, W)`` to ``(3, H, W)``; ``None``: the first
            three of more channels, the first of fewer. The picture says what it shows.
        ax: axes whose place the picture takes, and which are hidden; ``None`` for a new figure that
            pyplot does not know of.

    Returns:
        The figure. A new one is at least 1,600 pixels wide, and as high as its panels need.

    Raises:
        ValueError: if there is no explanation, or for a wrong shape or range.

    Example:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> from captum_ssgc.visualization import overview
        >>> cat = SimpleNamespace(label="cat", score=0.93, box=torch.tensor([5.0, 5.0, 20.0, 25.0]),
        ...                       heat_map=torch.rand(30, 40), method="ssgrad-cam++")
        >>> len(overview(torch.rand(3, 30, 40), [cat]).axes)   # image, heat map, colour scale
        3
    """
    explanations = one_by_one(explanations)
    pixels, composed = named_image(image, composite)
    photo = Photo(pixels, panels=len(explanations))
    size = photo.size
    numbers = _numbers(explanations)
    count = max(numbers) + 1
    methods = list(dict.fromkeys(one.method for one in explanations))
    above = MARGIN + (HEADER if title else 0)
    layout = best_layout(len(explanations), size[1] / size[0], room_in(ax, above))
    sheet = Sheet(
        max(layout.width + 2 * MARGIN, NARROWEST), above + layout.height + MARGIN + FOOTER, ax
    )
    if title:
        sheet.header(title)

    main = sheet.panel(MARGIN, above + TITLE, *layout.image_size)
    show_pixels(main, photo.plain(whole(size), pixels_of(main)), whole(size))
    panel_title(main, "1 detection" if count == 1 else f"{count} detections")
    tags = {}
    for number, one in zip(numbers, explanations):
        name = named(number + 1, one.label)
        text = str(number + 1) if count > MANY else shortened(name, 28)
        tags[number] = Tag(Shape.of(one, size), text, BOX_COLORS[number % len(BOX_COLORS)])
    draw_boxes(main, [tags[number] for number in sorted(tags)], size)

    cell = layout.cell_width, layout.cell_height
    for place, (number, one) in enumerate(zip(numbers, explanations)):
        left, top = layout.place(place)
        panel = sheet.panel(MARGIN + left, above + top, *cell)
        heat = smoothed(heat_array(one.heat_map, size), smoothing)
        view = view_of(tags[number].shape.box, size, cell_aspect(layout.aspect))
        draw_heat_map(
            panel, photo, heat, Look(floor=None), view, getattr(one, "why_empty", None) or ""
        )
        draw_shape(panel, tags[number].shape, size, tags[number].color)
        name = named(number + 1, one.label) + (f" · {one.method}" if len(methods) > 1 else "")
        panel_title(panel, name, f"{one.score:.2f}")
    remarks = [methods[0] if len(methods) == 1 else "", "each map on its own scale"]
    sheet.legend(
        ", ".join(part for part in [*remarks, smoothing_remark(smoothing), composed] if part)
    )
    return sheet.figure


def _numbers(explanations: Sequence[Explained]) -> list[int]:
    """The same number for explanations of the same detection, in order of appearance.

    Detections that share box, label and score do occur; where explanations say their ``index``,
    that tells them apart.
    """
    known: dict[tuple[object, ...], int] = {}
    return [
        known.setdefault(
            (
                getattr(one, "index", None),
                one.label,
                one.score,
                *np.round(box_array(one.box), 3),
            ),
            len(known),
        )
        for one in explanations
    ]
