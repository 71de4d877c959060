"""Panels at exact pixel positions: what is read at 100% should not depend on a layout solver."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from captum_ssgc.visualization._blend import COLOR_MAP, DARKEST
from captum_ssgc.visualization._letters import families, legible
from captum_ssgc.visualization._marks import CASING, INK, QUIET, shortened
from captum_ssgc.visualization._picture import Picture, figure_of
from captum_ssgc.visualization._views import Bytes, View

DPI, WIDTH = 100, 1600
MARGIN, GAP, TITLE, HEADER, FOOTER = 16, 14, 24, 30, 30
NARROWEST = 460
_HIGHEST = 2**16 - 1
_TEXT, _SMALL, _NOTE = 10.5, 9.0, 7.5


class Sheet:
    """A figure, or the rectangle of some axes, measured in pixels from its top left corner.

    Args:
        width: in pixels at 100 dots per inch.
        height: the same.
        ax: axes that give their place to the picture; ``None`` makes a figure.
        pixels: the least width of a figure in pixels; a narrower one gets more dots per inch.
    """

    def __init__(
        self, width: float, height: float, ax: Axes | None = None, pixels: int = WIDTH
    ) -> None:
        self.width, self.height = round(width), round(height)
        self._ax = ax
        self.figure: Figure
        if ax is None:
            scale = max(pixels / self.width, 1.0)
            pixels_high = round(self.height * scale)
            if pixels_high > _HIGHEST:
                raise ValueError(
                    f"expected fewer panels: the picture would be {pixels_high:,} pixels high, and "
                    f"matplotlib draws {_HIGHEST:,}; draw the detections in parts."
                )
            self.figure = Picture(self.width * scale, self.height * scale, DPI * scale)
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
        line = legible(text)
        style: dict[str, Any] = {
            "ha": "right" if right else "left",
            "va": "center_baseline",
            "fontsize": _SMALL if quiet else _TEXT,
            "color": QUIET if quiet else INK,
            "fontweight": "normal" if quiet else "bold",
            **lettering(line),
        }
        place = self._fractions(left, top)
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


def extent_of(ax: Axes) -> tuple[float, float]:
    """Width and height in pixels at 100 dots per inch."""
    extent, unit = ax.get_window_extent(), figure_of(ax).dpi / DPI
    return extent.width / unit, extent.height / unit


def pixels_of(ax: Axes) -> tuple[float, float]:
    """Height and width in pixels of the figure."""
    extent = ax.get_window_extent()
    return max(extent.height, 1.0), max(extent.width, 1.0)


def lettering(line: str) -> dict[str, Any]:
    """What makes matplotlib write a :func:`legible` line as it is, whatever it is set to."""
    return {"fontfamily": families(line), "parse_math": False, "usetex": False}


def fit_text(written: Text, room: float) -> None:
    """Cut a text until it is at most ``room`` pixels wide."""
    content = written.get_text()
    length = len(content)
    while length > 1 and (width := written.get_window_extent().width) > room:
        length = max(min(length - 1, int(length * room / width)), 1)
        written.set_text(shortened(content, length))


def show_pixels(ax: Axes, pixels: Bytes, view: View) -> None:
    """Draw pixels so that data coordinates are box coordinates: pixel (0, 0) is [0, 1] x [0, 1].

    Args:
        ax: where to draw.
        pixels: ``(h, w, 3)``.
        view: which part of the image they show.
    """
    extent = (view.left, view.right, view.bottom, view.top)
    ax.imshow(pixels, extent=extent, aspect="equal")
    ax.set_xlim(view.left, view.right)
    ax.set_ylim(view.bottom, view.top)


def panel_title(ax: Axes, left: str, right: str = "") -> None:
    """The label at the left and the score at the right, above the panel.

    Above a picture that is much narrower than its panel one follows the other, into free space.
    """
    room = ax.get_window_extent().width
    ax.apply_aspect()
    drawn = ax.get_window_extent().width
    if drawn < room / 3:
        left, right, room = f"{left} {right}".rstrip(), "", (room + drawn) / 2
    style: dict[str, Any] = {"fontsize": _TEXT, "pad": 6}
    if right:
        number = ax.set_title(right, loc="right", **style, **lettering(right))
        number.set_color(INK)
        room -= number.get_window_extent().width + 8
    line = legible(left)
    title = ax.set_title(line, loc="left", fontweight="bold", **style, **lettering(line))
    title.set_color(INK)
    fit_text(title, room)


def note(ax: Axes, text: str, *, at_top: bool = False) -> None:
    """A short remark inside a panel, in a corner of its left."""
    line = legible(text)
    written = ax.annotate(
        line,
        (0, float(at_top)),
        (4, -4 if at_top else 4),
        xycoords="axes fraction",
        textcoords="offset points",
        va="top" if at_top else "bottom",
        fontsize=_NOTE,
        color="white",
        bbox={"boxstyle": "square,pad=0.25", "fc": CASING, "ec": "none", "alpha": 0.72},
        zorder=6,
        **lettering(line),
    )
    fit_text(written, ax.get_window_extent().width - 16)
