"""The rows of a table: methods with their options."""

from __future__ import annotations

import copy
import dataclasses
import math
import operator
import pickle
import re

import numpy as np
import pytest

from captum_ssgc.attr import METHODS, LayerMethod, register
from captum_ssgc.benchmark import BenchmarkSettings, MethodRow
from captum_ssgc.benchmark.floor_names import FLOORS


def test_a_contrast_of_a_row_is_written_as_on_the_command_line():
    row = MethodRow("odam", {"output": ("logit", "traffic light")})
    assert row == MethodRow("odam", {"output": "contrast:traffic light"})
    assert row.key == "odam[output=contrast:traffic light]"
    assert MethodRow("odam", {"output": ("logit", 3)}).title == "ODAM [output=contrast:3]"


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
    for change in (
        lambda options: operator.setitem(options, "smoothing", 5),
        lambda options: operator.delitem(options, "smoothing"),
        lambda options: operator.ior(options, {"smoothing": 5}),
        lambda options: options.update(smoothing=5),
        lambda options: options.setdefault("mask", None),
        lambda options: options.pop("smoothing"),
        lambda options: options.popitem(),
        lambda options: options.clear(),
    ):
        with pytest.raises(TypeError, match="item assignment"):
            change(row.options)
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
