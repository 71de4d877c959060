from __future__ import annotations

import copy
import dataclasses
import json
import math
import pickle
import re

import numpy as np
import pytest
import torch

from captum_ssgc.attr import METHODS, LayerMethod, register
from captum_ssgc.benchmark import BenchmarkSettings, MethodRow
from captum_ssgc.benchmark.examples import picture_path
from captum_ssgc.benchmark.settings import FLOORS
from captum_ssgc.benchmark.tally import Place


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


def test_a_contrast_of_a_row_is_written_as_on_the_command_line():
    row = MethodRow("odam", {"output": ("logit", "traffic light")})
    assert row == MethodRow("odam", {"output": "contrast:traffic light"})
    assert row.key == "odam[output=contrast:traffic light]"
    assert MethodRow("odam", {"output": ("logit", 3)}).title == "ODAM [output=contrast:3]"


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


@pytest.fixture
def with_anything():
    """A method that takes any value."""

    @register
    class Anything(LayerMethod):
        name, title = "anything", "Anything"

        @staticmethod
        def maps(activations, gradients, mode=1, power=1):
            return activations

    yield "anything"
    METHODS.pop("anything")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"mode": "1"}, {"mode": 1}),
        ({"mode": "1"}, {"mode": 1.0}),
        ({"mode": "true"}, {"mode": True}),
        ({"mode": "none"}, {"mode": None}),
        ({"mode": "2x3"}, {"mode": (2, 3)}),
        ({"mode": "a,power=2"}, {"mode": "a", "power": 2}),
        ({"mode": (1, 2.5)}, {"mode": "1x2.5"}),
    ],
    ids=str,
)
def test_rows_that_would_be_written_alike_are_refused(with_anything, first, second):
    rows = [MethodRow(with_anything, one) for one in (first, second)]
    assert rows[0] != rows[1]
    shown = re.escape(f"with the options {first} and {second}: leave one out")
    with pytest.raises(ValueError, match=f"would stand for two rows, {shown}"):
        BenchmarkSettings(methods=rows)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({"mode": 1}, {"mode": 1.0}, True),
        ({"mode": (1, 2)}, {"mode": [1.0, 2]}, True),
        ({"mode": True}, {"mode": 1}, False),
        ({"mode": False}, {"mode": 0.0}, False),
        ({"mode": 2**53 + 1}, {"mode": 2.0**53}, False),
        ({"mode": np.True_}, {"mode": True}, True),
    ],
    ids=str,
)
def test_rows_are_one_if_their_options_are(with_anything, first, second, same):
    rows = [MethodRow(with_anything, one) for one in (first, second)]
    assert (rows[0] == rows[1]) is same
    assert len({*rows}) == len(BenchmarkSettings(methods=rows).rows) == 2 - same


def test_a_row_is_fixed_and_can_be_sent():
    row = MethodRow("odam", {"smoothing": 1})
    with pytest.raises(TypeError, match="item assignment"):
        row.options["smoothing"] = 5
    with pytest.raises(TypeError, match="item assignment"):
        row.options.update(smoothing=5)
    assert dataclasses.asdict(row)["options"] == {"smoothing": 1}
    assert dataclasses.asdict(BenchmarkSettings([row]))["output"] == "score"
    for other in (pickle.loads(pickle.dumps(row)), copy.deepcopy(row)):
        assert other == row
        assert hash(other) == hash(row)
    settings = BenchmarkSettings([row])
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize("kept", [(), tuple(FLOORS)], ids=["no floors", "floors"])
def test_a_method_that_is_called_as_a_floor_is_refused(with_anything, floor, kept):
    register(type("Own", (METHODS[with_anything],), {"name": floor}))
    try:
        with pytest.raises(ValueError, match=f"'{floor}' is the name of a floor.*another name"):
            BenchmarkSettings(methods=["odam", floor], floors=kept)
        assert [row.method for row in BenchmarkSettings(methods="odam").rows] == ["odam"]
    finally:
        METHODS.pop(floor)


@pytest.mark.parametrize(
    "key",
    [
        *("odam", "ssgrad-cam++", "odam[smoothing=1]", "a/b", "../up", "ODAM", "a" * 300, "con"),
        *("a\\b", "<b>", "a\0b", "a:b", "é", "row-1", "..", "-x", 'a"b', "a.", "a*?"),
    ],
    ids=ascii,
)
def test_the_picture_of_any_row_has_a_name_of_its_own_everywhere(tmp_path, key):
    path = picture_path(tmp_path, key, Place(3, 1, 0.5))
    assert path.parent == tmp_path
    assert re.fullmatch(r"[a-z0-9][a-z0-9+_-]{0,90}_3_1\.jpg", path.name)
    assert path != picture_path(tmp_path, key + "x", Place(3, 1, 0.5))
    path.touch()


def test_pictures_of_published_methods_are_named_after_them(tmp_path):
    for name in [*METHODS, *FLOORS]:
        assert picture_path(tmp_path, name, Place(3, 1, 0.5)).name == f"{name}_3_1.jpg"


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
