"""What the command line says, and how: results on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import re
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

from tqdm import tqdm

from captum_ssgc._printable import printable
from captum_ssgc._warnings import OwnWarning

if TYPE_CHECKING:
    from torch import nn

DONE, NOTHING_DETECTED, FAILED = 0, 1, 2
INTERRUPTED = 130

# Their messages say what is wrong; those of other errors do not without their type.
_TELLING = (ValueError, TypeError, IndexError, KeyError, OSError, RuntimeError, ImportError)
# Messages speak to Python; where they advise an argument, the command line has an option.
_OPTIONS = {
    "method": "--method",
    "output": "--output",
    "layer": "--layer",
    "mask": "--mask",
    "n_masks": "--masks",
    "signed_activations": "--option signed_activations=",
    "top_k": "--top-k",
    "score_threshold": "--score-threshold",
    "label_names": "--labels",
    "text": "--text",
    "layout": "--layout",
    "boxes": "--boxes",
    "scores": "--scores",
    "size": "--canvas",
}
_ARGUMENT = re.compile(rf"\b({'|'.join(_OPTIONS)})=(?:'([\w.+-]+)'|(?=[\s,.;]|$))")
_METHOD_OPTION = re.compile(r"(method='[\w.+-]+' with )(\w+=)(\w+)")
# What lists or finds layers in Python: " (detector.target_layers())", " (model.named_modules())".
_CALL = re.compile(r" \((?:detector|model)\.\w+\([\w, ]*\)\)")
_PACKAGE = str(Path(__file__).resolve().parents[1])
_LONGEST, _ADVICE = 600, 200  # characters; what to do stands at the end
_Item = TypeVar("_Item")


class CommandError(Exception):
    """Ends the command with exit code 2; the message is one line for the user."""


def say(text: str) -> None:
    """Write a result to stdout, above a progress bar if there is one.

    Raises:
        OSError: if stdout is closed or full.
    """
    if sys.stdout is None:
        raise OSError("standard output is closed.")
    try:
        _write(text, sys.stdout)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(f"standard output cannot be written: {error.strerror}.") from error


def complain(
    problem: str | BaseException,
    *,
    about: str = "",
    kind: str = "error",
    with_traceback: bool = False,
) -> None:
    """Write one line about a problem to stderr; before it the traceback, if asked for."""
    lines = []
    if with_traceback and isinstance(problem, BaseException):
        lines.append("".join(traceback.format_exception(problem)).rstrip())
    text = one_line(problem)
    if about and about not in text:
        text = f"{about}: {text}"
    lines.append(f"captum-ssgc: {kind}: {text}" if kind else f"captum-ssgc: {text}")
    if sys.stderr is not None:
        with contextlib.suppress(OSError):  # nobody is left who could be told
            _write("\n".join(lines), sys.stderr)


def one_line(problem: str | BaseException) -> str:
    """The message on one line; the error's type where the message alone does not tell."""
    if isinstance(problem, str):
        text = problem
    else:
        text, name = as_options(str(problem)), type(problem).__name__
        if isinstance(problem, MemoryError):
            text = "out of memory; try a smaller image or --batch-size"
        elif isinstance(problem, KeyError):
            text = f"unknown name {text}"
        elif not isinstance(problem, (CommandError, *_TELLING)) or not text:
            text = f"{name}: {text}" if text else name
    text = " ".join(text.split())
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST - _ADVICE - 5]} ... {text[-_ADVICE:]}"


def as_options(text: str) -> str:
    """A message in which arguments of Python are options of the command line, without its calls.

    Example:
        >>> from captum_ssgc.cli.messages import as_options
        >>> as_options("what is left: method='d-rise'; or choose with layout= and scores=.")
        'what is left: --method d-rise; or choose with --layout and --scores.'
        >>> as_options("use one of 'fine', 'coarse' (detector.target_layers()).")
        "use one of 'fine', 'coarse'."
    """

    def option(match: re.Match[str]) -> str:
        name, value = _OPTIONS[match[1]], match[2] or ""
        return name + value if name.endswith("=") or not value else f"{name} {value}"

    text = _CALL.sub("", text)
    text = _METHOD_OPTION.sub(lambda one: f"{one[1]}--option {one[2]}{one[3].lower()}", text)
    return _ARGUMENT.sub(option, text)


@contextmanager
def warnings_as_lines(about: str) -> Iterator[None]:
    """Turn this package's warnings into lines on stderr, each once, and drop those of others."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    ours = [
        one
        for one in caught
        if issubclass(one.category, OwnWarning) or one.filename.startswith(_PACKAGE)
    ]
    for text in dict.fromkeys(str(one.message) for one in ours):
        complain(as_options(text), about=about, kind="warning")


def on_screen() -> bool:
    """Whether somebody may be watching stderr."""
    return sys.stderr.isatty()


def progress(items: Sequence[_Item], unit: str) -> Iterable[_Item]:
    """Go through ``items`` with a progress bar if there are several and stderr is a terminal."""
    quiet = len(items) < 2 or not on_screen()
    return tqdm(items, unit=unit, file=sys.stderr, leave=False, disable=quiet)


@contextmanager
def forwards_shown(model: nn.Module) -> Iterator[None]:
    """Count the forwards of ``model`` on the terminal if they take more than a moment."""
    if not on_screen():
        yield
        return
    from captum_ssgc._hooks import forward_hooks

    with tqdm(unit=" forwards", file=sys.stderr, leave=False, delay=1.0) as bar:

        def count(*_: object) -> None:
            bar.update()

        # Before the forward: adapters end it as soon as they have seen what they need.
        with forward_hooks(before={model: count}):
            yield


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """Columns as wide as their longest entry; those named in ``right`` are aligned right."""
    lines = [[printable(entry) for entry in row] for row in (head, *rows)]
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
    text = "\n".join(map(printable, text.split("\n")))
    tqdm.write(text.encode(encoding, "replace").decode(encoding), file=stream)
    stream.flush()
