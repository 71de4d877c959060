from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from captum_ssgc.attr import METHODS
from captum_ssgc.benchmark import BenchmarkSettings, MethodRow
from captum_ssgc.benchmark.settings import FLOORS


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"methods": "cam"}, ValueError, "method: expected one of"),
        ({"methods": ()}, ValueError, "method: expected at least one of"),
        ({"methods": 3}, TypeError, "methods: expected names of methods, got 3"),
        ({"methods": [3]}, TypeError, "methods: expected names of methods, or pairs .* got 3"),
        ({"methods": {"odam": {}}}, TypeError, "methods: expected names"),
        ({"metrics": 1}, TypeError, "metrics: expected a text or several, got 1"),
        ({"floors": ("noise", "sky")}, ValueError, "floors: expected some of .* got 'sky'"),
        ({"floors": None}, TypeError, "floors: expected a text or several, got None"),
        ({"preset": "x"}, ValueError, "preset: expected one of"),
        ({"preset": 1}, TypeError, "preset: expected a text, got 1"),
        ({"output": "x"}, ValueError, "output: expected one of"),
        ({"output": ["score"]}, TypeError, "output: expected a text"),
        ({"mask": "circle"}, ValueError, "mask: expected"),
        ({"mask": torch.ones(1, 1, 2, 2)}, TypeError, "mask: expected a text"),
        ({"layer": 3}, TypeError, "layer: expected a text or several, got 3"),
        ({"layer": (torch.nn.ReLU(),)}, TypeError, "layer: expected a text or several"),
        ({"score_above": 1.5}, ValueError, r"score_above: expected a number in \[0, 1\]"),
        ({"score_above": math.nan}, ValueError, "score_above: expected a number"),
        ({"score_above": "0.5"}, TypeError, "score_above: expected a number .* got '0.5'"),
        ({"iou_above": True}, TypeError, "iou_above: expected a number"),
        ({"drise_masks": 0}, ValueError, "drise_masks: expected at least 1, got 0"),
        ({"drise_masks": 10**20}, ValueError, "drise_masks: expected at most"),
        ({"drise_grid": 3}, TypeError, "drise_grid: expected two whole numbers"),
        ({"drise_grid": (3,)}, TypeError, "drise_grid: expected two whole numbers"),
        ({"drise_grid": (3, 0)}, ValueError, "drise_grid: expected at least 1, got 0"),
        ({"drise_grid": (3, 4.0)}, TypeError, "drise_grid: expected a whole number, got 4.0"),
        ({"drise_grid": "34"}, TypeError, "drise_grid: expected two whole numbers"),
        ({"threads": 1.5}, TypeError, "threads: expected a whole number, got 1.5"),
        ({"threads": 10**6}, ValueError, "threads: expected at most 1024"),
        ({"batch_size": None}, TypeError, "batch_size: expected a whole number"),
        ({"perturbed_images": -1}, ValueError, "perturbed_images: expected at least 1"),
        ({"max_detections": True}, TypeError, "max_detections: expected a whole number"),
        ({"max_detections": 0}, ValueError, "max_detections: expected at least 1"),
        ({"seed": -1}, ValueError, "seed: expected at least 0, got -1"),
        ({"seed": 2**63}, ValueError, "seed: expected at most"),
        ({"seed": "1"}, TypeError, "seed: expected a whole number, got '1'"),
    ],
)
def test_wrong_settings_are_refused(changes, error, message):
    with pytest.raises(error, match=message):
        BenchmarkSettings(**changes)


def test_settings_come_back_from_json():
    settings = BenchmarkSettings(
        methods=["odam", ("ssgrad-cam++", {"output": "logit", "mask": None}), MethodRow("d-rise")],
        layer="a.b", metrics="all", floors=(), drise_grid=[2, 3],
    )  # fmt: skip
    stored = json.loads(json.dumps(settings.as_json()))
    assert BenchmarkSettings.from_json(stored) == settings
    assert stored["methods"] == [
        "odam",
        ["ssgrad-cam++", {"mask": None, "output": "logit"}],
        "d-rise",
    ]
    assert settings.layer == ("a.b",)
    assert settings.drise_grid == (2, 3)
    assert BenchmarkSettings(preset="drise").score_threshold == 0.5


