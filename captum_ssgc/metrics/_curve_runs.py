"""From checked inputs and settings to finished curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from captum_ssgc._as_before import leaves_all_as_before
from captum_ssgc.detector import Detector
from captum_ssgc.metrics._baselines import baseline_images
from captum_ssgc.metrics._curve_inputs import CurveInputs
from captum_ssgc.metrics._curve_points import Curve, CurvePoints, Scores
from captum_ssgc.metrics._pixel_order import tied_order
from captum_ssgc.metrics._readings import Reading
from captum_ssgc.metrics.curve_settings import CurveSettings
from captum_ssgc.metrics.curves import Curves


@dataclass(frozen=True)
class CurveRun:
    """Deletion or Insertion, its settings and the scores that are wanted."""

    inserts: bool
    settings: CurveSettings
    scores: Sequence[str]

    def __post_init__(self) -> None:
        if isinstance(self.scores, str) or not set(self.scores) <= {"s1", "s2"}:
            raise ValueError(f"scores: expected some of ('s1', 's2'), got {self.scores!r}.")

    def readings(self) -> dict[str, Reading]:
        return {score: Reading.of(self.settings, score) for score in self.scores}


@leaves_all_as_before
@torch.no_grad()
def run_curves(
    detector: Detector,
    inputs: CurveInputs,
    runs: Sequence[CurveRun],
    generator: torch.Generator | None,
    perturbations_per_eval: int,
) -> list[dict[str, dict[str, Curves]]]:
    """For each run, method and score, the curves."""
    if not isinstance(detector, Detector):
        raise TypeError(
            f"detector: expected a Detector, got {type(detector).__name__}; use "
            "captum_ssgc.wrap_detector(model)."
        )
    if perturbations_per_eval < 1:
        raise ValueError(
            f"perturbations_per_eval: expected at least 1, got {perturbations_per_eval}."
        )
    resolutions = {run.settings.resolution for run in runs}
    if len(resolutions) > 1:
        raise ValueError("settings: expected one resolution for both curves, got two.")
    if "network" in resolutions:
        inputs = inputs.at_network(detector)
    count = sum(len(entry) for entry in inputs.detections)
    if count == 0 or not inputs.maps:
        return [_nothing(inputs, run) for run in runs]
    points = CurvePoints(
        detector,
        inputs.detections,
        [heat_map for maps in inputs.maps.values() for heat_map in maps],
        list(range(count)) * len(inputs.maps),
        perturbations_per_eval,
    )
    kinds = dict.fromkeys(run.settings.ties for run in runs)
    orders = {ties: tied_order(inputs.images, ties, generator) for ties in kinds}
    baselines = _baselines(inputs, runs, generator)
    curves = []
    for run, baseline in zip(runs, baselines, strict=True):
        before, after = inputs.images, baseline
        if run.inserts:
            before, after = after, before
        counts, ties = inputs.counts(run.settings), orders[run.settings.ties]
        wanted = list(run.readings().values())
        curves.append(Curve(before, after, counts, inputs.patches(run.settings), ties, wanted))
    measured, ends = points.curves(curves)
    initial = ends[id(inputs.images)]
    return [_finished(inputs, run, scores, initial) for run, scores in zip(runs, measured)]


def _baselines(
    inputs: CurveInputs, runs: Sequence[CurveRun], generator: torch.Generator | None
) -> list[Tensor]:
    """The baseline of each run; the same tensor for runs that share one."""
    baselines: dict[object, Tensor] = {}
    for run in runs:
        key = _baseline_key(run.settings)
        if key not in baselines:
            baselines[key] = baseline_images(inputs.images, run.settings, generator)
    return [baselines[_baseline_key(run.settings)] for run in runs]


def _baseline_key(settings: CurveSettings) -> object:
    baseline = settings.baseline
    if isinstance(baseline, (str, int, float)):
        return (baseline, settings.blur_sigma, settings.blur_radius)
    return id(baseline)


def _finished(
    inputs: CurveInputs, run: CurveRun, measured: Scores, initial: Scores
) -> dict[str, dict[str, Curves]]:
    fractions = _fractions(run.settings.steps + 1, inputs.images.device)
    finished: dict[str, dict[str, Curves]] = {name: {} for name in inputs.maps}
    for score, reading in run.readings().items():
        divisor = initial[reading].to(measured[reading])
        parts = measured[reading].split(len(divisor))
        for (name, valid), values in zip(inputs.valid.items(), parts, strict=True):
            valid = valid.to(values.device)
            if run.settings.normalize:
                scored = divisor > 0
                values = torch.where(scored[:, None], values / divisor[:, None], torch.nan)
                valid = valid & scored
            finished[name][score] = Curves(fractions, values, valid, run.inserts)
    return finished


def _nothing(inputs: CurveInputs, run: CurveRun) -> dict[str, dict[str, Curves]]:
    points, device = run.settings.steps + 1, inputs.images.device
    empty = Curves(
        _fractions(points, device),
        inputs.images.new_zeros(0, points),
        torch.zeros(0, dtype=torch.bool, device=device),
        run.inserts,
    )
    return {name: dict.fromkeys(run.scores, empty) for name in inputs.maps}


def _fractions(points: int, device: torch.device) -> Tensor:
    return torch.linspace(0.0, 1.0, points, device=device, dtype=torch.float32)
