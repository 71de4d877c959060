"""Whether this process was asked to end.

``KeyboardInterrupt`` says so, but code that calls Python from C may make another error of it, and
vendors' code may swallow it. Who goes on after errors asks here first.
"""

from __future__ import annotations

_came = False


def note_interrupt() -> None:
    """An interrupt has come; the command line's handler calls this."""
    global _came
    _came = True


def interrupted() -> bool:
    """Whether one has come."""
    return _came


def raise_if_interrupted() -> None:
    """Raise ``KeyboardInterrupt`` if one has come, and was lost on the way."""
    if _came:
        raise KeyboardInterrupt
