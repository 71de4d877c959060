"""The command line, ``captum-ssgc``.

A subcommand is a module of this package with ``add_parser(subparsers)``, which sets ``run`` to a
function from the parsed arguments to the exit code, and its name in :data:`COMMANDS`. These
modules import torch only when they run, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import captum_ssgc
from captum_ssgc._interrupts import interrupted
from captum_ssgc._printable import printable
from captum_ssgc.cli.help_format import HelpFormatter
from captum_ssgc.cli.messages import DONE, FAILED, INTERRUPTED, complain, one_line, say

COMMANDS = ("demo", "explain", "evaluate", "benchmark", "audit")

_DESCRIPTION = "Which pixels made the detector find this object? Heat maps for single detections."
_EPILOG = """\
exit codes:
  0  everything was explained
  1  nothing was detected in at least one image
  2  something failed; one line on stderr says what

Start with 'captum-ssgc demo': it needs no model, no image and no network.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: the arguments; ``None`` for those of the process.

    Returns:
        The exit code: 0 done, 1 nothing detected, 2 failed, 130 interrupted.

    Example:
        >>> from captum_ssgc.cli import main
        >>> main(["--version"])  # doctest: +ELLIPSIS
        captum-ssgc ...
        0
    """
    # Pictures are files here; a notebook hands its shell a backend that may not exist outside it.
    os.environ["MPLBACKEND"] = "agg"
    arguments = sys.argv[1:] if argv is None else list(argv)
    code = _run(arguments)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        if code != FAILED and not isinstance(error, BrokenPipeError):
            complain(f"standard output cannot be written: {error.strerror}.")
        _give_up_stdout()
        return FAILED
    return code


def _run(arguments: list[str]) -> int:
    """The last resort for whatever goes wrong: one line, and the traceback only on request."""
    try:
        args = _parse(arguments)
        code: int = args.run(args)
        return code
    except SystemExit as stop:  # argparse: after help or version, or a usage error
        return stop.code if isinstance(stop.code, int) else FAILED
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone
        return FAILED
    except Exception as error:
        if interrupted():  # of which someone has made another error
            complain("interrupted")
            return INTERRUPTED
        complain(error, with_traceback="--traceback" in arguments)
        return FAILED


def _give_up_stdout() -> None:
    """Python writes what is left once more when it exits, and would complain."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, and which notices that nobody hears it."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if message and file is sys.stdout:
            say(message.removesuffix("\n"))
        else:
            super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        text = printable(one_line(message))
        self.exit(FAILED, f"{self.prog}: error: {text} (see '{self.prog} --help')\n")


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = _parser()
    args, unknown = parser.parse_known_args(arguments)
    if unknown:  # quoted, as one of them may be empty
        parser.error(f"unrecognized arguments: {shlex.join(unknown)}")
    for name, value in vars(args).items():
        # What argparse makes of "--name=--": before Python 3.13 an empty list, since then the text.
        if value == [] or str(value) == "--":
            parser.error(f"argument --{name.replace('_', '-')}: expected one argument")
    return args


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="captum-ssgc",
        usage="captum-ssgc COMMAND ...",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action="version", version=f"captum-ssgc {captum_ssgc.__version__}"
    )

    def show_help(args: argparse.Namespace) -> int:
        parser.print_help()
        return DONE

    parser.set_defaults(run=show_help)
    subparsers = parser.add_subparsers(prog="captum-ssgc", title="commands", metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f"captum_ssgc.cli.{name}").add_parser(subparsers)
    return parser
