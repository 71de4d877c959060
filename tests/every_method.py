"""What is asked of every method of activations and gradients that is registered."""

from __future__ import annotations

from typing import Any

from captum_ssgc.attr import METHODS

OTHER_OPTIONS: dict[str, Any] = {
    "smoothing": 0.7,
    "signed_activations": "as_is",
    "mask": None,
    "halo": 0.2,
}


def every_method() -> list[tuple[str, dict[str, Any]]]:
    """Each with its defaults, and again with each option changed."""
    asked: list[tuple[str, dict[str, Any]]] = []
    for name, method in METHODS.items():
        if method.gradient_based:
            names = method.option_names()
            changed = [{one: value} for one, value in OTHER_OPTIONS.items() if one in names]
            asked += [(name, {}), *((name, options) for options in changed)]
    return asked
