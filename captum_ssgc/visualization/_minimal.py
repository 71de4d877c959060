"""The smallest part of an image that keeps a detection, and the smallest whose loss loses it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from captum_ssgc._explained import Explained
from captum_ssgc.composites import Composite
from captum_ssgc.visualization._arrays import named_image, one_by_one
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
from captum_ssgc.visualization._panels import (
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
from captum_ssgc.visualization._views import Photo, whole

TITLES = ("image", "is enough", "is lost without")


class Minimal(Protocol):
    """What a picture needs of :class:`captum_ssgc.metrics.MinimalSets`."""

    @property
    def keeping(self) -> Any: ...
    @property
    def keeping_scores(self) -> Any: ...
    @property
    def losing(self) -> Any: ...
    @property
    def losing_scores(self) -> Any: ...


@plainly
def minimal_grid(
    image: Any,
    explained: Sequence[Explained],
    sets: Minimal,
    *,
    title: str | None = None,
    composite: Composite | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw for each detection what is enough for it, and what it cannot do without.

    The second panel of a row shows the image as the detector saw it when it still found the object:
    all but the smallest set of patches is black. The third shows it when it no longer did: the
    smallest set whose loss is too much is black. The score and the share of the image are written
    into the panels.

    Args:
        image: ``(3, H, W)`` or ``(1, 3, H, W)``, RGB in [0, 1].
        explained: one for each detection, any objects with ``label``, ``score`` and ``box``.
        sets: of the same detections, see :func:`captum_ssgc.metrics.minimal_sets`.
        title: a line above all panels.
        composite: what is shown of an image that is not RGB, see :func:`comparison_grid`.
        ax: axes whose place the picture takes, and which are hidden; ``None`` for a new figure that
            pyplot does not know of.

    Returns:
        The figure.

    Raises:
        ValueError: if there is no detection, or another number of sets.

    Example:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> from captum_ssgc.visualization import minimal_grid
        >>> cat = SimpleNamespace(label="cat", score=0.93, heat_map=torch.zeros(30, 40),
        ...                       box=torch.tensor([5.0, 5.0, 20.0, 25.0]))
        >>> half = torch.arange(40).expand(1, 30, 40) < 20
        >>> sets = SimpleNamespace(keeping=half, keeping_scores=torch.tensor([0.6]),
        ...                        losing=half, losing_scores=torch.tensor([0.1]))
        >>> figure = minimal_grid(torch.rand(3, 30, 40), [cat], sets)
        >>> [axes.get_title(loc="left") for axes in figure.axes]
        ['image', 'is enough', 'is lost without']
    """
    explained = one_by_one(explained)
    if len(sets.keeping) != len(explained):
        raise ValueError(
            f"sets: expected those of each of {len(explained)} detections, got {len(sets.keeping)}."
        )
    pixels, composed = named_image(image, composite)
    count = len(TITLES) * len(explained)
    photo = Photo(pixels, panels=count)
    size = photo.size
    above = MARGIN + (HEADER if title else 0) + TITLE
    blocks = best_blocks(len(TITLES), len(explained), size[1] / size[0], room_in(ax, above))
    sheet = Sheet(max(blocks.width + 2 * MARGIN, NARROWEST), above + blocks.height + MARGIN, ax)
    if title:
        sheet.header(title)
    for number, one in enumerate(explained):
        color = BOX_COLORS[number % len(BOX_COLORS)]
        panels = []
        for column in range(blocks.columns):
            left, top = blocks.place(number, column)
            panels.append(
                sheet.panel(MARGIN + left, above + top, blocks.cell_width, blocks.cell_height)
            )
        shape = Shape.of(one, size)
        show_pixels(panels[0], photo.plain(whole(size), pixels_of(panels[0])), whole(size))
        text = shortened(named(number + 1, one.label), int(blocks.cell_width / 7) - 5)
        draw_boxes(panels[0], [Tag(shape, f"{text} {one.score:.2f}", color)], size)
        keeping, losing = _mask(sets.keeping[number]), _mask(sets.losing[number])
        scores = float(sets.keeping_scores[number]), float(sets.losing_scores[number])
        for panel, visible, note_text in zip(
            panels[1:],
            (keeping, ~losing),
            (
                f"score {scores[0]:.2f} with {_percent(keeping)} of the image",
                f"score {scores[1]:.2f} without {_percent(losing)} of the image",
            ),
            strict=True,
        ):
            changed = Photo(pixels * visible[..., None], panels=count)
            show_pixels(panel, changed.plain(whole(size), pixels_of(panel)), whole(size))
            draw_shape(panel, shape, size, color)
            note(panel, note_text)
        if number % blocks.rows == 0:
            for panel, name in zip(panels, TITLES, strict=True):
                panel_title(panel, name)
            if composed:
                note(panels[0], composed, at_top=True)
    return sheet.figure


def _mask(pixels: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    pixels = pixels.detach().cpu().numpy() if hasattr(pixels, "detach") else pixels
    return np.asarray(pixels, dtype=bool)


def _percent(pixels: np.ndarray[Any, np.dtype[np.bool_]]) -> str:
    share = 100.0 * float(pixels.mean())
    return f"{share:.1f}%" if share < 10 else f"{share:.0f}%"
