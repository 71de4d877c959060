"""How methods and their options are written on the command line.

``--method "odam,ssgrad-cam++[output=logit,smoothing=1]"`` and ``--option odam.smoothing=1``.
"""

from __future__ import annotations

import re
from typing import Any

_WORDS = {"true": True, "false": False, "none": None}
_METHOD = re.compile(r"([^\[\],]*)(?:\[([^\[\]]*)\])?\s*(?:,|$)")


def parse_methods(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Methods with their options; a method may stand there more than once.

    Args:
        text: names with commas between them, each with options in brackets where it has some.

    Returns:
        Pairs of a name, which is not looked up, and its options.

    Raises:
        ValueError: if the text is something else.

    Example:
        >>> from captum_ssgc.cli.method_text import parse_methods
        >>> parse_methods("odam, ssgrad-cam++[output=logit, smoothing=1]")
        [('odam', {}), ('ssgrad-cam++', {'output': 'logit', 'smoothing': 1})]
    """
    methods = []
    place = 0
    while place < len(text):
        match = _METHOD.match(text, place)
        if match is None or (match[2] is not None and not match[1].strip()):
            raise ValueError(
                f"expected NAME or NAME[option=value,...] with commas between them, got {text!r} "
                f"(at {text[place:]!r})."
            )
        if match[1].strip():
            methods.append((match[1].strip(), _options(match[2] or "")))
        place = match.end()
    return methods


def parse_option(text: str) -> tuple[str, str, Any]:
    """One option: method, name and value; no method (``""``) means every one that takes it.

    Args:
        text: ``NAME=VALUE`` or ``METHOD.NAME=VALUE``.

    Raises:
        ValueError: if the text is something else.

    Example:
        >>> from captum_ssgc.cli.method_text import parse_option
        >>> parse_option("odam.smoothing=0.5")
        ('odam', 'smoothing', 0.5)
    """
    names, equals, value = text.partition("=")
    method, dot, name = names.rpartition(".")
    if not equals or not name.strip().isidentifier() or bool(dot) != bool(method.strip()):
        raise ValueError(f"expected NAME=VALUE or METHOD.NAME=VALUE, got {text!r}.")
    return method.strip(), name.strip(), parse_value(value)


def parse_value(text: str) -> Any:
    """A number, ``true``, ``false``, ``none``, ``16x16`` as a pair of numbers, or else a word.

    Raises:
        ValueError: if the text is empty.
    """
    text = text.strip()
    if not text:
        raise ValueError("expected a value behind '=', got nothing.")
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    if re.fullmatch(r"[0-9]{1,9}x[0-9]{1,9}", text):
        return tuple(int(side) for side in text.split("x"))
    if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        return float(text)
    return text


def written(value: Any) -> str:
    """What :func:`parse_value` reads as ``value``."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _options(text: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for one in filter(str.strip, text.split(",")):
        method, name, value = parse_option(one)
        if method or name in options:
            problem = f"{name!r} stands there twice" if not method else f"got {one.strip()!r}"
            raise ValueError(f"expected option=value in brackets, each once; {problem}.")
        options[name] = value
    return options
