"""The picture of an image's Deletion and Insertion curves, with what the detector was shown."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from captum_ssgc.cli.map_quality import MapQuality
from captum_ssgc.composites import Composite, composite_of
from captum_ssgc.metrics import (
    Curves,
    CurveSettings,
    Preset,
    deletion_images,
    insertion_images,
    preset_named,
)
from captum_ssgc.visualization import Picture, curves, legible, plain_style, shortened

_SHOWN_AT = (0.1, 0.3, 0.6)
_LONGEST_NAME, _LONGEST_LABEL = 50, 30


def quality_figure(
    name: str, quality: MapQuality, preset: str, composite: Composite | None = None
) -> Figure:
    """Both curves with the preset's score: means over the detections, one line for each method.

    The images above them are those of the first detection and the first method.

    Args:
        name: of the image.
        quality: what was measured of its maps.
        preset: the name of the settings that were measured.
        composite: what is shown of an image that is not RGB.
    """
    count, first = len(quality.rows), quality.rows[0][0]
    mean = f"mean of {count} detections" if count > 1 else "1 detection"
    images = f"images: {shortened(first['label'], _LONGEST_LABEL)}, {first['method']}"
    _, shown = composite_of(quality.image[0].cpu().numpy(), composite)
    images += f", {shown}" if shown else ""
    title = f"{shortened(name, _LONGEST_NAME)} · {mean} · {images}"
    with plain_style():
        figure = Picture(1600, 750, dpi=139)
        figure.set_layout_engine("constrained")
        figure.suptitle(legible(title), x=0.01, ha="left", fontweight="bold", parse_math=False)
        left, right = figure.subplots(1, 2)
        _draw(left, quality, preset_named(preset), composite, deletes=True)
        _draw(right, quality, preset_named(preset), composite, deletes=False)
    return figure


def _draw(
    ax: Axes, quality: MapQuality, preset: Preset, composite: Composite | None, *, deletes: bool
) -> None:
    settings = preset.deletion if deletes else preset.insertion
    measured = {
        name: (both.deletion if deletes else both.insertion)[settings.score]
        for name, both in quality.curves.items()
    }
    means = {name: _mean(one) for name, one in measured.items() if bool(_known(one).any())}
    title, better = ("Deletion", "lower") if deletes else ("Insertion", "higher")
    title = f"{title} ({settings.score}, {better} is better)"
    if not means:
        ax.set_axis_off()
        ax.set_title(title, loc="left", fontweight="bold")
        ax.text(0.0, 0.9, "no curve: the score to divide by is 0")
        return
    fractions = next(iter(measured.values())).fractions.cpu()
    steps = [round(settings.steps * share) for share in _SHOWN_AT]
    images = [
        composite_of(one.cpu().numpy(), composite)[0]
        for one in _images(quality, settings, steps, deletes)
    ]
    curves(
        fractions,
        means,
        ax=ax,
        thumbnails=list(zip(fractions[steps].tolist(), images)),
        title=title,
        x_label=f"share of the {settings.budget}'s pixels {'removed' if deletes else 'added'}",
        y_label="share of the initial score" if settings.normalize else "score",
    )


def _images(
    quality: MapQuality, settings: CurveSettings, steps: list[int], deletes: bool
) -> Tensor:
    images_at = deletion_images if deletes else insertion_images
    maps = next(iter(quality.maps.values()))
    return images_at(quality.image, quality.detections[:1], maps[:1], settings, steps)[0]


def _known(measured: Curves) -> Tensor:
    """``(K,)`` bool: the curves that could be divided by their initial score."""
    return measured.scores.isfinite().all(1)


def _mean(measured: Curves) -> Tensor:
    return torch.mean(measured.scores[_known(measured)], 0).cpu()
