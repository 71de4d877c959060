from __future__ import annotations

import json

import pytest

from captum_ssgc.benchmark import runner
from captum_ssgc.benchmark.records import ImageRecord
from captum_ssgc.cli import main

QUICK = ("--methods", "odam,ssgrad-cam++", "--metrics", "pointing-game,evidence-energy")


@pytest.fixture
def command(tmp_path):
    def run(*further, data="synthetic:1"):
        return main(["benchmark", "--data", data, *QUICK, "-o", str(tmp_path / "run"), *further])

    return run


def test_scenes_and_the_detector_in_the_box(command, capsys, tmp_path):
    assert command() == 0
    shown = capsys.readouterr()
    assert "Evidence ↑" in shown.out
    assert "1 images, " in shown.out
    assert "report.html" in shown.out
    assert "**" not in shown.out
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["model"]["name"] == "demo"
    assert run["data"] == {
        "kind": "synthetic scenes", "first_seed": 100_000, "images": 1, "size": [320, 400],
        "left_out": [], "ignored_annotations": {},
    }  # fmt: skip
    table = (tmp_path / "run" / "table.md").read_text()
    assert command() == 0
    assert (tmp_path / "run" / "table.md").read_text() == table
    assert main(["benchmark", "--report-only", "-o", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "table.md").read_text() == table
    assert command("--seed", "1") == 2
    assert "settings.seed is 0 there and 1 here" in capsys.readouterr().err


def test_an_interrupted_command_says_how_to_go_on(command, capsys, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "_record", interrupt)
    assert command() == 130
    assert "the same command goes on from there" in capsys.readouterr().err


def test_nothing_but_failures_is_a_failure(command, capsys, monkeypatch):
    monkeypatch.setattr(
        runner, "_record", lambda evaluation, source, index: ImageRecord(
            index, "a", "a.jpg", failed="no such luck"
        ),
    )  # fmt: skip
    assert command() == 2
    assert "1 of 1 images could not be evaluated, such as a.jpg: no such luck" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("further", "message"),
    [
        (("--metrics", "x"), "metrics: expected all or some of"),
        (("--methods", "x"), "method: expected one of"),
        (("--score-above", "2"), "--score-threshold: expected"),
        (("--masks", "0"), "--masks: expected at least 1"),
        (("--layer", "nowhere"), "no layer 'nowhere'"),
        (("--data", "synthetic:x"), "synthetic:N"),
        (("--data", "missing.json"), "missing.json does not exist"),
        (("--limit", "0"), "limit: expected at least 1"),
    ],
)
def test_wrong_options_are_one_line(command, capsys, further, message, tmp_path):
    assert command("--model", "demo", *further) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()


def test_data_are_needed(capsys, tmp_path):
    assert main(["benchmark", "-o", str(tmp_path)]) == 2
    assert "--data is needed" in capsys.readouterr().err


def test_a_report_needs_a_run(capsys, tmp_path):
    assert main(["benchmark", "--report-only", "-o", str(tmp_path)]) == 2
    assert "holds no run" in capsys.readouterr().err
