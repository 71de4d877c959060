"""Arguments that some methods have and others have not, each defined once.

A method takes the keywords of its map function (:mod:`captum_ssgc.attr._maps`);
:func:`spelled_out` writes them into the signature and the docstring that users see.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypedDict

from torch import Tensor

from captum_ssgc.attr._maps import SignedActivations
from captum_ssgc.attr._masks import Mask

Maps = Callable[..., Tensor]


class MapArguments(TypedDict, total=False):
    """All of them, for type checkers."""

    mask: Mask
    smoothing: float
    signed_activations: SignedActivations


DEFAULT_MASK: Mask = "region"
DESCRIPTIONS = {
    "mask": (
        '``"region"``: what the score was computed from (proposal or anchor); ``"box"``: the '
        "predicted box; a tensor, non-zero inside, ``(1|N, 1|C, H, W)`` in image pixels or "
        "``(1|N, 1|C, h, w)`` on the layer's grid, where ``N`` counts the instances; ``None``: "
        'everywhere. ``"region"`` and ``"box"`` need :class:`captum_ssgc.InstanceScoreWrapper`.'
    ),
    "smoothing": (
        "standard deviation, in cells, of a Gaussian applied to the gradient (ODAM) or to its "
        "magnitude before the space map is normalised (SSGrad-CAM, SSGrad-CAM++); 0 for none."
    ),
    "signed_activations": (
        '``"split"``: the layer as its positive and its negative part, which are both >= 0; '
        '``"as_is"``: the formula literally. The same for a layer after a ReLU.'
    ),
}


def option_names(maps: Maps) -> list[str]:
    """The keywords of a map function, after activations and gradients."""
    return [parameter.name for parameter in _parameters(maps)]


def check_options(maps: Maps, options: Mapping[str, Any], caller: str) -> None:
    """Raise ``TypeError`` unless ``maps`` takes all ``options``."""
    known = option_names(maps)
    for name in options:
        if name not in known:
            takes = f"it takes {', '.join(known)}" if known else "it has no options of its own"
            raise TypeError(f"{caller} got an unexpected keyword argument {name!r}; {takes}.")


def spelled_out(method: Callable[..., Any], maps: Maps, owner: type) -> Callable[..., Any]:
    """``method`` for the class ``owner``, with ``**options`` replaced by the keywords of ``maps``.

    The original is at ``__wrapped__``, where Captum's ``NoiseTunnel`` looks for it.
    """

    @wraps(method)
    def complete(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    signature = inspect.signature(method)
    shared = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    own = [_as_argument(parameter) for parameter in _parameters(maps)]
    place = [parameter.name for parameter in shared].index("interpolate_mode")
    parameters = [*shared[:place], *own, *shared[place:]]
    complete.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    complete.__doc__ = _describe(method.__doc__ or "", [parameter.name for parameter in own])
    complete.__qualname__ = f"{owner.__qualname__}.{method.__name__}"
    complete.__module__ = owner.__module__
    return complete


def _parameters(maps: Maps) -> list[inspect.Parameter]:
    return list(inspect.signature(maps).parameters.values())[2:]


def _as_argument(parameter: inspect.Parameter) -> inspect.Parameter:
    if parameter.name == "mask":
        parameter = parameter.replace(annotation="Mask", default=DEFAULT_MASK)
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)


def _describe(docstring: str, names: list[str]) -> str:
    def paragraphs(line: re.Match[str]) -> str:
        indent = line.group(1)
        return "".join(
            textwrap.fill(
                f"{name}: {DESCRIPTIONS[name]}",
                width=100,
                initial_indent=indent,
                subsequent_indent=indent + "    ",
                break_on_hyphens=False,
            )
            + "\n"
            for name in names
        )

    return re.sub(r"^( *)\*\*options: .*\n", paragraphs, docstring, count=1, flags=re.MULTILINE)
