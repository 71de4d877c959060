from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import captum_ssgc
from captum_ssgc import _interrupts, cli
from captum_ssgc._printable import printable
from captum_ssgc.attr import METHODS
from captum_ssgc.cli import options
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
        timeout=600,
    )
    assert done.returncode == 2
    assert done.stderr == "captum-ssgc: error: image file none.png does not exist.\n"
    assert done.stdout == "False\n"


def test_a_backend_that_does_not_exist_is_not_asked_for(tmp_path: Path) -> None:
    """A notebook hands its own to every command that is run from a cell."""
    program = (
        "from captum_ssgc.cli import main; main(['--version'])\n"
        "import matplotlib.pyplot; print(matplotlib.get_backend())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "nonsense"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.stdout.split()[-1] == "agg"
    assert done.stderr == ""


def test_an_interrupt_that_became_another_error_stops_all_images(
    run: Callable[..., Any], photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As code that calls Python from C makes one."""

    def fail(*arguments: Any) -> None:
        monkeypatch.setattr(_interrupts, "_came", True)
        raise ValueError("Invalid bounding box")

    monkeypatch.setattr("captum_ssgc.cli.each_image.explanations_of", fail)
    outcome = run("explain", photo, photo, "--model", "demo", "-o", photo.parent / "out")
    assert outcome.code == 130
    assert outcome.lines[-1] == "captum-ssgc: error: interrupted"
    assert "Invalid" not in outcome.err


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
        (("explain", "a.png", "--top-k", "1", ""), "unrecognized arguments: ''"),
    ],
    ids=["command", "no image", "option", "empty"],
)
def test_usage_errors_are_one_line(
    run: Callable[..., Any], arguments: tuple[str, ...], message: str
) -> None:
    outcome = run(*arguments)
    assert outcome.code == 2
    (line,) = outcome.lines
    assert message in line
    assert "--help" in line


def test_all_commands_show_the_same_words_and_understand_the_others() -> None:
    [choices] = [one.choices for one in cli._parser()._actions if isinstance(one.choices, dict)]
    assert set(choices) == set(cli.COMMANDS)
    for parser in choices.values():
        actions = parser._option_string_actions
        shown = {flag for flag, one in actions.items() if one.help != argparse.SUPPRESS}
        assert not shown & {*options._ALIASES.values()}
        for word in shown & {*options._ALIASES}:
            other = actions[options._ALIASES[word]]
            same = (actions[word].dest, actions[word].type, argparse.SUPPRESS)
            assert (other.dest, other.type, other.default) == same


@pytest.mark.parametrize("option", ["--method", "--labels", "--top-k", "-o"])
def test_two_dashes_are_no_value(run: Callable[..., Any], option: str) -> None:
    """argparse makes an empty list of them, and in Python 3.13 a text, which is no number."""
    joined = f"{option}=--" if option.startswith("--") else f"{option}--"
    outcome = run("explain", "a.png", joined)
    assert outcome.code == 2
    (line,) = outcome.lines
    assert "expected one argument" in line or "got --" in line


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (MemoryError(), "out of memory; try a smaller image"),
        (AssertionError(), "AssertionError"),
        (OverflowError("too\nlarge"), "OverflowError: too large"),
        (NotImplementedError("not on this device"), "not on this device"),
        (RecursionError("maximum depth"), "maximum depth"),
        (SystemError("bad call"), "SystemError: bad call"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_whatever_a_command_raises_is_one_line(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def fail(*args: Any) -> None:
        raise error

    monkeypatch.setattr("captum_ssgc.cli.demo.prepare_folder", fail)
    outcome = run("demo")
    assert (outcome.code, outcome.out) == (2, "")
    (line,) = outcome.lines
    assert line.startswith(f"captum-ssgc: error: {message}")
    outcome = run("demo", "--traceback")
    assert outcome.code == 2
    assert outcome.lines[0] == "Traceback (most recent call last):"
    assert outcome.lines[-1] == line


def test_a_closed_standard_output(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout", None)
    assert cli.main(["--version"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "captum-ssgc: error: standard output is closed."


def test_a_closed_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    assert cli.main(["explain", "none.png"]) == 2
    assert cli.main(["explode"]) == 2


ODD = "\x1b]0;title\x07\x1b[2J\u202egnp\x9b31m\udcff"
SHOWN = r"\x1b]0;title\x07\x1b[2J\u202egnp\x9b31m\udcff"


@pytest.mark.parametrize(
    "arguments",
    [(f"explain {ODD}",), ("explain", ODD), ("explain", "a.png", f"--{ODD}"), (ODD,)],
    ids=["command", "image", "option", "word"],
)
def test_a_terminal_obeys_nothing_that_is_printed(
    run: Callable[..., Any], arguments: tuple[str, ...]
) -> None:
    outcome = run(*arguments)
    assert outcome.code == 2
    (line,) = outcome.lines
    assert SHOWN in line.replace("\\\\", "\\")
    assert line.isprintable()


def test_names_in_a_table_stay_in_their_line() -> None:
    assert table(["a"], [["x\n\x1b[1my"]]).splitlines() == ["a", r"x\n\x1b[1my"]
    assert printable("犬 café – 1") == "犬 café – 1"


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
    long = one_line(ValueError(f"expected this, got {'x' * 5000}; use another folder."))
    assert (len(long), long[:13]) == (600, "expected this")
    assert long.endswith("; use another folder.")


def test_advice_is_given_in_options() -> None:
    error = ValueError("what is left: method='d-rise'; or pass layout= or size=, output='a b'.")
    expected = "what is left: --method d-rise; or pass --layout or --canvas, output='a b'."
    assert one_line(error) == expected


def test_table_aligns() -> None:
    shown = table(["#", "label"], [["1", "cat"], ["10", "bee"]], right=["#"])
    assert shown == " #  label\n 1  cat\n10  bee"
