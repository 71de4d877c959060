"""Panels at exact pixel positions: what is read at 100% should not depend on a layout solver."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from captum_ssgc.visualization._arrays import Array
from captum_ssgc.visualization._blend import COLOR_MAP, DARKEST
from captum_ssgc.visualization._marks import INK, QUIET, shortened

DPI = 100
MARGIN, GAP, TITLE, HEADER, FOOTER = 16, 14, 24, 30, 30
NARROWEST = 460
_TEXT, _SMALL = 10.5, 9.0


class Sheet:
    """A figure, or the rectangle of some axes, measured in pixels from its top left corner.

    Args:
        width: in pixels at 100 dots per inch.
        height: the same.
        ax: axes that give their place to the picture; ``None`` makes a figure that pyplot does not
            know of, so that there is nothing to close.
    """

    def __init__(self, width: float, height: float, ax: Axes | None = None) -> None:
        self.width, self.height = round(width), round(height)
        self._ax = ax
        if ax is None:
            size = (self.width / DPI, self.height / DPI)
            self.figure = Figure(figsize=size, dpi=DPI, facecolor="white")
        else:
            ax.set_axis_off()
            self.figure = figure_of(ax)
        self._whole = (self.width, self.height) if ax is None else extent_of(ax)

    def panel(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes without ticks or frame."""
        place = (
            *self._fractions(left, top + height),
            width / self._whole[0],
            height / self._whole[1],
        )
        ax = self.figure.add_axes(place) if self._ax is None else self._ax.inset_axes(place)
        ax.set_axis_off()
        return ax

    def text(
        self,
        left: float,
        top: float,
        text: str,
        *,
        room: float,
        right: bool = False,
        quiet: bool = False,
    ) -> None:
        """One line whose middle is at ``top``; ``left`` is its right end if ``right``."""
        style: dict[str, Any] = {
            "ha": "right" if right else "left",
            "va": "center_baseline",
            "fontsize": _SMALL if quiet else _TEXT,
            "color": QUIET if quiet else INK,
            "fontweight": "normal" if quiet else "bold",
            "parse_math": False,
        }
        place, line = self._fractions(left, top), " ".join(text.split())
        if self._ax is None:
            written = self.figure.text(*place, line, **style)
        else:
            written = self._ax.text(*place, line, transform=self._ax.transAxes, **style)
        fit_text(written, room * self.figure.dpi / DPI)

    def _fractions(self, left: float, top: float) -> tuple[float, float]:
        """A point of the sheet as the figure, or the axes, count: from the bottom left, to 1."""
        return left / self._whole[0], 1.0 - top / self._whole[1]

    def header(self, title: str) -> None:
        """A line over all panels."""
        self.text(MARGIN, MARGIN + 6, title, room=self.width - 2 * MARGIN)

    def legend(self, remark: str) -> None:
        """The colour scale and a remark, below all panels."""
        middle = self.height - MARGIN
        ax = self.panel(MARGIN + 31, middle - 5, 96, 10)
        ramp = [[DARKEST + (1 - DARKEST) * step / 95 for step in range(96)]]
        ax.imshow(ramp, cmap=COLOR_MAP, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        self.text(MARGIN, middle, "low", room=40, quiet=True)
        self.text(MARGIN + 134, middle, "high influence", room=120, quiet=True)
        room = self.width - 2 * MARGIN - 260
        if room >= 60:
            self.text(self.width - MARGIN, middle, remark, room=room, right=True, quiet=True)


def figure_of(ax: Axes) -> Figure:
    """The whole figure that ``ax`` belongs to.

    Raises:
        ValueError: if it has been removed from its figure.
    """
    figure = ax.figure
    if figure is None:
        raise ValueError("ax: expected axes of a figure, got axes that were removed from theirs.")
    return figure.figure  # that of a subfigure is the whole one, which is its own


def extent_of(ax: Axes) -> tuple[float, float]:
    """Width and height in pixels at 100 dots per inch."""
    extent, unit = ax.get_window_extent(), figure_of(ax).dpi / DPI
    return extent.width / unit, extent.height / unit


def fit_text(written: Text, room: float) -> None:
    """Cut a text until it is at most ``room`` pixels wide."""
    content = written.get_text()
    length = len(content)
    while length > 1 and (width := written.get_window_extent().width) > room:
        length = max(min(length - 1, int(length * room / width)), 1)
        written.set_text(shortened(content, length))


def show_pixels(ax: Axes, pixels: Array, size: tuple[int, int] | None = None) -> None:
    """Draw pixels so that data coordinates are box coordinates: pixel (0, 0) is [0, 1] x [0, 1].

    Args:
        ax: where to draw.
        pixels: ``(h, w, 3)``.
        size: ``(H, W)`` of the image, where ``pixels`` are fewer than it has.
    """
    height, width = pixels.shape[:2] if size is None else size
    ax.imshow(pixels, extent=(0, width, height, 0), interpolation="antialiased", aspect="equal")
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)


def panel_title(ax: Axes, left: str, right: str = "") -> None:
    """The label at the left and the score at the right, above the panel."""
    room = ax.get_window_extent().width
    style: dict[str, Any] = {"fontsize": _TEXT, "pad": 6, "parse_math": False}
    if right:
        number = ax.set_title(right, loc="right", **style)
        number.set_color(INK)
        room -= number.get_window_extent().width + 8
    title = ax.set_title(" ".join(left.split()), loc="left", fontweight="bold", **style)
    title.set_color(INK)
    fit_text(title, room)
