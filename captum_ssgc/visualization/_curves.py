"""Deletion and insertion curves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import BboxTransformTo, ScaledTranslation, blended_transform_factory

from captum_ssgc.visualization._arrays import Array, as_array, image_array
from captum_ssgc.visualization._letters import families, legible
from captum_ssgc.visualization._marks import INK, QUIET
from captum_ssgc.visualization._method_colors import line_styles
from captum_ssgc.visualization._panels import (
    MARGIN,
    Sheet,
    lettering,
    pixels_of,
    show_pixels,
)
from captum_ssgc.visualization._picture import figure_of, plainly
from captum_ssgc.visualization._views import Photo, whole

# The strip of images, in shares of the height that the axes have when they are drawn.
_THUMBNAIL_HEIGHT, _THUMBNAIL_LIFT = 0.24, 0.045


@plainly
def curves(
    fractions: Any,
    scores: Mapping[str, Any],
    *,
    floors: Collection[str] = (),
    ax: Axes | None = None,
    areas: Mapping[str, float] | None = None,
    thumbnails: Sequence[tuple[float, Any]] = (),
    title: str | None = None,
    x_label: str = "share of pixels removed",
    y_label: str = "score",
) -> Figure:
    """Draw deletion or insertion curves, one for each method, in its own colour.

    Args:
        fractions: ``(S,)`` shares of changed pixels, rising, in [0, 1].
        scores: for each label the scores ``(S,)`` at these fractions.
        floors: labels of the curves that no method should lose to; they are grey and dashed.
        ax: where to draw; ``None`` for a new figure.
        areas: for each label the area under the curve, for the legend; ``None``: by the
            trapezoidal rule, divided by the range of ``fractions``.
        thumbnails: pairs of a fraction and the image at that step, ``(3, H, W)`` in [0, 1],
            shown in a strip above the curves.
        title: above everything.
        x_label: what the fractions are.
        y_label: what the scores are.

    Returns:
        The figure.

    Raises:
        ValueError: if there is no curve, or for shapes or values that do not fit.

    Example:
        >>> from captum_ssgc.visualization import curves
        >>> figure = curves([0.0, 0.5, 1.0], {"random": [0.9, 0.6, 0.1], "map": [0.9, 0.2, 0.1]})
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['random  0.550', 'map  0.350']
    """
    steps = _fractions(fractions)
    lines = _lines(scores, steps)
    if areas is None:
        areas = {label: _area(steps, line) for label, line in lines.items()}
    if set(areas) != set(lines):
        raise ValueError(f"areas: expected the labels {list(lines)}, got {list(areas)}.")
    unknown = [label for label in floors if label not in lines]
    if unknown:
        raise ValueError(f"floors: expected some of the labels {list(lines)}, got {unknown[0]!r}.")
    styles = line_styles(lines, floors)
    if ax is None:
        ax = _new_axes(bool(thumbnails), bool(title))
    for label, values in lines.items():
        ax.plot(
            steps,
            values,
            **styles[label],
            linewidth=2.0,
            marker="o" if len(steps) <= 25 and label not in floors else None,
            markersize=3.5,
            label=f"{_legible(label)}  {areas[label]:.3f}",
            clip_on=False,
            zorder=3,
        )
    _dress(ax, steps, lines, x_label, y_label)
    legend = ax.legend(
        title="area under the curve",
        fontsize=9,
        title_fontsize=9,
        facecolor="white",
        edgecolor="none",
        framealpha=0.9,
    )
    legend.get_title().set_color(QUIET)
    for text in legend.get_texts():
        text.set_fontfamily(families(text.get_text()))
    inches = ax.get_window_extent().height / ax.figure.dpi
    if thumbnails:
        _strip(ax, steps, thumbnails, inches)
    if title:
        lift = _THUMBNAIL_HEIGHT + 2 * _THUMBNAIL_LIFT if thumbnails else 0.025
        line = legible(title)
        style: dict[str, Any] = {
            "color": INK,
            "fontsize": 11,
            "fontweight": "bold",
            **lettering(line),
        }
        ax.set_title(line, loc="left", y=1.0, pad=lift * inches * 72, **style)
    return figure_of(ax)


def _new_axes(thumbnails: bool, title: bool) -> Axes:
    width, height = 640.0, 360.0
    strip = (_THUMBNAIL_HEIGHT + 1.5 * _THUMBNAIL_LIFT) * height if thumbnails else 0.0
    above = MARGIN + strip + (28 if title else 0)
    sheet = Sheet(66 + width + 24, above + height + 58, pixels=0)
    ax = sheet.panel(66, above, width, height)
    ax.set_axis_on()
    return ax


def _legible(label: str) -> str:
    """``label`` so that the legend shows it: matplotlib hides those that begin with ``_``."""
    label = legible(label).replace("$", r"\$")
    return f"\u200b{label}" if label.startswith("_") else label


def _fractions(fractions: Any) -> Array:
    steps = as_array(fractions).astype(np.float64)
    if steps.ndim != 1 or len(steps) < 2 or not np.isfinite(steps).all():
        raise ValueError(
            f"fractions: expected at least two finite numbers (S,), got shape {steps.shape}."
        )
    if steps.min() < 0.0 or steps.max() > 1.0 or not (np.diff(steps) > 0).all():
        raise ValueError("fractions: expected rising values in [0, 1].")
    return steps


def _lines(scores: Mapping[str, Any], steps: Array) -> dict[str, Array]:
    lines: dict[str, Array] = {
        str(label): as_array(values).astype(np.float64) for label, values in scores.items()
    }
    if not lines:
        raise ValueError("scores: expected at least one curve, got none.")
    for label, line in lines.items():
        if line.shape != steps.shape:
            raise ValueError(
                f"scores[{label!r}]: expected {len(steps)} numbers, one for each fraction, got "
                f"shape {line.shape}."
            )
        if not np.isfinite(line).all():
            raise ValueError(
                f"scores[{label!r}]: expected finite numbers, got NaN or infinity; leave out "
                "curves that are not valid."
            )
    return lines


def _area(steps: Array, line: Array) -> float:
    return float(((line[1:] + line[:-1]) / 2 * np.diff(steps)).sum() / (steps[-1] - steps[0]))


def _dress(ax: Axes, steps: Array, lines: Mapping[str, Array], x_label: str, y_label: str) -> None:
    highest = max(float(line.max()) for line in lines.values())
    lowest = min(float(line.min()) for line in lines.values())
    ax.set_xlim(float(steps[0]), float(steps[-1]))
    ax.set_ylim(min(lowest, 0.0), max(highest * 1.02, 1e-3) if highest > 0 else None)
    ax.set_xlabel(x_label, color=INK)
    ax.set_ylabel(y_label, color=INK)
    ax.grid(color="#E3E7EC", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(colors=QUIET, length=0, pad=6)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color("#C4CBD4")


def _strip(ax: Axes, steps: Array, thumbnails: Sequence[tuple[float, Any]], inches: float) -> None:
    """Small images above the axes, each joined to its fraction by a thin line.

    They keep their height in inches when a layout engine moves the axes, as it reckons with what
    it has measured before.
    """
    above = ax.figure.dpi_scale_trans + ScaledTranslation(0.0, 1.0, BboxTransformTo(ax.bbox))
    place_of = blended_transform_factory(ax.transAxes, above)
    lift, height = _THUMBNAIL_LIFT * inches, _THUMBNAIL_HEIGHT * inches
    span = float(steps[-1] - steps[0])
    width = min(0.96 / len(thumbnails), 0.3)
    centres = (np.arange(len(thumbnails)) + 0.5) / len(thumbnails)
    for centre, (fraction, image) in zip(centres, thumbnails):
        bounds = (centre - width / 2, lift, width, height)
        inset = ax.inset_axes(bounds, transform=place_of)
        inset.set_axis_off()
        photo = Photo(image_array(image))
        everything = whole(photo.size)
        show_pixels(inset, photo.plain(everything, pixels_of(inset)), everything)
        place = (float(fraction) - float(steps[0])) / span
        ax.plot(
            [place, centre],
            [0.0, lift],
            transform=place_of,
            color="#9AA5B1",
            linewidth=0.9,
            clip_on=False,
        )
        ax.axvline(float(fraction), color="#9AA5B1", linewidth=0.9, linestyle=(0, (2, 3)), zorder=1)
