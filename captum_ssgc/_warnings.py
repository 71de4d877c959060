"""Warnings that point at the user's own line."""

from __future__ import annotations

import sys
import warnings

_BETWEEN = ("captum_ssgc", "captum", "contextlib", "torch")


class OwnWarning(UserWarning):
    """What this package warns of, for those who show that only."""


def warn_user(message: str) -> None:
    """Warn at the first caller outside this package, Captum and PyTorch."""
    depth, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_between(frame.f_globals.get("__name__", "")):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, OwnWarning, stacklevel=depth)


def _is_between(module: str) -> bool:
    return module.partition(".")[0] in _BETWEEN
