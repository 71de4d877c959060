"""Methods and their options, from the words of the user to what ``explain`` and benchmark take."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from captum_ssgc.cli.hints import close_names
from captum_ssgc.cli.messages import CommandError, complain, one_line, say, table
from captum_ssgc.cli.method_text import parse_methods, parse_option, written

DEFAULT_METHOD = "ssgrad-cam++"
# For help, which must not import torch; a test compares it with the registry.
NAMES = (
    "grad-cam, grad-cam++, d-rise, odam, ssgrad-cam, ssgrad-cam++, layer-cam, hires-cam, "
    "eigen-cam, ssgrad-cam+-, refined-cam"
)

MethodChoice = list[tuple[str, dict[str, Any]]]
"""Names of methods, each with its options."""


class ListMethods(argparse.Action):
    """Prints the methods with their options, and ends the command as ``--help`` does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from captum_ssgc.attr import METHODS

        rows = []
        for name, entry in METHODS.items():
            known = options_of(name).items()
            options = [_with_default(option, default) for option, default in known]
            rows.append([name, entry.title, " ".join(options) or "-"])
        say(table(["method", "title", "options and their defaults"], rows))
        parser.exit()


def options_of(name: str) -> dict[str, Any]:
    """The options of a method that ``--option`` sets, and their defaults."""
    from captum_ssgc.attr import METHODS

    method: Any = METHODS[name]
    defaults: dict[str, Any] = {"output": "score"} if method.gradient_based else {}
    return defaults | method.chosen_options()


def _with_default(option: str, default: Any) -> str:
    return option if default is inspect.Parameter.empty else f"{option}={written(default)}"


def choose_methods(text: str, further: Sequence[str] | None) -> MethodChoice:
    """The methods that a user names, with their options.

    Args:
        text: of ``--method``: names, which may have options in brackets; ``all`` stands for every
            one. What stands there twice counts once.
        further: of ``--option``, each ``NAME=VALUE`` for all methods that take it, or
            ``METHOD.NAME=VALUE`` for one; brackets count more than the latter, and those more
            than the former.

    Raises:
        CommandError: for an unknown method, an option that none of the methods takes, or a text
            that is something else.
    """
    from captum_ssgc.attr import METHODS

    try:
        named = parse_methods(text)
        asked = [parse_option(one) for one in further or ()]
    except ValueError as error:
        raise CommandError(f"--method, --option: {one_line(error)}") from error
    _check_said(named, asked)
    every: MethodChoice = [(name, {}) for name in METHODS]
    methods: MethodChoice = []
    for one in (one for entry in named for one in (every if entry == ("all", {}) else [entry])):
        if one not in methods:
            methods.append(one)
    if not methods:
        raise CommandError(f"--method: expected at least one of {', '.join(METHODS)}, got none.")
    for name, _ in methods:
        if name not in METHODS:
            known = ", ".join(METHODS)
            hint = close_names(name, METHODS)
            raise CommandError(f"--method: expected one of {known}, got {name!r}{hint}")
    taken = {name: list(options_of(name)) for name, _ in methods}
    own = [(name, option, None) for name, options in methods for option in options]
    for method, option, _ in (*asked, *own):
        _check(method, option, taken)
    return [(name, _merged(name, asked, taken[name]) | its) for name, its in methods]


def _check_said(named: MethodChoice, asked: Sequence[tuple[str, str, Any]]) -> None:
    """Refuse ``all[...]``, and name an option whose value does not count, as another does."""
    for own in (own for name, own in named if name == "all" and own):
        options = [f"{option}={written(value)}" for option, value in own.items()]
        raise CommandError(
            f"--method: expected all without brackets, got 'all' with {', '.join(options)}; for "
            f"all methods that take an option: --option {' --option '.join(options)}"
        )
    last = {(method, option): value for method, option, value in asked}
    for (method, option), value in last.items():
        if sum((method, option) == one[:2] for one in asked) > 1:
            name = f"{method}.{option}" if method else option
            complain(f"--option {name} given more than once: {written(value)} counts", kind="note")
        bracketed = [own for name, own in named if name == method]
        if bracketed and all(option in own for own in bracketed):
            complain(
                f"--option {method}.{option} changes nothing: what stands in the brackets of "
                f"{method} counts",
                kind="note",
            )


def _merged(
    name: str, asked: Sequence[tuple[str, str, Any]], taken: Sequence[str]
) -> dict[str, Any]:
    for_all = {option: value for method, option, value in asked if not method}
    for_it = {option: value for method, option, value in asked if method == name}
    return {option: value for option, value in for_all.items() if option in taken} | for_it


def _check(method: str, option: str, taken: Mapping[str, Sequence[str]]) -> None:
    from captum_ssgc.attr import METHODS

    if method and method not in taken:
        raise CommandError(
            f"--option {method}.{option}: {method!r} is none of the chosen methods "
            f"{', '.join(taken)}{close_names(method, taken)}"
        )
    if method and METHODS[method].keywords().any_other:
        return
    asked = [method] if method else list(taken)
    known = {name: taken[name] for name in asked}
    if any(option in names for names in known.values()):
        return
    every = {one for names in known.values() for one in names}
    lists = "; ".join(f"{name} takes {', '.join(names) or 'none'}" for name, names in known.items())
    raise CommandError(
        f"--option {option}: no chosen method takes it: {lists}{close_names(option, every)}"
    )
