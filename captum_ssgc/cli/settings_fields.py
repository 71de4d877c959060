"""Options that are the fields of a run's settings."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from dataclasses import Field, fields
from typing import Any

from captum_ssgc.cli.method_text import parse_value, written
from captum_ssgc.cli.options import add_option, comma_separated


def add_fields(
    group: argparse._ArgumentGroup,
    settings: Any,
    flags: Mapping[str, str],
    without: Collection[str] = (),
) -> None:
    """One option for each field; what is given is checked by the settings themselves.

    Args:
        group: of the options.
        settings: a dataclass whose fields have their help in ``metadata``.
        flags: the command line's words for what the settings call otherwise.
        without: fields that are no such option.
    """
    for field in fields(settings):
        if field.name in without:
            continue
        default = "" if field.default is None else f" (default: {_written(field.default)})"
        add_option(
            group,
            flags.get(field.name, f"--{field.name.replace('_', '-')}"),
            dest=field.name,
            metavar="NAME[,NAME...]" if _has_names(field) else "VALUE",
            type=_names if _has_names(field) else _value,
            default=field.default,
            help=f"{field.metadata['help']}{default}",
        )


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
