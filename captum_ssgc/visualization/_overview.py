"""All detections of an image at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from captum_ssgc.visualization._arrays import (
    Explained,
    box_array,
    heat_array,
    image_array,
    one_by_one,
    reduced,
)
from captum_ssgc.visualization._blend import Look
from captum_ssgc.visualization._layout import best_layout, room_in
from captum_ssgc.visualization._marks import BOX_COLORS, Tag, draw_box, draw_tags, shortened
from captum_ssgc.visualization._overlay import draw_heat_map
from captum_ssgc.visualization._panels import (
    FOOTER,
    HEADER,
    MARGIN,
    NARROWEST,
    TITLE,
    Sheet,
    panel_title,
    show_pixels,
)


def overview(
    image: Any,
    explanations: Sequence[Explained],
    *,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the image with all boxes, and one heat map for each explanation.

    Each map is scaled to its own maximum. Boxes have the same number and colour in all panels;
    explanations of one detection by several methods share them.

    Args:
        image: ``(3, H, W)`` or ``(1, 3, H, W)``, RGB in [0, 1].
        explanations: as :func:`captum_ssgc.explain` returns them; any objects with ``label``,
            ``score``, ``box``, ``heat_map`` and ``method``, and ``index`` where the same box, label
            and score may belong to two detections.
        title: a line above all panels, such as the name of the image.
        ax: axes whose place the picture takes, and which are hidden; ``None`` for a new figure that
            pyplot does not know of.

    Returns:
        The figure. A new one is at most 1,360 pixels wide at its own 100 dots per inch.

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
    found = one_by_one(explanations)
    pixels = image_array(image)
    size = (pixels.shape[0], pixels.shape[1])
    numbers = _numbers(found)
    methods = list(dict.fromkeys(one.method for one in found))
    above = MARGIN + (HEADER if title else 0)
    layout = best_layout(len(found), size[1] / size[0], room_in(ax, above))
    sheet = Sheet(
        max(layout.width + 2 * MARGIN, NARROWEST), above + layout.height + MARGIN + FOOTER, ax
    )
    if title:
        sheet.header(title)

    wide, tall = layout.image_size
    main = sheet.panel(MARGIN, above + TITLE, wide, tall)
    show_pixels(main, reduced(pixels, (tall, wide)), size)
    count = max(numbers) + 1
    panel_title(main, "1 detection" if count == 1 else f"{count} detections")
    tags = {}
    for number, one in zip(numbers, found):
        text = shortened(f"{number + 1} {one.label}", 28)
        tags[number] = Tag(box_array(one.box), text, _color(number))
    for number in sorted(tags, reverse=True):
        draw_box(main, tags[number].box, size, tags[number].color)
    draw_tags(main, [tags[number] for number in sorted(tags)])

    for place, (number, one) in enumerate(zip(numbers, found)):
        left, top = layout.place(place)
        panel = sheet.panel(MARGIN + left, above + top, layout.cell_width, layout.cell_height)
        draw_heat_map(panel, pixels, heat_array(one.heat_map, size), Look())
        draw_box(panel, tags[number].box, size, tags[number].color)
        name = f"{number + 1} {one.label}" + (f" · {one.method}" if len(methods) > 1 else "")
        panel_title(panel, name, f"{one.score:.2f}")
    each = "each map on its own scale"
    sheet.legend(f"{methods[0]}, {each}" if len(methods) == 1 else each)
    return sheet.figure


def _color(number: int) -> str:
    return BOX_COLORS[number % len(BOX_COLORS)]


def _numbers(found: Sequence[Explained]) -> list[int]:
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
        for one in found
    ]
