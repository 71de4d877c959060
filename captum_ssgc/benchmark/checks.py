"""Checks of single settings, so that a wrong one is named before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any


def plain_number(value: Any) -> Any:
    """A number, also one of NumPy's, as Python's own, which a file can hold; else ``value``."""
    if isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value


def whole_number(name: str, value: Any, least: int, most: int) -> int:
    """``value`` if it is a whole number in the range.

    Raises:
        TypeError: if it is no whole number.
        ValueError: if it is out of the range.
    """
    value = plain_number(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected a whole number, got {_shown(value)}.")
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, got {value}.")
    if value > most:
        raise ValueError(f"{name}: expected at most {most}, got {value}.")
    return value


def share(name: str, value: Any) -> float:
    """``value`` if it is a number in [0, 1].

    Raises:
        TypeError: if it is no number.
        ValueError: if it is out of the range.
    """
    value = plain_number(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: expected a number in [0, 1] or None, got {_shown(value)}.")
    if not (math.isfinite(value) and 0.0 <= value <= 1.0):
        raise ValueError(f"{name}: expected a number in [0, 1] or None, got {value!r}.")
    return value


def texts(name: str, value: Any) -> tuple[str, ...]:
    """One text, or several in a list or a tuple, as a tuple.

    Raises:
        TypeError: if they are something else.
    """
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence) and all(isinstance(entry, str) for entry in value):
        return tuple(value)
    raise TypeError(f"{name}: expected a text or several, got {_shown(value)}.")


def text(name: str, value: Any) -> str:
    """``value`` if it is a text.

    Raises:
        TypeError: if it is something else.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected a text, got {_shown(value)}.")
    return value


def grid_of_cells(name: str, value: Any) -> tuple[int, int]:
    """``value`` if it is two numbers of cells ``(h, w)``, each from 1 to 1024.

    Raises:
        TypeError: if it is something else.
        ValueError: if a number is out of the range.
    """
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{name}: expected two whole numbers (h, w), got {_shown(value)}.")
    height, width = (whole_number(name, cells, 1, 1024) for cells in value)
    return height, width


def _shown(value: object) -> str:
    from captum_ssgc._arguments import shown  # imports torch, which help must not

    return shown(value)
