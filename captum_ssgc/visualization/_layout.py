"""Where the panels go: of an overview, and of a comparison of methods."""

from __future__ import annotations

import math
from typing import NamedTuple

from matplotlib.axes import Axes

from captum_ssgc.visualization._panels import FOOTER, GAP, MARGIN, TITLE, extent_of, figure_of

_LARGEST_WIDTH, _COMFORTABLE_HEIGHT = 1360, 780
_SMALLEST_CELL, _LARGEST_CELL = 200, 650
_WIDE = 4.0
_SMALL_GAP, _BLOCK_GAP, _SMALLEST_ROOM = 8, 26, 100
_SMALLEST_SMALL_CELL, _LARGEST_SMALL_CELL = 150, 330


class Room(NamedTuple):
    """What all panels together may take, in pixels at 100 dots per inch.

    ``height`` is exceeded where panels would get too small to be read, if the reader can scroll:
    if it ``grows``.
    """

    width: float
    height: float
    grows: bool


SCREEN = Room(_LARGEST_WIDTH - 2 * MARGIN, _COMFORTABLE_HEIGHT, grows=True)


def room_in(ax: Axes | None, above: float) -> Room:
    """Between ``above`` and the legend in the rectangle of ``ax``; without it, on a laptop."""
    if ax is None:
        return SCREEN
    figure = figure_of(ax)
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()  # only then have the axes their place
    whole = extent_of(ax)
    width, height = whole[0] - 2 * MARGIN, whole[1] - above - MARGIN - FOOTER
    if min(width, height) < _SMALLEST_ROOM:
        raise ValueError(
            f"ax: expected axes with room for the picture, got {whole[0]:.0f} x {whole[1]:.0f} "
            "pixels; make the figure larger, or give it to this picture alone."
        )
    return Room(width, height, grows=False)


class Layout(NamedTuple):
    """One large image, heat maps beside and below it.

    Cells are of equal size; the image covers the first ``span`` rows and columns. All lengths
    are pixels, and places count from the top left corner of the panel area.
    """

    columns: int
    rows: int
    span: int
    cell_width: float
    cell_height: float

    @property
    def image_size(self) -> tuple[float, float]:
        """Width and height of the large image.

        With nothing below, it is as high as the panels beside it; otherwise its sides are
        aligned with the columns below.
        """
        if self.rows == self.span:
            height = self.span * self.cell_height + (self.span - 1) * (TITLE + GAP)
            return height * self.cell_width / self.cell_height, height
        width = self.span * self.cell_width + (self.span - 1) * GAP
        return width, width * self.cell_height / self.cell_width

    @property
    def width(self) -> float:
        return self.image_size[0] + (self.columns - self.span) * (self.cell_width + GAP)

    @property
    def height(self) -> float:
        return self.rows * (TITLE + self.cell_height) + (self.rows - 1) * GAP

    def place(self, number: int) -> tuple[float, float]:
        """Left and top of heat map ``number``, its title not included."""
        beside = self.columns - self.span
        step = self.cell_width + GAP, self.cell_height + TITLE + GAP
        if number < beside * self.span:
            left = self.image_size[0] + GAP + number % beside * step[0]
            return left, number // beside * step[1] + TITLE
        rest = number - beside * self.span
        return rest % self.columns * step[0], (self.span + rest // self.columns) * step[1] + TITLE


def best_layout(count: int, aspect: float, room: Room = SCREEN) -> Layout:
    """The layout with the largest panels, given that one should not have to scroll.

    Args:
        count: number of heat maps.
        aspect: width of the image divided by its height.
        room: for all panels.
    """
    best: tuple[float, Layout] | None = None
    for span in _spans(count, aspect):
        for columns in range(span if aspect > _WIDE else span + 1, 7):
            layout = _layout(count, columns, span, aspect, room)
            empty = layout.columns * layout.rows - layout.span**2 - count
            visible = min(1.0, 1.05 * room.height / layout.height)
            value = layout.cell_width * visible * (1 - 0.1 * empty)
            if best is None or value > best[0]:
                best = value, layout
            if layout.rows == layout.span:
                break
    assert best is not None
    return best[1]


def _spans(count: int, aspect: float) -> tuple[int, ...]:
    """Beside the large image of a panorama there is no room for others: it may be a small one."""
    if count == 1:
        return (1,)
    return (2, 1) if aspect > _WIDE else (2,)


def _layout(count: int, columns: int, span: int, aspect: float, room: Room) -> Layout:
    rows = span + math.ceil(max(count - (columns - span) * span, 0) / columns)
    extra = (span - 1) * max((TITLE + GAP) * aspect, GAP)
    widest = (room.width - extra - (columns - span) * GAP) / columns
    fits = (room.height / rows - TITLE - GAP) * aspect
    smallest = min(_SMALLEST_CELL, _SMALLEST_CELL * aspect) if room.grows else 1.0
    largest = _LARGEST_CELL * max(aspect / _WIDE, 1.0)
    width = max(min(widest, max(fits, smallest), largest), 1.0)
    return Layout(columns, rows, span, width, width / aspect)


class Blocks(NamedTuple):
    """Detections one below the other, in as many blocks side by side as use the space best."""

    side_by_side: int
    rows: int
    columns: int
    cell_width: float
    cell_height: float

    @property
    def block_width(self) -> float:
        return self.columns * (self.cell_width + _SMALL_GAP) - _SMALL_GAP

    @property
    def width(self) -> float:
        return self.side_by_side * (self.block_width + _BLOCK_GAP) - _BLOCK_GAP

    @property
    def height(self) -> float:
        return self.rows * (self.cell_height + _SMALL_GAP) - _SMALL_GAP

    def place(self, number: int, column: int) -> tuple[float, float]:
        """Left and top of a panel of detection ``number``."""
        block, row = divmod(number, self.rows)
        left = block * (self.block_width + _BLOCK_GAP) + column * (self.cell_width + _SMALL_GAP)
        return left, row * (self.cell_height + _SMALL_GAP)


def best_blocks(columns: int, detections: int, aspect: float, room: Room = SCREEN) -> Blocks:
    """The blocks with the largest panels, given that one should not have to scroll.

    Args:
        columns: panels of one detection.
        detections: their number.
        aspect: width of the image divided by its height.
        room: for all panels.
    """
    options = []
    for wanted in range(1, detections + 1):
        rows = math.ceil(detections / wanted)
        count = math.ceil(detections / rows)
        gaps = count * (columns - 1) * _SMALL_GAP + (count - 1) * _BLOCK_GAP
        widest = (room.width - gaps) / (count * columns)
        fits = (room.height / rows - _SMALL_GAP) * aspect
        side = max(min(aspect, 1.33), 0.8)
        smallest = min(_SMALLEST_SMALL_CELL * side, room.height * aspect) if room.grows else 1.0
        width = max(min(widest, max(fits, smallest), _LARGEST_SMALL_CELL * side), 1.0)
        blocks = Blocks(count, rows, columns, width, width / aspect)
        visible = min(1.0, room.height / blocks.height)
        options.append((width * visible, -count, blocks))
    return max(options, key=lambda option: option[:2])[2]
