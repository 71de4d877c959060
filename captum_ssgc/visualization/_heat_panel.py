"""One heat map in a panel, with what a reader must know of what it does not show."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes

from captum_ssgc.visualization._arrays import Array
from captum_ssgc.visualization._blend import Look
from captum_ssgc.visualization._marks import CASING
from captum_ssgc.visualization._panels import lettering, note, pixels_of, show_pixels
from captum_ssgc.visualization._views import Photo, View

_WORTH_SAYING = 0.2
_TEXT = 8.5


def draw_heat_map(
    ax: Axes, photo: Photo, heat: Array, look: Look, view: View, why_empty: str = ""
) -> None:
    """Draw a map ``(H, W)`` over a view of its photo, at the resolution of the axes.

    Args:
        ax: where to draw.
        photo: of the map's size.
        heat: as a user sees it.
        look: how it is coloured.
        view: the part that is shown.
        why_empty: what to say of a map that shows nothing, where the caller knows better.
    """
    show_pixels(ax, photo.warm(view, pixels_of(ax), heat, look), view)
    reason = _emptiness(heat, look)
    if reason:
        _write_across(ax, why_empty or reason)
        return
    floor, _ = look.scale(heat)
    outside = sum(_above(part, floor) for part in view.around(heat))
    total = outside + _above(view.of(heat), floor)
    if outside > _WORTH_SAYING * total:
        note(ax, f"{outside / total:.0%} of the map is outside", at_top=True)


def _above(heat: Array, floor: float) -> float:
    """The energy above ``floor``."""
    counted = heat > floor
    return float(heat.sum(where=counted, dtype=np.float64)) - floor * int(counted.sum())


def _emptiness(heat: Array, look: Look) -> str:
    """Why a map has no colour; empty if it has some."""
    lowest, highest = float(heat.min()), float(heat.max())
    if highest > look.scale(heat)[0]:
        return ""
    if lowest == highest:
        return "empty map: 0 everywhere" if highest == 0.0 else "flat map: one value everywhere"
    floor = "0" if highest <= 0.0 else "the floor"
    return f"empty map: no value above {floor}"


def _write_across(ax: Axes, text: str) -> None:
    """A remark in the middle of a panel, on as many lines as it needs."""
    room = pixels_of(ax)[1] / ax.figure.dpi * 72
    lines = textwrap.fill(" ".join(text.split()), max(int(room / (0.62 * _TEXT)) - 2, 8))
    ax.text(
        0.5,
        0.5,
        lines,
        transform=ax.transAxes,
        ha="center",
        va="center",
        fontsize=_TEXT,
        color="white",
        bbox={"boxstyle": "square,pad=0.4", "fc": CASING, "ec": "none", "alpha": 0.72},
        zorder=6,
        **lettering(lines),
    )
