"""Command lines with hostile values: a result, or one line that names what is wrong."""

from __future__ import annotations

import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from robustness.children import in_child
from robustness.command_lines import (
    BASES,
    COMMANDS,
    ON_IMAGES,
    CommandLine,
    Judge,
    draw,
    options_of,
)

from captum_ssgc import cli

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's limits"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]
FEW, MANY = 30, 1200


@pytest.mark.parametrize(
    "count", [FEW, pytest.param(MANY, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_hostile_command_lines(count, tmp_path):
    """Exit code 0, 1, 2 or 130, and nothing half-written, linked away, hung or fetched."""

    def work() -> dict[str, Any]:
        no_network()
        judge = Judge(tmp_path / "case")
        for line in draw(count, seed=count):
            judge.run(line)
        return {"counts": judge.counts, "wrong": judge.wrong}

    answer = in_child(work, memory=2 << 30, seconds=600 + 20 * count)
    print(answer["counts"])
    assert answer["wrong"] == []
    assert sum(answer["counts"].values()) == count
    assert answer["counts"]["2"] > count / 3


@pytest.mark.slow
def test_what_is_not_hostile_works(tmp_path):
    def work() -> dict[str, Any]:
        judge = Judge(tmp_path / "case")
        for command in COMMANDS:
            judge.run(CommandLine((command, *BASES.get(command, ON_IMAGES)), (command,)))
        return {"counts": judge.counts, "wrong": judge.wrong}

    assert in_child(work, memory=2 << 30) == {"counts": {"0": len(COMMANDS)}, "wrong": []}


def test_what_is_drawn_covers_every_option():
    lines = list(draw(MANY, seed=MANY))
    times = Counter(line.arguments[0] for line in lines)
    assert set(times) == set(COMMANDS)
    assert min(times.values()) >= MANY // len(COMMANDS)
    for command, actions in options_of().items():
        given = {name for line in lines if line.arguments[0] == command for name in line.names}
        assert {action.dest for action in actions} <= given


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("explain", "missing.png"), ""),
        (("explain", "photo.png", "--top-k", "x"), ""),
        (("explain", "--top-k", "x", "photo.png", "--nonsense"), "names no argument"),
    ],
)
def test_the_judge_sees_what_is_not_named(arguments, problem, tmp_path):
    judge = Judge(tmp_path / "case")
    judge.run(CommandLine(arguments, ("missing.png", "--top-k" if not problem else "other")))
    assert [problem in one for one in judge.wrong] == ([True] if problem else [])
    assert judge.counts == {"2": 1}


@pytest.mark.parametrize("begun", [False, True])
def test_only_main_itself_may_let_an_interrupt_out(begun, tmp_path, monkeypatch):
    """Before and after the command, where ``__main__`` waits for it."""

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", cli._parse if begun else interrupt)
    monkeypatch.setattr(cli, "_parser", interrupt)
    judge = Judge(tmp_path / "case")
    judge.run(CommandLine(("demo",), ("demo",), interrupted_after=60.0))
    assert judge.counts == {"KeyboardInterrupt: " if begun else "130": 1}
    assert len(judge.wrong) == begun


def no_network() -> None:
    """Of this process: whoever connects fails, and is told apart from a file that is missing."""

    def connect(*args: object) -> None:
        raise AssertionError(f"a connection to {args[1:]}")

    socket.socket.connect = connect  # type: ignore[method-assign]
    socket.getaddrinfo = connect  # type: ignore[assignment]
