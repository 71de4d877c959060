"""Every method by name: what ``explain``, the command line and the benchmark offer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from captum_ssgc.attr import _maps


@dataclass(frozen=True)
class Method:
    """One attribution method.

    Args:
        name: as users type it.
        title: as the literature writes it.
        maps: ``(activations, gradients, mask)`` to contributions ``(N, C, h, w)``.
        uses_mask: whether the method looks at the mask.
    """

    name: str
    title: str
    maps: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    uses_mask: bool = False


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("ssgrad-cam++", "SSGrad-CAM++", _maps.ssgrad_cam_plus_plus, uses_mask=True),
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
