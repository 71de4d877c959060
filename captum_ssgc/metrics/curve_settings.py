"""What Deletion and Insertion leave open, in named slots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from captum_ssgc._arguments import (
    check_choice,
    check_number,
    check_share,
    shown,
)

Score = Literal["s1", "s2"]
Baseline = str | float | Sequence[float] | npt.NDArray[Any] | Tensor
BASELINES = ("zero", "mean", "blur", "noise")


@dataclass(frozen=True, eq=False)
class CurveSettings:
    """How a Deletion or Insertion curve is measured.

    Args:
        score: what is read off the changed image, for a detection of class ``c`` in box ``B_t``
            with class scores ``P_t``:

            * ``"s1"``: the score of class ``c`` for this detection;
            * ``"s2"``: the largest ``IoU(B_t, B_j) * cos(P_t, P_j)`` over the detector's candidates
              ``j`` that ``s2`` names; 0 where there is none.
        match: which candidate of the changed image s1 belongs to: ``"candidate"``, the same one
            (region, anchor or query) whatever has become of its box; ``"iou"``, the one with the
            highest score of class ``c`` among those above ``score_threshold`` whose IoU with
            ``B_t`` is at least ``iou_threshold``, 0 where there is none. s2 always looks at all.
        s2: which candidates and boxes the score ``"s2"`` looks at: ``"above_threshold"``, every
            candidate and class with a score above ``score_threshold``; ``"own_class"``, every
            candidate, with its box for class ``c``, clipped to the image, and with the background
            (or "no object") among the class scores of the cosine.
        steps: number ``S`` of equal steps; the curve has ``S + 1`` points.
        baseline: what a removed pixel becomes, in all channels: ``"zero"`` (black), ``"mean"`` (the
            image's mean colour), ``"blur"``, ``"noise"`` (uniform in [0, 1], one draw per image), a
            number or a colour ``(r, g, b)`` in [0, 1], or a tensor that broadcasts to
            ``(N, 3, H, W)``.
        budget: how many pixels are removed or added by the last step: ``"image"``, all; ``"box"``,
            as many as the detection's box has, wherever in the image the map wants them.
        patches: what turns at once: ``None``, a pixel; a whole number ``n``, one of ``n x n`` equal
            patches of the image, in the falling order of the map's mean over them; ``"by_box"``,
            the same with ``n`` 24 for a box of at most 1 % of the image, 16 for one of at most
            20 %, and 8 for a larger one.
        resolution: of the pixels that turn: ``"image"``, those of the image, which the detector
            then resizes; ``"network"``, those that the network sees: image, boxes and maps are
            resized first, bilinearly.
        ties: which of several pixels of the same value goes first: ``"random"``, in one random
            order for all maps; ``"reading"``, from the top left, row by row. A map that is cut off
            at zero leaves most of its pixels tied, and it matters: see *Notes* of
            :func:`captum_ssgc.metrics.deletion`.
        normalize: divide by the score on the unchanged image.
        iou_threshold: for ``match="iou"``.
        score_threshold: for s2 and ``match="iou"``: candidates at or below it do not count. They
            are those before non-maximum suppression
            (:meth:`captum_ssgc.Detector.candidates_above`), whatever threshold the detector has.
        blur_sigma: standard deviation of the Gaussian of ``"blur"``, in pixels.
        blur_radius: where that Gaussian is cut, in pixels; ``None`` for three times its sigma.

    Raises:
        ValueError: for an unknown name or a number out of range.
        TypeError: for a baseline of an unknown kind.

    Example:
        >>> from dataclasses import replace
        >>> from captum_ssgc.metrics import CurveSettings, preset_named
        >>> CurveSettings(baseline=114 / 255, match="iou").steps
        10
        >>> replace(preset_named("odam").deletion, steps=20).budget
        'box'
    """

    score: Score = "s1"
    match: Literal["candidate", "iou"] = "candidate"
    s2: Literal["above_threshold", "own_class"] = "above_threshold"
    steps: int = 10
    baseline: Baseline = "zero"
    budget: Literal["image", "box"] = "image"
    patches: int | Literal["by_box"] | None = None
    resolution: Literal["image", "network"] = "image"
    ties: Literal["random", "reading"] = "random"
    normalize: bool = False
    iou_threshold: float = 0.5
    score_threshold: float = 0.05
    blur_sigma: float = 5.0
    blur_radius: int | None = None

    def __post_init__(self) -> None:
        check_choice("score", self.score, ("s1", "s2"))
        check_choice("match", self.match, ("candidate", "iou"))
        check_choice("budget", self.budget, ("image", "box"))
        check_choice("s2", self.s2, ("above_threshold", "own_class"))
        check_choice("resolution", self.resolution, ("image", "network"))
        _check_patches(self.patches, self.budget)
        check_choice("ties", self.ties, ("random", "reading"))
        _check_baseline(self.baseline)
        whole = isinstance(self.steps, Integral) and not isinstance(self.steps, bool)
        if not whole or self.steps < 1:
            raise ValueError(f"steps: expected an integer of at least 1, got {shown(self.steps)}.")
        for name in ("iou_threshold", "score_threshold"):
            check_share(name, getattr(self, name))
        check_number("blur_sigma", self.blur_sigma)
        radius = 1 if self.blur_radius is None else self.blur_radius
        whole = isinstance(radius, Integral) and not isinstance(radius, bool)
        if not (0.0 < self.blur_sigma < math.inf and whole and radius >= 1):
            raise ValueError(
                "blur: expected blur_sigma > 0 and blur_radius >= 1, a whole number, got "
                f"{self.blur_sigma} and {shown(self.blur_radius)}."
            )


def _check_patches(patches: Any, budget: str) -> None:
    if patches is None:
        return
    whole = isinstance(patches, Integral) and not isinstance(patches, bool) and int(patches) >= 1
    if not (whole or patches == "by_box"):
        raise ValueError(
            f"patches: expected a number of at least 1, 'by_box' or None, got {shown(patches)}."
        )
    if budget != "image":
        raise ValueError("patches: expected budget='image', as a box is not made of patches.")


def _check_baseline(baseline: object) -> None:
    kinds = "a number, a colour (r, g, b) or a tensor"
    if isinstance(baseline, str):
        check_choice("baseline", baseline, BASELINES, f", {kinds}")
        return
    if isinstance(baseline, bool) or not isinstance(baseline, (Real, Sequence, np.ndarray, Tensor)):
        raise TypeError(f"baseline: expected a name, {kinds}, got {type(baseline).__name__}.")
    values = _numbers(baseline)
    if values is None or not bool(((values >= 0) & (values <= 1)).all()):
        got = shown(baseline) if values is None or values.size <= 3 else _range(values)
        raise ValueError(
            f"baseline: expected values in [0, 1], as in images, got {got}; "
            "divide values from 0 to 255 by 255."
        )


def _numbers(baseline: Any) -> npt.NDArray[Any] | None:
    """``None`` if there is something else among them."""
    if isinstance(baseline, Tensor):
        baseline = baseline.detach().cpu()
        baseline = baseline if baseline.is_complex() else baseline.double()
    try:
        values = np.asarray(baseline)
    except ValueError:  # rows of different lengths
        return None
    return values if values.dtype.kind in "iuf" else None


def _range(values: npt.NDArray[Any]) -> str:
    return f"values from {values.min():.4g} to {values.max():.4g}"
