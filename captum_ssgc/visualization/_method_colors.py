"""One colour for each method, in every picture."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

METHOD_COLORS = {
    "ssgrad-cam++": "#D55E00",
    "odam": "#0072B2",
    "grad-cam++": "#009E73",
    "grad-cam": "#CC79A7",
    "ssgrad-cam": "#E69F00",
    "d-rise": "#56B4E9",
    "layer-cam": "#9A6324",
    "hires-cam": "#1F3A93",
    "eigen-cam": "#6B6B00",
    "ssgrad-cam+-": "#B0306A",
    "refined-cam": "#A50F15",
}
"""By method: those of Okabe and Ito (2008) that are dark enough on white, then others."""

# For methods of other makes, in the order in which they are drawn.
_FURTHER = ("#1B2430", "#8C564B", "#7A4FBF", "#5B8C00", "#8A5A00", "#00707A")
_FLOOR_COLOR = "#7B8794"
_SOLID = ("-", "-.")
_DASHES = ((0, (5, 2.5)), (0, (1.2, 1.8)), (0, (6, 2, 1.2, 2)))


def _plain(label: str) -> str:
    """The same for a name and its title: ``layer-cam``, ``LayerCAM``."""
    return label.lower().replace("-", "")


_BY_NAME_OR_TITLE = {_plain(name): color for name, color in METHOD_COLORS.items()}


def line_styles(labels: Iterable[str], floors: Collection[str]) -> dict[str, dict[str, Any]]:
    """Colour and line style of each label; floors are grey and dashed.

    Args:
        labels: names or titles of methods, in the order in which they are drawn.
        floors: those that no method should lose to.
    """
    styles: dict[str, dict[str, Any]] = {}
    others = dashed = 0
    for label in labels:
        if label in floors:
            style: dict[str, Any] = {"color": _FLOOR_COLOR, "linestyle": _DASHES[dashed % 3]}
            dashed += 1
        elif _plain(label) in _BY_NAME_OR_TITLE:
            style = {"color": _BY_NAME_OR_TITLE[_plain(label)], "linestyle": "-"}
        else:
            color = _FURTHER[others % len(_FURTHER)]
            style = {"color": color, "linestyle": _SOLID[others // len(_FURTHER) % 2]}
            others += 1
        styles[label] = style
    return styles
