"""What the command line says, and how: results on stdout, everything else on stderr."""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, TypeVar

from tqdm import tqdm

DONE, NOTHING_DETECTED, FAILED = 0, 1, 2

# What bad input, a bad model or a full disk raise, here and in the vendors' code.
EXPECTED_ERRORS = (ValueError, TypeError, IndexError, KeyError, OSError, RuntimeError, ImportError)

_PACKAGE = str(Path(__file__).resolve().parents[1])
_LONGEST = 600
_Item = TypeVar("_Item")


class CommandError(Exception):
    """Ends the command with exit code 2; the message is one line for the user."""


def say(text: str) -> None:
    """Write a result to stdout, above a progress bar if there is one."""
    _write(text, sys.stdout)


def complain(
    problem: str | BaseException,
    *,
    about: str = "",
    kind: str = "error",
    with_traceback: bool = False,
) -> None:
    """Write one line about a problem to stderr; before it the traceback, if asked for."""
    if with_traceback and isinstance(problem, BaseException):
        _write("".join(traceback.format_exception(problem)).rstrip(), sys.stderr)
    text = one_line(problem)
    if about and about not in text:
        text = f"{about}: {text}"
    _write(f"captum-ssgc: {kind}: {text}" if kind else f"captum-ssgc: {text}", sys.stderr)


def one_line(problem: str | BaseException) -> str:
    """The message on one line; the error's type where it has no message."""
    text = problem if isinstance(problem, str) else str(problem) or type(problem).__name__
    if isinstance(problem, KeyError):
        text = f"unknown name {text}"
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


@contextmanager
def warnings_as_lines(about: str) -> Iterator[None]:
    """Turn this package's warnings into lines on stderr, each once, and drop those of others."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    ours = [one for one in caught if one.filename.startswith(_PACKAGE)]
    for text in dict.fromkeys(str(one.message) for one in ours):
        complain(text, about=about, kind="warning")


def on_screen() -> bool:
    """Whether somebody may be watching stderr."""
    return sys.stderr.isatty()


def progress(items: Sequence[_Item], unit: str) -> Iterable[_Item]:
    """Go through ``items`` with a progress bar if there are several and stderr is a terminal."""
    quiet = len(items) < 2 or not on_screen()
    return tqdm(items, unit=unit, file=sys.stderr, leave=False, disable=quiet)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """Columns as wide as their longest entry; those named in ``right`` are aligned right."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            entry.rjust(width) if name in right else entry.ljust(width)
            for entry, width, name in zip(line, widths, head)
        ).rstrip()
        for line in lines
    )


def _write(text: str, stream: TextIO) -> None:
    """Write above the progress bar; characters that the terminal lacks become question marks."""
    encoding = stream.encoding or "utf-8"
    tqdm.write(text.encode(encoding, "replace").decode(encoding), file=stream)
