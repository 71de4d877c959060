"""Attribution methods for single detections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captum_ssgc._lazy import lazy_names

if TYPE_CHECKING:
    from captum_ssgc.attr._layer_cam import LayerCAM as LayerCAM
    from captum_ssgc.attr._registry import METHODS as METHODS
    from captum_ssgc.attr._registry import Method as Method
    from captum_ssgc.attr._registry import method_named as method_named
    from captum_ssgc.attr._registry import methods_named as methods_named
    from captum_ssgc.attr.drise import DRISE as DRISE
    from captum_ssgc.attr.grad_cam_plus_plus import GradCAMPlusPlus as GradCAMPlusPlus
    from captum_ssgc.attr.odam import ODAM as ODAM
    from captum_ssgc.attr.ssgrad_cam import SSGradCAM as SSGradCAM
    from captum_ssgc.attr.ssgrad_cam_plus_plus import SSGradCAMPlusPlus as SSGradCAMPlusPlus

_HOMES = {
    "DRISE": "drise",
    "GradCAMPlusPlus": "grad_cam_plus_plus",
    "LayerCAM": "_layer_cam",
    "METHODS": "_registry",
    "Method": "_registry",
    "ODAM": "odam",
    "SSGradCAM": "ssgrad_cam",
    "SSGradCAMPlusPlus": "ssgrad_cam_plus_plus",
    "method_named": "_registry",
    "methods_named": "_registry",
}

__all__ = sorted(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
