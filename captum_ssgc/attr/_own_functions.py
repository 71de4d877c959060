"""Functions that users write: what they take by keyword, what they are given, what they give."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from captum_ssgc._arguments import shown
from captum_ssgc._warnings import warn_user

REQUIRED: Any = inspect.Parameter.empty
_IN_A_ROW = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class Keywords:
    """What a function takes by keyword after its first arguments.

    Args:
        defaults: by name, in order; :data:`REQUIRED` where there is none.
        any_other: whether it takes what it does not name, or nobody can tell.
    """

    defaults: Mapping[str, Any]
    any_other: bool = False

    @classmethod
    def checked(cls, function: Callable[..., Any], leading: int, expected: str) -> Keywords:
        """As :meth:`of`, with an error that begins with what was ``expected``."""
        try:
            return cls.of(function, leading)
        except TypeError as error:
            raise TypeError(f"{expected}; {error}.") from None

    @classmethod
    def of(cls, function: Callable[..., Any], leading: int) -> Keywords:
        """Those of a function, a module, or whatever else can be called.

        A wrapper is what it says itself, not what it wraps, but for ``**kwargs``, which it hands
        on.

        Args:
            function: to be called with ``leading`` arguments by position.
            leading: see ``function``.

        Raises:
            TypeError: if it cannot be called like that.
        """
        if inspect.ismethod(function):
            return cls.of(function.__func__, leading + 1)
        behind = getattr(function, "__wrapped__", None)
        if isinstance(function, nn.Module):
            behind = function.forward
        try:
            signature = inspect.signature(function, follow_wrapped=False)
        except ValueError:  # of a built-in or compiled function
            return cls({}, any_other=True)
        entries = list(signature.parameters.values())
        first = [one for one in entries if one.kind in _IN_A_ROW][:leading]
        further = [one for one in entries if one.kind in _BY_NAME and one not in first]
        defaults = {one.name: one.default for one in further}
        needed = {name: None for name, default in defaults.items() if default is REQUIRED}
        signature.bind(*[None] * leading, **needed)
        any_other = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in entries)
        if any_other and behind is not None:
            with suppress(TypeError):  # called in another way
                handed_on = cls.of(behind, leading)
                return cls({**handed_on.defaults, **defaults}, handed_on.any_other)
        return cls(defaults, any_other)


def copied(values: Any) -> Any:
    """Tensors, arrays, lists and dictionaries of them, for a function that may write to them."""
    return tree_map(_copy, values)


def _copy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    return value.copy() if isinstance(value, np.ndarray) else value


def checked_maps(
    maps: Any, expected: Sequence[int], caller: str, which: str, repeats: bool = False
) -> Tensor:
    """What a function gave: real, at least in single precision, of the expected shape, no graph.

    Args:
        maps: of the function.
        expected: the shape.
        caller: that gave them, for an error.
        which: maps are expected, for an error.
        repeats: an axis of length 1 will do but for the first one: the same all along it.

    Raises:
        ValueError: if they are something else.
    """
    shape = tuple(maps.shape) if isinstance(maps, Tensor) else ()
    fits = len(shape) == len(expected) and all(
        own == one or (own == 1 and repeats and axis > 0)
        for axis, (own, one) in enumerate(zip(shape, expected))
    )
    if not fits or maps.is_complex():
        got = f"a tensor of shape {shape}" if isinstance(maps, Tensor) else shown(maps)
        got += f" of {maps.dtype}" if fits else ""
        raise ValueError(f"{caller}: expected maps of shape {tuple(expected)}, {which}, got {got}.")
    real: Tensor = maps.detach()
    return real.to(torch.promote_types(real.dtype, torch.float32))


def warn_of_empty(
    title: str,
    peaks: Sequence[float],
    why_not_finite: Callable[[], str],
    why_zero: Callable[[list[int]], str],
    known: Container[int] = (),
) -> None:
    """Warn of maps that are all zero or not finite, with the likely cause.

    Args:
        title: of the method.
        peaks: the largest absolute value of each map.
        why_not_finite: the cause, as a sentence without full stop.
        why_zero: the same, of the maps of these rows.
        known: rows whose maps are zero for a reason that was told already.
    """
    broken = sum(not math.isfinite(peak) for peak in peaks)
    if broken:
        warn_user(f"{broken} map(s) of {title} are not finite: {why_not_finite()}.")
    empty = [row for row, peak in enumerate(peaks) if peak == 0 and row not in known]
    if empty:
        warn_user(f"{len(empty)} all-zero map(s) of {title}: {why_zero(empty)}.")
