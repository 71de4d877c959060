"""Where the panels go: of an overview, and of a comparison of methods."""

from __future__ import annotations

import math
from typing import NamedTuple

from captum_ssgc.visualization._panels import GAP, LARGEST_WIDTH, MARGIN, TITLE

_COMFORTABLE_HEIGHT, _SMALLEST_CELL, _LARGEST_CELL = 780, 200, 650
_SMALL_GAP, _BLOCK_GAP = 8, 26
_SMALLEST_SMALL_CELL, _LARGEST_SMALL_CELL = 150, 330


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


def best_layout(count: int, aspect: float) -> Layout:
    """The layout with the largest panels, given that one should not have to scroll.

    Args:
        count: number of heat maps.
        aspect: width of the image divided by its height.
    """
    best: tuple[float, Layout] | None = None
    for columns in range(2 if count == 1 else 3, 7):
        layout = _layout(count, columns, aspect)
        empty = layout.columns * layout.rows - layout.span**2 - count
        visible = min(1.0, 1.05 * _COMFORTABLE_HEIGHT / layout.height)
        value = layout.cell_width * visible * (1 - 0.1 * empty)
        if best is None or value > best[0]:
            best = value, layout
        if layout.rows == layout.span:
            break
    assert best is not None
    return best[1]


def _layout(count: int, columns: int, aspect: float) -> Layout:
    span = 1 if count == 1 else 2
    rows = span + math.ceil(max(count - (columns - span) * span, 0) / columns)
    extra = (span - 1) * max((TITLE + GAP) * aspect, GAP)
    widest = (LARGEST_WIDTH - 2 * MARGIN - extra - (columns - span) * GAP) / columns
    fits = (_COMFORTABLE_HEIGHT / rows - TITLE - GAP) * aspect
    width = min(widest, max(fits, min(_SMALLEST_CELL, _SMALLEST_CELL * aspect)), _LARGEST_CELL)
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


def best_blocks(columns: int, detections: int, aspect: float) -> Blocks:
    """The blocks with the largest panels, given that one should not have to scroll.

    Args:
        columns: panels of one detection.
        detections: their number.
        aspect: width of the image divided by its height.
    """
    options = []
    for wanted in range(1, detections + 1):
        rows = math.ceil(detections / wanted)
        count = math.ceil(detections / rows)
        gaps = count * (columns - 1) * _SMALL_GAP + (count - 1) * _BLOCK_GAP
        widest = (LARGEST_WIDTH - 2 * MARGIN - gaps) / (count * columns)
        fits = (_COMFORTABLE_HEIGHT / rows - _SMALL_GAP) * aspect
        side = max(min(aspect, 1.33), 0.8)
        width = min(widest, max(fits, _SMALLEST_SMALL_CELL * side), _LARGEST_SMALL_CELL * side)
        blocks = Blocks(count, rows, columns, width, width / aspect)
        visible = min(1.0, _COMFORTABLE_HEIGHT / blocks.height)
        options.append((width * visible, -count, blocks))
    return max(options, key=lambda option: option[:2])[2]
