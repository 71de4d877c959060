from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from captum_ssgc.benchmark import BenchmarkSettings, MethodRow


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
        (
            {"layer": torch.nn.Sequential(*[torch.nn.Linear(3, 4)] * 9)},
            TypeError,
            r"layer: expected a text or several, got a Sequential \(.*\.\.\.\)\.$",
        ),
        ({"layer": {"a"}}, TypeError, "layer: expected a text or several, got {'a'}"),
        ({"layer": {"a": 1}}, TypeError, "layer: expected a text or several, got {'a': 1}"),
        ({"layer": iter(["a"])}, TypeError, "layer: expected a text or several, got <list_it"),
        ({"output": ("logit", 1.5)}, ValueError, "output: expected one of"),
        ({"output": ("logit", (1, 2))}, ValueError, "output: expected one other label, as there"),
        ({"output": "contrast:"}, ValueError, "output: expected contrast:NAME"),
        ({"seed": np.float64(1)}, TypeError, "seed: expected a whole number, got"),
        ({"seed": np.True_}, TypeError, "seed: expected a whole number, got"),
        ({"score_above": np.float32(1.5)}, ValueError, "score_above: expected a number in"),
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


@pytest.mark.parametrize(
    ("output", "canonical", "stored"),
    [
        ("-left", "-left", "-left"),
        ("contrast:traffic light", ("logit", "traffic light"), "contrast:traffic light"),
        (("logit", "car"), ("logit", "car"), "contrast:car"),
        (["logit", "car"], ("logit", "car"), "contrast:car"),
        (("logit", 1), ("logit", 1), ["logit", 1]),  # of a class called "1" it is not
        (("logit", np.int64(1)), ("logit", 1), ["logit", 1]),
        (("logit", "1"), ("logit", "1"), "contrast:1"),
        (("logit", " car"), ("logit", " car"), ["logit", " car"]),
    ],
    ids=str,
)
def test_an_output_comes_back_from_json_however_it_is_written(output, canonical, stored):
    settings = BenchmarkSettings(["odam", ("odam", {"output": output})], output=output)
    assert settings.output == canonical
    assert settings.rows[1].options == {"output": canonical}
    written = json.loads(json.dumps(settings.as_json()))
    assert (written["output"], written["methods"][1]) == (stored, ["odam", {"output": stored}])
    assert BenchmarkSettings.from_json(written) == settings


def test_numbers_may_be_of_numpy():
    plain = BenchmarkSettings(
        [("odam", {"smoothing": 1.0}), ("d-rise", {"grid": [2, 3], "probability": 0.5})],
        score_above=0.5, max_detections=3, seed=7, drise_grid=(2, 3),
    )  # fmt: skip
    own = {"grid": np.array([2, 3]).tolist(), "probability": np.float16(0.5)}
    of_numpy = BenchmarkSettings(
        [("odam", {"smoothing": np.float32(1)}), ("d-rise", own)],
        score_above=np.float32(0.5), max_detections=np.int64(3), seed=np.uint8(7),
        drise_grid=(np.int32(2), np.int64(3)),
    )  # fmt: skip
    assert of_numpy == plain
    assert json.dumps(of_numpy.as_json()) == json.dumps(plain.as_json())
    assert MethodRow("d-rise", {"grid": (np.int64(2), 3)}) == MethodRow("d-rise", {"grid": [2, 3]})
