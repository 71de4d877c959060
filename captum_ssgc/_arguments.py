"""Checks of what users pass: an error names the argument, what was expected and what came."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np
import torch
from torch import Tensor

NUMBERS = (int, float, np.integer, np.floating)
_SHOWN = 80


def shown(value: object) -> str:
    """A value in one short line."""
    if isinstance(value, Tensor) and value.numel() != 1:
        return f"a tensor of shape {tuple(value.shape)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= _SHOWN else f"a {type(value).__name__} ({text[:_SHOWN]}...)"


def whole_numbers(name: str, value: object) -> list[int]:
    """An int, a list of them, or a tensor of at most one dimension, as a list.

    Raises:
        TypeError: if it is something else.
    """
    wrong = TypeError(f"{name}: expected int, a list of int or an int tensor, got {shown(value)}.")
    # Torch makes numbers of bytes, and of some truth values, and calls nothing floating point.
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        raise wrong
    if isinstance(value, Sequence):
        if not len(value):
            return []
        if any(_is_bool(entry) for entry in value):
            raise wrong
    try:
        index = torch.as_tensor(value, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        raise wrong from None
    if index.dtype.is_floating_point or index.dtype.is_complex or index.dtype == torch.bool:
        raise wrong
    if index.dim() > 1:
        raise wrong
    return index.reshape(-1).tolist()


def _is_bool(value: object) -> bool:
    own = isinstance(value, (bool, np.bool_))
    return own or (isinstance(value, Tensor) and value.dtype == torch.bool)


def check_whole_number(name: str, value: object, otherwise: str = "") -> None:
    """Raise ``TypeError`` unless it is an integer, and ``ValueError`` unless it is positive."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name}: expected a whole number{otherwise}, got {shown(value)}.")
    if value < 1:
        more = f",{otherwise} for all" if otherwise else ""
        raise ValueError(f"{name}: expected at least 1{more}, got {value}.")


def check_number(name: str, value: object) -> None:
    """Raise ``TypeError`` unless it is a real number."""
    if isinstance(value, bool) or not isinstance(value, NUMBERS):
        raise TypeError(f"{name}: expected a number, got {shown(value)}.")


def check_share(name: str, value: float) -> None:
    """Raise ``TypeError`` unless it is a number, and ``ValueError`` unless it is in [0, 1]."""
    check_number(name, value)
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name}: expected a value in [0, 1], got {value}.")


def check_choice(name: str, value: object, choices: Sequence[str], more: str = "") -> None:
    """Raise ``ValueError`` unless it is one of these strings."""
    if not (isinstance(value, str) and value in choices):
        known = ", ".join(choices)
        raise ValueError(f"{name}: expected one of {known}{more}, got {shown(value)}.")
