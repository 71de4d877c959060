from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import captum_ssgc
from captum_ssgc import cli
from captum_ssgc.attr import METHODS
from captum_ssgc.cli.messages import one_line, table

ROOT = Path(__file__).resolve().parents[2]


def test_the_module_runs_and_a_missing_image_needs_no_torch(tmp_path: Path) -> None:
    program = (
        "import sys, runpy; sys.argv = ['captum_ssgc', 'explain', 'none.png']\n"
        "try: runpy.run_module('captum_ssgc', run_name='__main__')\n"
        "finally: print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr == "captum-ssgc: error: image file none.png does not exist.\n"
    assert done.stdout == "False\n"


def test_version(run: Callable[..., Any]) -> None:
    outcome = run("--version")
    assert (outcome.code, outcome.out) == (0, f"captum-ssgc {captum_ssgc.__version__}\n")


def test_without_a_command_help_is_shown(run: Callable[..., Any]) -> None:
    outcome = run()
    assert outcome.code == 0
    for command in cli.COMMANDS:
        assert f"\n    {command}" in outcome.out


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_has_groups_methods_and_examples(run: Callable[..., Any], command: str) -> None:
    outcome = run(command, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith(f"usage: captum-ssgc {command} ")
    assert f"examples:\n  captum-ssgc {command}" in outcome.out
    for method in METHODS:
        assert method in outcome.out
    assert ("\nmeasurement:\n" if command == "benchmark" else "\nexplanation:\n") in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("explode",), "invalid choice: 'explode'"),
        (("explain",), "the following arguments are required: IMAGE"),
        (("explain", "a.png", "--frobnicate"), "unrecognized arguments: --frobnicate"),
    ],
    ids=["command", "no image", "option"],
)
def test_usage_errors_are_one_line(
    run: Callable[..., Any], arguments: tuple[str, ...], message: str
) -> None:
    outcome = run(*arguments)
    assert outcome.code == 2
    (line,) = outcome.lines
    assert message in line
    assert "--help" in line


def test_interrupt(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("captum_ssgc.cli.demo.prepare_folder", interrupted)
    outcome = run("demo")
    assert (outcome.code, outcome.lines) == (130, ["captum-ssgc: error: interrupted"])


def test_messages_are_one_line() -> None:
    assert one_line(ValueError("two\n  lines")) == "two lines"
    assert one_line(ValueError()) == "ValueError"
    assert one_line(KeyError("x")) == "unknown name 'x'"
    assert len(one_line("x" * 5000)) == 600


def test_table_aligns() -> None:
    shown = table(["#", "label"], [["1", "cat"], ["10", "bee"]], right=["#"])
    assert shown == " #  label\n 1  cat\n10  bee"
