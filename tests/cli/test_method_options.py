from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from captum_ssgc.attr import METHODS, LayerMethod, register
from captum_ssgc.cli.messages import CommandError
from captum_ssgc.cli.method_options import NAMES, choose_methods, options_of


def test_help_names_the_methods_of_the_registry() -> None:
    assert NAMES.split(", ") == list(METHODS)


def test_options_of_methods() -> None:
    assert options_of("odam") == {"output": "score", "smoothing": 0.0}
    assert options_of("grad-cam") == {"output": "score"}
    assert options_of("ssgrad-cam++") == {
        "output": "score", "mask": "region", "smoothing": 0.0, "signed_activations": "split"
    }  # fmt: skip
    assert options_of("d-rise") == {"n_masks": 5000, "grid": (16, 16), "probability": 0.5}


@pytest.mark.parametrize(
    ("function", "options", "listed"),
    [
        (lambda a, g, power: a, ["power"], "output=score power"),
        (lambda *both, power=1.5: both[0], ["power"], "output=score power=1.5"),
        (lambda a, g, **any_other: a, [], "output=score"),
        (torch.mul, [], "output=score"),
    ],
    ids=["without default", "in a row", "any", "built in"],
)
def test_functions_of_any_signature(
    run: Callable[..., Any], function: Any, options: list[str], listed: str
) -> None:
    members = {"name": "odd", "title": "Odd", "maps": staticmethod(function)}
    register(type("Odd", (LayerMethod,), members))
    try:
        assert list(options_of("odd")) == ["output", *options]
        outcome = run("explain", "--list-methods")
        assert outcome.out.splitlines()[-1].split() == ["odd", "Odd", *listed.split()]
        for text, further in (("odd[power=2]", []), ("odd", ["odd.power=2"])):
            assert choose_methods(text, further) == [("odd", {"power": 2})]
    finally:
        del METHODS["odd"]


def test_a_method_of_yours_has_the_options_of_its_function() -> None:
    @register
    class Power(LayerMethod):
        name, title = "power", "Power"

        @staticmethod
        def maps(activations: Any, gradients: Any, power: float = 1.5) -> Any:
            return activations**power

    try:
        assert options_of("power") == {"output": "score", "power": 1.5}
        assert choose_methods("odam,power", ["power=2"]) == [("odam", {}), ("power", {"power": 2})]
    finally:
        del METHODS["power"]


@pytest.mark.parametrize(
    ("methods", "further", "expected"),
    [
        ("odam", None, [("odam", {})]),
        (
            "grad-cam,odam,ssgrad-cam",
            ["smoothing=1"],
            [("grad-cam", {}), ("odam", {"smoothing": 1}), ("ssgrad-cam", {"smoothing": 1})],
        ),
        (
            "odam,ssgrad-cam",
            ["odam.smoothing=2", "smoothing=1"],
            [("odam", {"smoothing": 2}), ("ssgrad-cam", {"smoothing": 1})],
        ),
        ("odam", ["smoothing=1", "smoothing=2"], [("odam", {"smoothing": 2})]),
        ("odam[smoothing=3]", ["odam.smoothing=2"], [("odam", {"smoothing": 3})]),
        ("d-rise", ["grid=4x5"], [("d-rise", {"grid": (4, 5)})]),
        ("d-rise,odam", ["output=logit"], [("d-rise", {}), ("odam", {"output": "logit"})]),
        ("odam,ssgrad-cam++", ["mask=none"], [("odam", {}), ("ssgrad-cam++", {"mask": None})]),
    ],
)
def test_options_reach_the_methods_that_take_them(
    methods: str, further: list[str] | None, expected: list[tuple[str, dict[str, Any]]]
) -> None:
    assert choose_methods(methods, further) == expected


def test_an_option_that_is_taken_back_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    choose_methods("odam,d-rise", ["smoothing=1", "d-rise.grid=2x3", "smoothing=2"])
    said = capsys.readouterr().err
    assert said.strip().endswith("note: --option smoothing given more than once: 2 counts")
    choose_methods("odam,odam[smoothing=3]", ["smoothing=1", "odam.smoothing=2"])
    assert not capsys.readouterr().err
    choose_methods("odam[smoothing=3]", ["odam.smoothing=2"])
    said = capsys.readouterr().err
    assert "note: --option odam.smoothing changes nothing: what stands in the brackets" in said


def test_a_method_counts_once_unless_its_options_differ() -> None:
    assert choose_methods("odam,odam", []) == [("odam", {})]
    assert [name for name, _ in choose_methods("odam,all", [])] == [
        "odam", *(name for name in METHODS if name != "odam")
    ]  # fmt: skip
    both = choose_methods("odam,odam[smoothing=1]", [])
    assert both == [("odam", {}), ("odam", {"smoothing": 1})]


def test_all_are_all() -> None:
    chosen = choose_methods("all", ["signed_activations=as_is"])
    assert [name for name, _ in chosen] == list(METHODS)
    takers = {name for name, options in chosen if options}
    assert takers == {name for name in METHODS if "signed_activations" in options_of(name)} != set()


@pytest.mark.parametrize(
    ("methods", "further", "message"),
    [
        ("gradcam", [], "expected one of grad-cam, .*'gradcam'; did you mean grad-cam?"),
        ("GradCAM++", [], "did you mean grad-cam\\+\\+\\?"),
        ("drise", [], "did you mean d-rise?"),
        ("lime", [], "expected one of .*, got 'lime'$"),
        (",", [], "expected at least one of grad-cam"),
        ("all,nope", [], "got 'nope'"),
        ("all[smoothing=1]", [], "got 'all'"),
        ("odam[", [], "--method, --option: expected NAME or NAME"),
        ("odam", ["smoothing"], "--method, --option: expected NAME=VALUE"),
        (
            "odam",
            ["smoth=1"],
            "--option smoth: .*odam takes output, smoothing; did you mean",
        ),
        ("grad-cam", ["smoothing=1"], "no chosen method takes it: grad-cam takes output$"),
        ("odam", ["d-rise.grid=4x4"], "'d-rise' is none of the chosen methods odam"),
        ("ssgrad-cam", ["ssgradcam.smoothing=1"], "did you mean ssgrad-cam?"),
        (
            "odam[grid=4x4]",
            [],
            "--option grid: .*: odam takes output, smoothing",
        ),
    ],
)
def test_what_does_not_fit_is_named(methods: str, further: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        choose_methods(methods, further)


def test_the_list_of_methods(run: Callable[..., Any]) -> None:
    outcome = run("explain", "--list-methods")
    assert outcome.code == 0
    names = [line.split()[0] for line in outcome.out.splitlines()[1:]]
    assert names == list(METHODS)
    assert "grid=16x16" in outcome.out
