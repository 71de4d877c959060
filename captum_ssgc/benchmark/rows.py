"""The rows of the table that are methods: one method may stand there with different options."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from captum_ssgc._arguments import shown
from captum_ssgc._outputs import (
    Output,
    is_contrast,
    parse_output,
    stored_output,
    written_output,
)
from captum_ssgc.attr import METHODS, LayerMethod, Method, method_named
from captum_ssgc.benchmark.checks import plain_number
from captum_ssgc.benchmark.floor_names import FLOORS


class _Fixed(dict[str, Any]):
    """Options that cannot be changed, but copied, sent and stored as any dictionary."""

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError("the options of a row do not support item assignment; make another row.")

    __setitem__ = __delitem__ = __ior__ = _refuse
    update = pop = popitem = clear = setdefault = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return _Fixed, (dict(self),)


@dataclass(frozen=True, eq=False)
class MethodRow:
    """One method with the options that set it apart from the run's own settings.

    Args:
        method: one of :data:`captum_ssgc.attr.METHODS`.
        options: arguments of the method, and ``output`` where it is made of gradients; numbers,
            texts, ``None``, or lists of numbers; they cannot be changed afterwards.

    Raises:
        TypeError, ValueError: for an unknown method, one that is called as a floor is, an option
            that it does not take, or a value that cannot be written to the file of the run.

    Example:
        >>> from captum_ssgc.benchmark import MethodRow
        >>> row = MethodRow("ssgrad-cam++", {"output": "logit", "mask": None})
        >>> row.key, row.title
        ('ssgrad-cam++[mask=none,output=logit]', 'SSGrad-CAM++ [mask=none, output=logit]')
    """

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        entry = method_named(self.method)
        if self.method in FLOORS:
            raise ValueError(
                f"method: {self.method!r} is the name of a floor of the benchmark, which would be "
                f"mixed up with {entry.__name__}: register it under another name."
            )
        if not isinstance(self.options, Mapping):
            kind = type(self.options).__name__
            raise TypeError(f"options of {self.method}: expected a mapping, got {kind}.")
        entry.check_options(self.options, f"options of {self.method}", options_of(entry))
        try:
            values, own = {}, {}
            for name, value in sorted(self.options.items()):
                if entry.gradient_based and name == "output":
                    values[name] = output_for_all(value)
                else:
                    values[name] = own[name] = _storable(name, value)
            entry.check_values(own)
        except TypeError as error:
            raise TypeError(f"options of {self.method}: {error}") from None
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"options of {self.method}: {error}") from None
        object.__setattr__(self, "options", _Fixed(values))

    def __eq__(self, other: object) -> bool:
        """The same method with options that are equal in kind as well: ``True`` is not 1."""
        return isinstance(other, MethodRow) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> str:
        options = {name: _unified(value) for name, value in self.options.items()}
        return json.dumps([self.method, options])

    def as_json(self) -> str | list[Any]:
        """For the file of a run; :func:`rows_named` reads it."""
        if not self.options:
            return self.method
        stored = {name: _stored(value) for name, value in self.options.items()}
        return [self.method, stored]

    @property
    def key(self) -> str:
        """What names the row in records and files."""
        return self.method + self._written(",", "")

    @property
    def title(self) -> str:
        """The row for readers."""
        return METHODS[self.method].title + self._written(", ", " ")

    def _written(self, between: str, before: str) -> str:
        options = between.join(f"{name}={_text(value)}" for name, value in self.options.items())
        return f"{before}[{options}]" if options else ""


Methods = str | MethodRow | Iterable[str | MethodRow | tuple[str, Mapping[str, Any]]]


def options_of(entry: type[Method]) -> tuple[str, ...]:
    """Names of the options that a row of this method may have."""
    own = entry.chosen_options()
    return ("output", *own) if issubclass(entry, LayerMethod) else tuple(own)


def rows_named(methods: Any) -> tuple[MethodRow, ...]:
    """The rows that a user names, each once, in the order given.

    Args:
        methods: ``"all"``, a name, a row, or several names, rows and pairs of name and options.

    Raises:
        TypeError, ValueError: if one is no method or there is none.
    """
    if isinstance(methods, str) and methods == "all":
        return tuple(MethodRow(name) for name in METHODS)
    entries = [methods] if isinstance(methods, (str, MethodRow)) else _listed(methods)
    rows = [_row(entry) for entry in entries]
    if not rows:
        raise ValueError(f"method: expected at least one of {', '.join(METHODS)}, got none.")
    known: dict[str, MethodRow] = {}
    for row in rows:
        other = known.setdefault(row.key, row)
        if other != row:
            raise ValueError(
                f"methods: {row.key!r} would stand for two rows, with the options "
                f"{dict(other.options)} and {dict(row.options)}: leave one out, or give it a value "
                "that is written differently."
            )
    return tuple(known.values())


def _listed(methods: Any) -> list[Any]:
    if isinstance(methods, Iterable) and not isinstance(methods, Mapping):
        return list(methods)
    raise TypeError(f"methods: expected names of methods, got {methods!r}.")


def _row(entry: Any) -> MethodRow:
    if isinstance(entry, MethodRow):
        return entry
    if isinstance(entry, str):
        return MethodRow(entry)
    if isinstance(entry, (tuple, list)) and len(entry) == 2 and isinstance(entry[0], str):
        return MethodRow(*entry)
    raise TypeError(
        f"methods: expected names of methods, or pairs of a name and its options, got {entry!r}."
    )


def output_for_all(value: Any) -> Output:
    """What is explained of the detections of many images.

    Raises:
        TypeError, ValueError: if it is no output, or has another label for each detection.
    """
    output = parse_output(value)
    if is_contrast(output) and isinstance(output[1], tuple):
        raise ValueError(
            "output: expected one other label, as there are the detections of many images, got "
            f"{shown(value)}."
        )
    return output


def _storable(name: str, value: Any) -> Any:
    """``value`` if the file of a run can hold it, with tuples for lists."""
    if isinstance(value, (tuple, list)):
        numbers = tuple(_plain(one) for one in value)
        if all(isinstance(one, (int, float)) for one in numbers):
            return tuple(_storable(name, one) for one in numbers)
        raise TypeError(f"{name}: expected a number, a text or some numbers, got {shown(value)}.")
    value = _plain(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}: expected a finite number, got {value}.")
    if value is not None and not isinstance(value, (str, int, float)):
        raise TypeError(f"{name}: expected a number, a text or some numbers, got {shown(value)}.")
    return value


def _plain(value: Any) -> Any:
    return bool(value) if isinstance(value, np.bool_) else plain_number(value)


def _unified(value: Any) -> Any:
    """A whole number is the same with and without a point."""
    if isinstance(value, tuple):
        return [_unified(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _stored(value: Any) -> Any:
    return stored_output(cast("Output", value)) if _is_contrast(value) else value


def _is_contrast(value: Any) -> bool:
    """Numbers alone may stand in the tuples of all other options."""
    return isinstance(value, tuple) and "logit" in value


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if _is_contrast(value):
        return written_output(cast("Output", value))
    if isinstance(value, tuple):
        return "x".join(map(_text, value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