def test_rows_are_the_methods_with_their_options():
    settings = BenchmarkSettings(methods=["odam", ("odam", {"smoothing": 1}), "odam"], floors="box")
    assert settings.titles == {
        "odam": "ODAM", "odam[smoothing=1]": "ODAM [smoothing=1]", "box": FLOORS["box"]
    }  # fmt: skip
    assert [row.method for row in BenchmarkSettings().rows] == list(METHODS)


def test_a_row_says_what_it_is():
    row = MethodRow("ssgrad-cam++", {"smoothing": 1.0, "mask": None, "output": "logit"})
    assert row.key == "ssgrad-cam++[mask=none,output=logit,smoothing=1]"
    assert row.title == "SSGrad-CAM++ [mask=none, output=logit, smoothing=1]"
    assert MethodRow("d-rise", {"grid": [3, 4]}).key == "d-rise[grid=3x4]"
    assert MethodRow("grad-cam").key == "grad-cam"
    assert len({row, MethodRow("ssgrad-cam++", dict(row.options))}) == 1


def test_a_rows_options_come_before_the_runs():
    settings = BenchmarkSettings(output="logit", mask="box", drise_masks=7, drise_grid=(2, 3))
    row = MethodRow("ssgrad-cam++", {"output": "left", "smoothing": 2})
    assert settings.options_of(row) == {"output": "left", "mask": "box", "smoothing": 2}
    assert settings.options_of(MethodRow("odam")) == {"output": "logit"}
    assert settings.options_of(MethodRow("d-rise")) == {"n_masks": 7, "grid": (2, 3)}
    assert settings.options_of(MethodRow("d-rise", {"n_masks": 9}))["n_masks"] == 9


UNKNOWN = "got an unexpected keyword argument"


@pytest.mark.parametrize(
    ("method", "options", "error", "message"),
    [
        ("odam", {"mask": "box"}, TypeError, f"odam {UNKNOWN} 'mask'; it takes output, smoothing"),
        ("d-rise", {"output": "logit"}, TypeError, f"{UNKNOWN} 'output'; it takes n_masks, grid"),
        ("d-rise", {"generator": 1}, TypeError, f"{UNKNOWN} 'generator'; it takes n_masks, grid"),
        ("odam", {"output": "x"}, ValueError, "odam: output: expected one of"),
        ("odam", {"output": 3}, TypeError, "odam: output: expected a text, got 3"),
        ("odam", {"smoothing": -1}, ValueError, "odam: smoothing: expected a width"),
        ("odam", {"smoothing": math.nan}, ValueError, "odam: smoothing: expected a finite number"),
        ("odam", {"smoothing": np.ones(2)}, TypeError, "odam: smoothing: expected a number"),
        ("odam", {"smoothing": ["a"]}, TypeError, "odam: smoothing: expected a number"),
        ("odam", {"smoothing": [1, math.inf]}, ValueError, "smoothing: expected a finite number"),
        ("ssgrad-cam++", {"signed_activations": "x"}, ValueError, "signed_activations"),
        ("ssgrad-cam++", {"mask": "circle"}, ValueError, "mask: expected"),
        ("d-rise", {"grid": (0, 3)}, ValueError, "d-rise: grid: expected two numbers of cells"),
        ("d-rise", {"grid": 3}, ValueError, "d-rise: grid: expected two numbers of cells"),
        ("d-rise", {"n_masks": 1.5}, TypeError, "d-rise: n_masks: expected a whole number"),
        ("d-rise", {"n_masks": 0}, ValueError, "d-rise: n_masks: expected at least 1"),
        ("d-rise", {"probability": 3}, ValueError, "d-rise: probability: expected a value in"),
        ("cam", {}, ValueError, "method: expected one of"),
    ],
)
def test_options_that_a_method_does_not_take_are_refused(method, options, error, message):
    with pytest.raises(error, match=message):
        MethodRow(method, options)


def test_options_are_a_mapping():
    with pytest.raises(TypeError, match="options of odam: expected a mapping, got str"):
        MethodRow("odam", "smoothing=1")
