"""Arguments of wrong types and values: a result, or one line that names the argument."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from robustness.model_state import differences, state_of
from robustness.outcomes import Outcomes
from robustness.subjects import Subject, quarters, small_image
from torch import nn

import captum_ssgc as ssgc
from captum_ssgc import metrics

FEW, MANY = 150, 6000

ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 7, 10**30, 0.0, 0.5, -0.5, 1.5, math.nan, math.inf),
    *("", "x", "odam", "all", "region", "box", "score", "\x1b[31m", "\0", "ü" * 300),
    *(b"x", [], [1], (), (1, 2), {}, {"odam": 1}, {1: {}}, {"odam": {"smoothing": 1.0}}, set()),
    *(
        object(),
        Path("nowhere"),
        1j,
        Fraction(1, 3),
        np.float64(0.25),
        np.int64(1),
        np.array([1.0]),
    ),
    *(torch.tensor(1), torch.tensor(0.5), torch.rand(2), torch.rand(1, 1, 8, 8)),
    *(torch.full((1, 1, 16, 16), math.nan), torch.zeros(1, 1, 16, 16, dtype=torch.bool)),
    *(nn.Identity(), nn.ReLU, lambda *given: given, range(3), iter([1]), slice(1)),
]


def odd_cases(names: list[str], count: int) -> list[dict[str, Any]]:
    """One or two arguments at a time, each an odd value; each name with each value first."""
    drawn = random.Random(0)
    single = [{name: value} for name in names for value in ODD]
    drawn.shuffle(single)
    while len(single) < count:
        single.append({name: drawn.choice(ODD) for name in drawn.sample(names, 2)})
    return single[:count]


each_size = pytest.mark.parametrize(
    "count", [FEW, pytest.param(MANY, marks=pytest.mark.slow)], ids=["few", "many"]
)


def is_huge(value: Any) -> bool:
    return isinstance(value, int) and value == 10**30


def finish(outcomes: Outcomes, subject: Subject, before: dict[str, Any]) -> None:
    print(dict(outcomes.counts))  # shown by pytest -s: what docs/reliability quotes
    assert outcomes.wrong == []
    assert differences(before, state_of(subject.model, rng=False)) == []


@each_size
def test_explain(count, own):
    names = ["method", "layer", "score_threshold", "top_k", "output", "mask", "method_options"]
    outcomes, before = Outcomes(), state_of(own.model, rng=False)
    for case in odd_cases(names, count):
        given = {"score_threshold": 0.1, "top_k": 1} | case
        outcomes.of(partial(ssgc.explain, own.detector, own.image, **given), tuple(case), case)
    finish(outcomes, own, before)


@each_size
def test_boxes_and_labels(count, own):
    outcomes, before = Outcomes(), state_of(own.model, rng=False)
    known = {"boxes": own.detections.boxes, "labels": own.detections.labels}
    for case in odd_cases(["boxes", "labels"], count):
        given = {"score_threshold": 0.0} | known | case  # without boxes all that is found
        outcomes.of(
            partial(ssgc.explain, own.detector, own.image, "odam", **given), tuple(case), case
        )
    finish(outcomes, own, before)


@each_size
def test_model_and_image(count, own):
    outcomes, before = Outcomes(), state_of(own.model, rng=False)
    for value in ODD:
        outcomes.of(partial(ssgc.explain, value, own.image), ("model", "detector", "gave"), value)
        outcomes.of(partial(ssgc.explain, own.detector, value), ("image",), value)
        outcomes.of(partial(own.detector.detect, value), ("images",), value)
        outcomes.of(partial(own.wrapper, value), ("images",), value)
    finish(outcomes, own, before)


@each_size
def test_attribute(count, own):
    names = ["target", "additional_forward_args", "mask", "smoothing", "signed_activations"]
    names += ["interpolate_mode", "fuse_layers"]
    cam = ssgc.SSGradCAMPlusPlus(own.wrapper, own.layer)
    outcomes, before = Outcomes(), state_of(own.model, rng=False)
    for case in odd_cases(names, count):
        said = tuple({"additional_forward_args": "image_index"}.get(name, name) for name in case)
        given = {"target": 0} | case
        outcomes.of(partial(cam.attribute, own.image, **given), said, case)
    finish(outcomes, own, before)


@each_size
def test_drise(count, own):
    names = ["target", "n_masks", "grid", "probability", "perturbations_per_eval", "generator"]
    drise = ssgc.DRISE(own.wrapper)
    outcomes, before = Outcomes(), state_of(own.model, rng=False)
    for case in odd_cases(names, count):
        given = {"target": 0, "n_masks": 2, "grid": (2, 2)} | case
        if is_huge(given["n_masks"]):
            continue  # a very long run, as asked for
        outcomes.of(partial(drise.attribute, own.image, **given), tuple(case), case)
    finish(outcomes, own, before)


@each_size
def test_curve_settings(count, own):
    names = ["score", "match", "steps", "baseline", "budget", "ties", "iou_threshold"]
    names += ["score_threshold", "blur_sigma", "blur_radius"]
    maps = torch.rand(2, 16, 16, generator=torch.Generator().manual_seed(0))
    outcomes, before = Outcomes(), state_of(own.model, rng=False)

    def curve(**given: Any) -> object:
        settings = metrics.CurveSettings(**given)
        return metrics.deletion(own.detector, own.image, own.detections, maps, settings)

    for case in odd_cases(names, count // 4):
        given = {"steps": 2} | case
        if is_huge(given["steps"]):
            continue
        said = tuple("blur" if name.startswith("blur") else name for name in case)
        outcomes.of(partial(curve, **given), said, case)
    finish(outcomes, own, before)


@pytest.mark.parametrize("number", [-1, -3, 4, 10**9])
def test_candidates_that_do_not_exist(number, own, demo_subject):
    for subject in (own, demo_subject):
        found = subject.detections[0]
        object.__setattr__(found, "candidates", torch.full_like(found.candidates, number))
        if number == 4 and subject is demo_subject:
            continue  # a proposal is kept by its region, and there is a fourth one
        outcomes = Outcomes()
        wrapper = ssgc.InstanceScoreWrapper(subject.detector, found)
        outcomes.of(partial(wrapper, subject.image), ("candidate",))
        assert outcomes.wrong == []


BASELINES = [
    torch.full((3, 1, 1), 135, dtype=torch.uint8),
    torch.full((3, 16, 16), math.nan),
    torch.full((3, 16, 16), -0.1),
    np.full((3, 16, 16), 1.01),
    np.array([0.1, 0.2, 128]),
    np.array(["a"]),
    torch.ones(3, dtype=torch.complex64),
    [0.1, math.inf, 0.2],
]


@pytest.mark.parametrize("baseline", BASELINES, ids=lambda one: str(getattr(one, "dtype", "list")))
def test_baselines_beyond_an_image(baseline):
    with pytest.raises((ValueError, TypeError), match="baseline: expected"):
        metrics.CurveSettings(baseline=baseline)


@pytest.mark.parametrize("baseline", [torch.zeros(3, 1, 1), np.ones(3), torch.ones(3).int(), 1])
def test_baselines_within_it(baseline):
    assert metrics.CurveSettings(baseline=baseline).baseline is baseline


def test_smoothing_is_bounded():
    subject = Subject.of(quarters(), small_image())
    for name in ("odam", "ssgrad-cam", "ssgrad-cam++"):
        for smoothing in (1e9, math.inf, -1.0, math.nan):
            with pytest.raises(ValueError, match="smoothing: expected"):
                ssgc.explain(
                    subject.detector,
                    subject.image,
                    name,
                    score_threshold=0.1,
                    method_options={name: {"smoothing": smoothing}},
                )
