"""Values of a COCO file, checked one by one: what is wrong is said with its place and value."""

from __future__ import annotations

import json
import os
from numbers import Integral
from typing import Any

LARGEST = 10**7
"""Coordinates and sizes in pixels beyond it are taken for errors."""
_SHOWN = 60


class MalformedError(ValueError):
    """Something in the file cannot be used; the message names place and value.

    Args:
        place: such as ``annotations[17].bbox[2]``.
        expected: what should stand there.
        value: what does.
        reason: the kind of problem in a few words, to count by.
    """

    def __init__(self, place: str, expected: str, value: Any, reason: str = "") -> None:
        super().__init__(place, expected, value, reason)  # what pickle makes it from again
        self.message = f"{place}: expected {expected}, got {shown(value)}."
        self.reason = reason

    def __str__(self) -> str:
        return self.message


def shown(value: Any) -> str:
    """A value as it stands in the file, cut short."""
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def identifier(value: Any) -> int | str | None:
    """An id; ``None`` if it cannot be one.

    Ids are whole numbers or texts; a text or fraction that is a whole number, as some exporters
    write them, is the number.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, str) and len(value) < 20 and value.isascii():
        digits = value.removeprefix("-")
        if digits.isdecimal() and str(int(value)) == value:
            return int(value)
    if isinstance(value, str):
        return value or None
    # A user's own ids may be NumPy's integers.
    return int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None


def number(value: Any, place: str, low: float = -LARGEST, high: float = LARGEST) -> float:
    """A number in a range, both ends included.

    Raises:
        MalformedError: if it is anything else; NaN and infinity are out of every range.
    """
    if type(value) not in (int, float):
        raise MalformedError(place, "a number", value)
    if not low <= value <= high:
        raise MalformedError(place, f"a number from {low:g} to {high:g}", value)
    return float(value)


def four_numbers(value: Any, place: str) -> tuple[float, ...]:
    """The numbers of a box.

    Raises:
        MalformedError: if they are none, or not four.
    """
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        raise MalformedError(place, "four numbers", value)
    return tuple(number(one, f"{place}[{at}]") for at, one in enumerate(value))


def pixels(value: Any, place: str) -> int:
    """A height or width.

    Raises:
        MalformedError: if it is no whole number from 1 to :data:`LARGEST`.
    """
    whole = identifier(value)
    if not isinstance(whole, int) or isinstance(value, str) or not 1 <= whole <= LARGEST:
        raise MalformedError(place, f"a whole number from 1 to {LARGEST}", value)
    return whole


def file_name(value: Any, place: str) -> str:
    """The name of a file that a system can look for.

    Raises:
        MalformedError: if it is none.
    """
    expected = "the name of a file"
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise MalformedError(place, expected, value)
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        raise MalformedError(place, expected, value) from None
    return value
