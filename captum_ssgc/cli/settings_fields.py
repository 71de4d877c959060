"""Options that are the fields of a run's settings."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import Field, fields
from typing import Any

from captum_ssgc.cli.method_text import parse_value, written
from captum_ssgc.cli.options import add_option, comma_separated

# The words of the command line for what the settings call otherwise.
_FLAGS = {
    "drise_masks": "--masks",
    "iou_above": "--iou-threshold",
    "max_detections": "--top-k",
    "score_above": "--score-threshold",
}


def add_fields(
    group: argparse._ArgumentGroup, settings: Any, without: Collection[str] = ()
) -> None:
    """One option for each field; what is given is checked by the settings themselves.

    Args:
        group: of the options.
        settings: a dataclass whose fields have their help in ``metadata``.
        without: fields that are no such option.
    """
    for field in fields(settings):
        if field.name in without:
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


def said_of_options(message: str) -> str:
    """What the settings say of a field, with the option's word for it."""
    name, colon, rest = message.partition(":")
    return f"{_FLAGS[name]}:{rest}" if colon and name in _FLAGS else message


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
