"""The command line, ``captum-ssgc``.

A subcommand is a module of this package with ``add_parser(subparsers)``, which sets ``run`` to a
function from the parsed arguments to the exit code, and its name in :data:`COMMANDS`. These
modules import torch only when they run, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import captum_ssgc
from captum_ssgc.cli.help_format import HelpFormatter
from captum_ssgc.cli.messages import FAILED, CommandError, complain

COMMANDS = ("demo", "explain", "evaluate", "benchmark")

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
        The exit code: 0 done, 1 nothing detected, 2 failed.

    Example:
        >>> from captum_ssgc.cli import main
        >>> main(["--version"])  # doctest: +ELLIPSIS
        captum-ssgc ...
        0
    """
    parser = _parser()
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else FAILED
    if args.run is None:
        parser.print_help()
        return 0
    try:
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except CommandError as error:
        complain(error, with_traceback=args.traceback)
        return FAILED
    except BrokenPipeError:
        # The reader of our output has gone; Python would complain once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        complain("interrupted")
        return 130


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(FAILED, f"{self.prog}: error: {message} (see '{self.prog} --help')\n")


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
    parser.set_defaults(run=None)
    subparsers = parser.add_subparsers(prog="captum-ssgc", title="commands", metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f"captum_ssgc.cli.{name}").add_parser(subparsers)
    return parser
