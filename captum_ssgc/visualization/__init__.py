"""Pictures of explanations: heat maps over the image, all detections at a glance, curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captum_ssgc._lazy import lazy_names

if TYPE_CHECKING:
    from captum_ssgc.visualization._blend import blend as blend
    from captum_ssgc.visualization._comparison import comparison_grid as comparison_grid
    from captum_ssgc.visualization._curves import curves as curves
    from captum_ssgc.visualization._letters import legible as legible
    from captum_ssgc.visualization._marks import BOX_COLORS as BOX_COLORS
    from captum_ssgc.visualization._marks import shortened as shortened
    from captum_ssgc.visualization._method_colors import METHOD_COLORS as METHOD_COLORS
    from captum_ssgc.visualization._minimal import minimal_grid as minimal_grid
    from captum_ssgc.visualization._overlay import overlay as overlay
    from captum_ssgc.visualization._overview import overview as overview
    from captum_ssgc.visualization._picture import Picture as Picture
    from captum_ssgc.visualization._picture import plain_style as plain_style

_HOMES = {
    "BOX_COLORS": "_marks",
    "METHOD_COLORS": "_method_colors",
    "Picture": "_picture",
    "blend": "_blend",
    "comparison_grid": "_comparison",
    "curves": "_curves",
    "legible": "_letters",
    "minimal_grid": "_minimal",
    "overlay": "_overlay",
    "overview": "_overview",
    "plain_style": "_picture",
    "shortened": "_marks",
}

__all__ = sorted(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
