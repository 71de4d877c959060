from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

import pytest

from captum_ssgc.benchmark import BenchmarkSettings
from captum_ssgc.cli.benchmark_settings import add_settings, settings_of
from captum_ssgc.cli.messages import CommandError


def settings(*arguments: str) -> BenchmarkSettings:
    parser = argparse.ArgumentParser()
    add_settings(parser.add_argument_group("measurement"))
    return settings_of(parser.parse_args(arguments))


def test_without_options_the_settings_are_the_defaults() -> None:
    assert settings() == BenchmarkSettings()


@pytest.mark.parametrize("field", fields(BenchmarkSettings), ids=lambda field: field.name)
def test_every_setting_is_an_option(field: Any) -> None:
    parser = argparse.ArgumentParser()
    add_settings(parser.add_argument_group("measurement"))
    assert f"--{field.name.replace('_', '-')}" in parser._option_string_actions
    assert field.name == "methods" or field.metadata["help"]


@pytest.mark.parametrize(
    ("arguments", "name", "expected"),
    [
        ("--metrics pointing-game,infidelity", "metrics", ("pointing-game", "infidelity")),
        ("--floors none", "floors", ()),
        ("--floors box", "floors", ("box",)),
        ("--preset drise", "preset", "drise"),
        ("--layer a.1,b", "layer", ("a.1", "b")),
        ("--output logit", "output", "logit"),
        ("--mask none", "mask", None),
        ("--score-above 0.25", "score_above", 0.25),
        ("--score-threshold 0.25", "score_above", 0.25),
        ("--iou-above 1", "iou_above", 1),
        ("--iou-threshold 1", "iou_above", 1),
        ("--max-detections 3", "max_detections", 3),
        ("--top-k 3", "max_detections", 3),
        ("--max-detections none", "max_detections", None),
        ("--masks 7", "drise_masks", 7),
        ("--drise-masks 7", "drise_masks", 7),
        ("--drise-grid 4x6", "drise_grid", (4, 6)),
        ("--perturbed-images 3", "perturbed_images", 3),
        ("--batch-size 2", "batch_size", 2),
        ("--threads 2", "threads", 2),
        ("--seed 9", "seed", 9),
    ],
)
def test_options_reach_the_settings(arguments: str, name: str, expected: object) -> None:
    assert getattr(settings(*arguments.split()), name) == expected


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        (["--methods", "odam,d-rise"], ["odam", "d-rise"]),
        (["--method", "odam"], ["odam"]),
        (
            ["--methods", "ssgrad-cam++,ssgrad-cam++[output=logit,signed_activations=as_is]"],
            ["ssgrad-cam++", "ssgrad-cam++[output=logit,signed_activations=as_is]"],
        ),
        (
            ["--methods", "odam,grad-cam,odam[smoothing=2]", "--option", "smoothing=1"],
            ["odam[smoothing=1]", "grad-cam", "odam[smoothing=2]"],
        ),
        (["--methods", "odam", "--option", "odam.output=left"], ["odam[output=left]"]),
        (["--methods", "d-rise[grid=4x5]"], ["d-rise[grid=4x5]"]),
        (["--methods", "ssgrad-cam++[mask=none]"], ["ssgrad-cam++[mask=none]"]),
    ],
)
def test_methods_with_options_are_rows(arguments: list[str], rows: list[str]) -> None:
    assert [row.key for row in settings(*arguments).rows] == rows


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--seed -1", "seed: expected at least 0, got -1"),
        ("--seed x", "seed: expected a whole number, got 'x'"),
        ("--drise-grid 4", "drise_grid: expected two whole numbers"),
        ("--drise-grid 0x4", "drise_grid: expected at least 1, got 0"),
        ("--threads 1.5", "threads: expected a whole number, got 1.5"),
        ("--output none", "output: expected a text, got None"),
        ("--methods odm", "got 'odm'; did you mean odam?"),
        ("--methods odam[output=up]", "output: expected one of"),
        ("--methods odam[smoothing=x]", "options of odam: "),
        ("--methods odam --option grid=4x4", "--option grid: no chosen method takes it"),
    ],
)
def test_wrong_values_are_named(arguments: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        settings(*arguments.split())


def test_an_empty_value_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        settings("--seed", "")
    assert "--seed: expected a value, got ''" in capsys.readouterr().err
