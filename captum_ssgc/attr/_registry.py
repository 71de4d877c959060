"""Every method by name: what ``explain``, the command line and the benchmark offer.

To add a method: a map function in :mod:`captum_ssgc.attr._maps`, a class with its docstring and
``maps = staticmethod(...)`` beside the others, a slow version of the formula with a test, and one
line here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from captum_ssgc.attr import _maps
from captum_ssgc.attr._options import Maps, option_names


@dataclass(frozen=True)
class Method:
    """One attribution method.

    Args:
        name: as users type it.
        title: as the literature writes it.
        maps: ``(activations, gradients, ...)`` to contributions ``(N, C, h, w)``; ``None`` for a
            method that is not made of gradients.
    """

    name: str
    title: str
    maps: Maps | None

    @property
    def gradient_based(self) -> bool:
        """Whether its map is a function of activations and gradients of a layer."""
        return self.maps is not None

    def bound(self, **options: Any) -> Maps:
        """The map function with some of its keywords set.

        Raises:
            TypeError: if the method is not made of gradients.
        """
        if self.maps is None:
            raise TypeError(f"{self.title} is no function of activations and gradients.")
        return partial(self.maps, **options)

    @property
    def uses_mask(self) -> bool:
        """Whether it looks at the mask of the instance."""
        return self.maps is not None and "mask" in option_names(self.maps)


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("grad-cam", "Grad-CAM", _maps.grad_cam),
        Method("grad-cam++", "Grad-CAM++", _maps.grad_cam_plus_plus),
        Method("d-rise", "D-RISE", None),
        Method("odam", "ODAM", _maps.odam),
        Method("ssgrad-cam", "SSGrad-CAM", _maps.ssgrad_cam),
        Method("ssgrad-cam++", "SSGrad-CAM++", _maps.ssgrad_cam_plus_plus),
    )
}


def method_named(name: str) -> Method:
    """The method called ``name``.

    Raises:
        ValueError: if there is none, with the names there are.
    """
    if name not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {name!r}.")
    return METHODS[name]


def methods_named(names: str | Iterable[str]) -> list[Method]:
    """The methods of one name, of several, or all of them for ``"all"``, each once.

    Raises:
        ValueError: if one is not known, or there is none.
    """
    if names == "all":
        return list(METHODS.values())
    chosen = [method_named(name) for name in ([names] if isinstance(names, str) else names)]
    if not chosen:
        raise ValueError(f"method: expected at least one of {', '.join(METHODS)}, got none.")
    return list(dict.fromkeys(chosen))
