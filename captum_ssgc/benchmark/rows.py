"""The rows of the table that are methods: one method may stand there with different options."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from captum_ssgc._outputs import parse_output
from captum_ssgc.attr import METHODS, LayerMethod, Method, method_named
from captum_ssgc.benchmark.checks import text


@dataclass(frozen=True)
class MethodRow:
    """One method with the options that set it apart from the run's own settings.

    Args:
        method: one of :data:`captum_ssgc.attr.METHODS`.
        options: arguments of the method, and ``output`` where it is made of gradients; numbers,
            texts, ``None``, or lists of numbers.

    Raises:
        TypeError, ValueError: for an unknown method, an option that it does not take, or a value
            that cannot be written to the file of the run.

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
        if not isinstance(self.options, Mapping):
            kind = type(self.options).__name__
            raise TypeError(f"options of {self.method}: expected a mapping, got {kind}.")
        entry.check_options(self.options, f"options of {self.method}", options_of(entry))
        try:
            values = {name: _storable(name, value) for name, value in sorted(self.options.items())}
            own = dict(values)
            if entry.gradient_based and "output" in own:
                parse_output(text("output", own.pop("output")))
            entry.check_values(own)
        except TypeError as error:
            raise TypeError(f"options of {self.method}: {error}") from None
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"options of {self.method}: {error}") from None
        object.__setattr__(self, "options", values)

    def __hash__(self) -> int:
        return hash(self.key)

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
    own = (name for name in entry.option_names() if name not in _OF_THE_RUN)
    return ("output", *own) if issubclass(entry, LayerMethod) else tuple(own)


# What depends on the settings, or does not change the maps.
_OF_THE_RUN = ("generator", "perturbations_per_eval", "show_progress")


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
    return tuple({row.key: row for row in rows}.values())


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


def _storable(name: str, value: Any) -> Any:
    """``value`` if the file of a run can hold it, with tuples for lists."""
    if isinstance(value, (tuple, list)):
        if all(isinstance(one, (int, float)) for one in value):
            return tuple(_storable(name, one) for one in value)
        raise TypeError(f"{name}: expected a number, a text or some numbers, got {value!r}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}: expected a finite number, got {value}.")
    if value is not None and not isinstance(value, (str, int, float)):
        raise TypeError(f"{name}: expected a number, a text or some numbers, got {value!r}.")
    return value


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
