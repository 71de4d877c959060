"""Pictures of explanations: heat maps over the image, all detections at a glance, curves."""

from captum_ssgc.visualization._blend import blend
from captum_ssgc.visualization._comparison import comparison_grid
from captum_ssgc.visualization._curves import curves
from captum_ssgc.visualization._letters import legible
from captum_ssgc.visualization._marks import BOX_COLORS, shortened
from captum_ssgc.visualization._method_colors import METHOD_COLORS
from captum_ssgc.visualization._minimal import minimal_grid
from captum_ssgc.visualization._overlay import overlay
from captum_ssgc.visualization._overview import overview
from captum_ssgc.visualization._picture import Picture, plain_style

__all__ = [
    "BOX_COLORS",
    "METHOD_COLORS",
    "Picture",
    "blend",
    "comparison_grid",
    "curves",
    "legible",
    "minimal_grid",
    "overlay",
    "overview",
    "plain_style",
    "shortened",
]
