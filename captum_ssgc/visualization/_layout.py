"""Where the panels go: of an overview, and of a comparison of methods."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from matplotlib.axes import Axes

from captum_ssgc.visualization._panels import (
    DPI,
    FOOTER,
    GAP,
    MARGIN,
    TITLE,
    WIDTH,
    extent_of,
)
from captum_ssgc.visualization._picture import figure_of

_COMFORTABLE_HEIGHT = 880
_SMALLEST_CELL, _LARGEST_CELL, _MOST_COLUMNS = 180, 760, 8
_MANY = 12
_SMALL_GAP, _BLOCK_GAP, _SMALLEST_ROOM = 8, 26, 100
_SMALLEST_SMALL_CELL, _LARGEST_SMALL_CELL = 150, 420
_TALLEST, _WIDEST = 0.7, 1.8


class Room(NamedTuple):
    """What all panels together may take, in pixels at 100 dots per inch.

    ``height`` is exceeded where panels would get too small to be read, if the reader can scroll:
    if it ``grows``.
    """

    width: float
    height: float
    grows: bool


SCREEN = Room(WIDTH - 2 * MARGIN, _COMFORTABLE_HEIGHT, grows=True)


def room_in(ax: Axes | None, above: float) -> Room:
    """Between ``above`` and the legend in the rectangle of ``ax``; without it, on a screen."""
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
            f"pixels at {DPI} per inch; make the figure larger, or give it to this picture alone."
        )
    return Room(width, height, grows=False)


def cell_aspect(aspect: float) -> float:
    """Width over height of a panel, for an image of ``aspect``; parts of panoramas are shown."""
    return min(max(aspect, _TALLEST), _WIDEST)


@dataclass(frozen=True)
class Layout:
    """One large image, heat maps beside and below it.

    Cells are of equal size; the image covers the first ``span`` columns, and as many rows as it
    needs. All lengths are pixels, and places count from the top left corner of the panel area.
    """

    count: int
    columns: int
    span: int
    cell_width: float
    aspect: float

    @property
    def cell_height(self) -> float:
        return self.cell_width / cell_aspect(self.aspect)

    @property
    def image_size(self) -> tuple[float, float]:
        """Width and height of the large image."""
        width = self.span * (self.cell_width + GAP) - GAP
        tallest = max(_COMFORTABLE_HEIGHT, self.cell_height)
        height = min(width / self.aspect, tallest)
        return height * self.aspect, height

    @property
    def beside(self) -> int:
        """Rows of cells beside the large image."""
        step = self.cell_height + TITLE + GAP
        return max(round((self.image_size[1] + TITLE + GAP) / step), 1)

    @property
    def rows(self) -> int:
        """Rows of cells, those beside the large image included."""
        rest = self.count - (self.columns - self.span) * self.beside
        return self.beside + math.ceil(max(rest, 0) / self.columns)

    @property
    def width(self) -> float:
        return max(self.columns * (self.cell_width + GAP) - GAP, self.image_size[0])

    @property
    def height(self) -> float:
        return self._top(self.rows) - GAP

    def _top(self, row: int) -> float:
        """Upper end of a row, its title included."""
        step = TITLE + self.cell_height + GAP
        if row < self.beside:
            return row * step
        below = max(self.image_size[1] + TITLE + GAP, self.beside * step)
        return below + (row - self.beside) * step

    def place(self, number: int) -> tuple[float, float]:
        """Left and top of heat map ``number``, its title not included."""
        columns = self.columns - self.span
        if number < columns * self.beside:
            row, column = divmod(number, columns)
            column += self.span
        else:
            row, column = divmod(number - columns * self.beside, self.columns)
            row += self.beside
        return column * (self.cell_width + GAP), self._top(row) + TITLE

    @property
    def empty(self) -> int:
        """Cells that nothing is in."""
        return self.beside * (self.columns - self.span) + (
            (self.rows - self.beside) * self.columns - self.count
        )


def best_layout(count: int, aspect: float, room: Room = SCREEN) -> Layout:
    """The layout with the largest panels, given that one should not have to scroll.

    Args:
        count: number of heat maps.
        aspect: width of the image divided by its height.
        room: for all panels.
    """
    wanted = room.width * (0.3 if count <= _MANY else 0.55)
    options = []
    for columns in range(1, _MOST_COLUMNS + 1):
        for span in range(1, columns + 1):

            def layout(width: float, columns: int = columns, span: int = span) -> Layout:
                return Layout(count, columns, span, width, aspect)

            widest = min((room.width + GAP) / columns - GAP, _LARGEST_CELL)
            smallest = min(_SMALLEST_CELL, widest) if room.grows else 1.0
            chosen = layout(_largest(lambda w: layout(w).height, widest, smallest, room.height))
            visible = min(1.0, room.height / chosen.height)
            image = min(chosen.image_size[0], chosen.image_size[1] * 1.33)
            value = chosen.cell_width * visible * min(image / wanted, 1.0)
            options.append((value * (1 - 0.1 * min(chosen.empty, 5)), -columns, chosen))
    return max(options, key=lambda option: option[:2])[2]


def _largest(
    height_of: Callable[[float], float], widest: float, smallest: float, room: float
) -> float:
    """The largest width of a cell with which everything fits, but at least ``smallest``."""
    low, high = smallest, max(widest, smallest)
    if height_of(high) <= room:
        return high
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if height_of(middle) <= room else (low, middle)
    return low


class Blocks(NamedTuple):
    """Detections one below the other, in as many blocks side by side as use the space best.

    Many panels of a detection stand on several lines, each with room for titles above it.
    """

    side_by_side: int
    rows: int
    columns: int
    cell_width: float
    cell_height: float
    lines: int = 1

    @property
    def panels_per_line(self) -> int:
        return math.ceil(self.columns / self.lines)

    @property
    def block_width(self) -> float:
        return self.panels_per_line * (self.cell_width + _SMALL_GAP) - _SMALL_GAP

    @property
    def width(self) -> float:
        return self.side_by_side * (self.block_width + _BLOCK_GAP) - _BLOCK_GAP

    @property
    def line_height(self) -> float:
        """From one line to the next."""
        return self.cell_height + _SMALL_GAP + (TITLE if self.lines > 1 else 0)

    @property
    def height(self) -> float:
        return (self.rows * self.lines - 1) * self.line_height + self.cell_height

    def is_titled(self, number: int) -> bool:
        """Whether the panels of detection ``number`` need titles of their own."""
        return self.lines > 1 or number % self.rows == 0

    def place(self, number: int, column: int) -> tuple[float, float]:
        """Left and top of a panel of detection ``number``."""
        block, row = divmod(number, self.rows)
        line, column = divmod(column, self.panels_per_line)
        left = block * (self.block_width + _BLOCK_GAP) + column * (self.cell_width + _SMALL_GAP)
        return left, (row * self.lines + line) * self.line_height


def best_blocks(columns: int, detections: int, aspect: float, room: Room = SCREEN) -> Blocks:
    """The blocks with the largest panels, given that one should not have to scroll.

    Args:
        columns: panels of one detection.
        detections: their number.
        aspect: width of the image divided by its height.
        room: for all panels.
    """
    shape = cell_aspect(aspect)
    narrowest = _SMALLEST_SMALL_CELL
    smallest = narrowest * min(shape, 1.33) if room.grows else 1.0
    lines = 1
    if room.grows:  # nobody scrolls to the side, and what is smaller cannot be read
        while lines < columns and _widest(room, math.ceil(columns / lines), 1) < narrowest:
            lines += 1
    on_a_line = math.ceil(columns / lines)
    options = []
    for wanted in range(1, detections + 1):
        rows = math.ceil(detections / wanted)
        count = math.ceil(detections / rows)
        widest = _widest(room, on_a_line, count)
        titles = TITLE if lines > 1 else 0
        fits = (room.height / (rows * lines) - _SMALL_GAP - titles) * shape
        if count > 1 and widest < smallest:
            continue
        width = max(min(widest, max(fits, smallest), _LARGEST_SMALL_CELL), 1.0)
        blocks = Blocks(count, rows, columns, width, width / shape, lines)
        visible = min(1.0, room.height / blocks.height)
        options.append((width * visible, -count, blocks))
    return max(options, key=lambda option: option[:2])[2]


def _widest(room: Room, columns: int, blocks: int) -> float:
    """The widest cell with which so many columns in so many blocks fit side by side."""
    gaps = blocks * (columns - 1) * _SMALL_GAP + (blocks - 1) * _BLOCK_GAP
    return (room.width - gaps) / (blocks * columns)
