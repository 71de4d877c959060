"""JSON read as frozen dataclasses: a value that has not the type of its field is refused."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
from collections.abc import Hashable
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def read_as(kind: type[T], value: Any, place: str) -> T:
    """``value``, as ``json.loads`` gives it, as an instance of the dataclass ``kind``.

    Fields may be ``int``, ``float`` (finite), ``str``, dataclasses, ``tuple[X, ...]``,
    ``dict[str, X]``, and any of these or ``None``.

    Raises:
        ValueError: if something is missing, superfluous or of another type, with its place.
    """
    if not isinstance(value, dict):
        raise _unexpected(place, "an object", value)
    hints = _hints(cast(Hashable, kind))
    if value.keys() != hints.keys():
        odd = sorted(map(str, value.keys() ^ hints.keys()))
        raise ValueError(f"{place}: expected {', '.join(hints)}; {odd[0]} does not fit.")
    return kind(**{name: _read(hints[name], value[name], f"{place}.{name}") for name in hints})


def _read(kind: Any, value: Any, place: str) -> Any:
    if kind is float:
        if type(value) in (int, float) and math.isfinite(value):
            return float(value)
        raise _unexpected(place, "a finite number", value)
    if kind in (int, str):
        if type(value) is kind:
            return value
        raise _unexpected(place, "a whole number" if kind is int else "a text", value)
    if dataclasses.is_dataclass(kind):
        return read_as(kind, value, place)  # type: ignore[arg-type]
    arguments = get_args(kind)
    if get_origin(kind) is types.UnionType:
        return None if value is None else _read(arguments[0], value, place)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise _unexpected(place, "a list", value)
        return tuple(_read(arguments[0], one, f"{place}[{at}]") for at, one in enumerate(value))
    if not isinstance(value, dict):
        raise _unexpected(place, "an object", value)
    return {name: _read(arguments[1], one, f"{place}.{name}") for name, one in value.items()}


@functools.cache
def _hints(kind: Hashable) -> dict[str, Any]:
    return get_type_hints(kind)


def _unexpected(place: str, expected: str, value: Any) -> ValueError:
    return ValueError(f"{place}: expected {expected}, got {repr(value)[:60]}.")
