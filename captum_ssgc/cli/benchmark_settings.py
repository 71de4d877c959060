"""The options of ``captum-ssgc benchmark`` that are fields of its settings."""

from __future__ import annotations

import argparse
from dataclasses import Field, fields
from typing import Any

from captum_ssgc.benchmark.settings import BenchmarkSettings
from captum_ssgc.cli.messages import CommandError, one_line
from captum_ssgc.cli.method_options import choose_methods
from captum_ssgc.cli.method_text import parse_value, written
from captum_ssgc.cli.options import add_method_options, add_option, comma_separated

# The command line's words for what the settings call otherwise.
_FLAGS = {"drise_masks": "--masks"}


def add_settings(group: argparse._ArgumentGroup) -> None:
    """One option for each setting; what is given is checked by the settings themselves."""
    for field in fields(BenchmarkSettings):
        if field.name == "methods":
            more = "one method may stand there again with other options"
            add_method_options(group, "--methods", field.default, more)
            continue
        default = "" if field.default is None else f" (default: {_written(field.default)})"
        add_option(
            group,
            _FLAGS.get(field.name, f"--{field.name.replace('_', '-')}"),
            dest=field.name,
            metavar="NAME[,NAME...]" if _has_names(field) else "VALUE",
            type=_names if _has_names(field) else _value,
            default=field.default,
            help=f"{field.metadata['help']}{default}",
        )


def settings_of(args: argparse.Namespace) -> BenchmarkSettings:
    """What :func:`add_settings` read.

    Raises:
        CommandError: for a method, an option or a value that cannot be.
    """
    methods = choose_methods(args.methods, args.option)
    values = {field.name: getattr(args, field.name) for field in fields(BenchmarkSettings)}
    try:
        return BenchmarkSettings(**{**values, "methods": methods})
    except (TypeError, ValueError) as error:
        raise CommandError(one_line(error)) from error


def _has_names(field: Field[Any]) -> bool:
    return str(field.type).startswith("tuple[str")


def _value(text: str) -> Any:
    try:
        return parse_value(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a value, got {text!r}") from None


def _names(text: str) -> tuple[str, ...]:
    names = tuple(comma_separated(text) or ())
    return () if names == ("none",) else names


def _written(default: Any) -> str:
    if isinstance(default, tuple) and isinstance(default[0], str):
        return ", ".join(default)
    return written(default)
