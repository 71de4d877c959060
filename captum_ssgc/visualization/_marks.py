"""Boxes and name tags on an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch, Polygon, Rectangle
from matplotlib.patheffects import Normal, Stroke

from captum_ssgc._mask_outlines import Line, mask_outlines
from captum_ssgc.visualization._arrays import Array, Box, box_array, corners_array, mask_array
from captum_ssgc.visualization._letters import families, legible

BOX_COLORS = ("#56B4E9", "#E69F00", "#00B283", "#F0E442", "#E28DBE", "#3D8FD1", "#F0733A")
"""Seven box colours that colour-blind readers can tell apart (hues of Okabe and Ito, 2008,
the dark ones lightened so that they show on dark photos)."""

INK, QUIET, CASING = "#1B2430", "#5B6675", "#10151C"
_TAG_SIZE, _SMALL_TAG_SIZE, _TAG_PADDING = 8.5, 6.5, 0.3
MANY = 10
"""More boxes than this in one panel are thin and have their number only."""


class Shape(NamedTuple):
    """Where an object is: its box, the corners of an oriented one, the lines around its mask."""

    box: Box
    corners: Array | None = None
    outlines: tuple[Line, ...] = ()

    @classmethod
    def of(cls, described: Any, size: tuple[int, int]) -> Shape:
        """Of an object with a ``box`` and, where it has them, ``corners`` and a ``mask``.

        Raises:
            ValueError: for a wrong shape, or numbers that are not finite.
        """
        mask = mask_array(getattr(described, "mask", None), size)
        return cls(
            box_array(described.box),
            corners_array(getattr(described, "corners", None)),
            () if mask is None else tuple(mask_outlines(mask)),
        )


class Tag(NamedTuple):
    """A short text that belongs to an object."""

    shape: Shape
    text: str
    color: str


class _Area(NamedTuple):
    left: float
    bottom: float
    width: float
    height: float

    def shared_with(self, other: _Area) -> float:
        across = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        along = min(self.bottom + self.height, other.bottom + other.height) - max(
            self.bottom, other.bottom
        )
        return max(across, 0.0) * max(along, 0.0)


def draw_shape(
    ax: Axes, shape: Shape, size: tuple[int, int], color: str, width: float = 1.8
) -> None:
    """Draw the box, oriented where it is, and the mask of an object in an image of ``(H, W)``."""
    for line in shape.outlines:
        _add(ax, Polygon(line, fill=False), color, 0.7 * width)
    if shape.corners is None:
        draw_box(ax, shape.box, size, color, width)
    else:
        _add(ax, Polygon(shape.corners, fill=False), color, width)


def draw_box(ax: Axes, box: Box, size: tuple[int, int], color: str, width: float = 1.8) -> None:
    """Draw the part of a box (xyxy in pixels) that lies in an image of ``(H, W)``."""
    x1, x2 = (min(max(x, 0.0), float(size[1])) for x in (box[0], box[2]))
    y1, y2 = (min(max(y, 0.0), float(size[0])) for y in (box[1], box[3]))
    _add(ax, Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False), color, width)


def _add(ax: Axes, outline: Patch, color: str, width: float) -> None:
    outline.set_edgecolor(color)
    outline.set_linewidth(width)
    outline.set_joinstyle("miter")
    casing = Stroke(linewidth=width + 1.6, foreground=CASING, alpha=0.65)
    outline.set_path_effects([casing, Normal()])
    ax.add_patch(outline)


def named(number: int, label: object) -> str:
    """What a detection is called: its number, and its class by name or, where it has none, index.

    Example:
        >>> named(1, "cat"), named(2, "17")
        ('1 cat', '#2 class 17')
    """
    name = legible(str(label))
    return f"#{number} class {name}" if name.isdecimal() else f"{number} {name}".rstrip()


def draw_boxes(ax: Axes, tags: Sequence[Tag], size: tuple[int, int]) -> None:
    """Draw the objects of all tags, the first uppermost, and the tags."""
    width = 1.8 if len(tags) <= MANY else 1.1
    for tag in reversed(tags):
        draw_shape(ax, tag.shape, size, tag.color, width)
    _draw_tags(ax, tags, _TAG_SIZE if len(tags) <= MANY else _SMALL_TAG_SIZE)


def _draw_tags(ax: Axes, tags: Sequence[Tag], text_size: float) -> None:
    """Write each tag at its box, moved so that it covers no other tag where that is possible.

    The axes must already have their final place in the figure.
    """
    frame = ax.get_window_extent()
    room = _Area(frame.x0, frame.y0, frame.width, frame.height)
    taken: list[_Area] = []
    padding = _TAG_PADDING * text_size * ax.figure.dpi / 72
    for tag in tags:
        written = ax.text(
            0.0,
            0.0,
            tag.text,
            transform=None,
            fontsize=text_size,
            fontfamily=families(tag.text),
            color=readable_on(tag.color),
            va="bottom",
            parse_math=False,
            usetex=False,
            bbox={"boxstyle": f"square,pad={_TAG_PADDING}", "fc": tag.color, "ec": "none"},
            zorder=5,
        )
        extent = written.get_window_extent()
        width, height = extent.width + 2 * padding, extent.height + 2 * padding
        area = _best_place(_places(ax, tag.shape.box, width, height), room, taken)
        taken.append(area)
        written.set_transform(ax.transData)
        anchor = (area.left + padding, area.bottom + padding)
        written.set_position(tuple(ax.transData.inverted().transform(anchor)))


def readable_on(color: str) -> str:
    """Dark or white text, whichever has the higher contrast on ``color``."""
    red, green, blue = (channel**2.2 for channel in to_rgb(color))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return CASING if luminance > 0.18 else "white"


def shortened(text: str, length: int) -> str:
    """``text`` on one line, cut to ``length`` characters."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: max(length - 1, 1)].rstrip() + "…"


def _places(ax: Axes, box: Box, width: float, height: float) -> list[_Area]:
    (left, bottom), (right, top) = ax.transData.transform([(box[0], box[3]), (box[2], box[1])])
    spots = [
        (left, top),
        (right - width, top),
        (left, top - height),
        (right - width, top - height),
        (left, bottom - height),
        (right - width, bottom - height),
        (left, bottom),
        (right - width, bottom),
        (right, top - height),
        (left - width, top - height),
    ]
    return [_Area(x, y, width, height) for x, y in spots]


def _best_place(places: Sequence[_Area], room: _Area, taken: Sequence[_Area]) -> _Area:
    def loss(place: _Area) -> float:
        outside = place.width * place.height - place.shared_with(room)
        return round(2 * outside + sum(place.shared_with(other) for other in taken))

    best = min(places, key=loss)
    left = min(max(best.left, room.left), max(room.left + room.width - best.width, room.left))
    bottom = min(
        max(best.bottom, room.bottom), max(room.bottom + room.height - best.height, room.bottom)
    )
    return best._replace(left=left, bottom=bottom)
