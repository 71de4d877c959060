"""Attribution methods for single detections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captum_ssgc._lazy import lazy_names

if TYPE_CHECKING:
    from captum_ssgc.attr._registry import METHODS as METHODS
    from captum_ssgc.attr._registry import Method as Method
    from captum_ssgc.attr._registry import method_named as method_named
    from captum_ssgc.attr.ssgrad_cam_plus_plus import SSGradCAMPlusPlus as SSGradCAMPlusPlus

_HOMES = {
    "METHODS": "_registry",
    "Method": "_registry",
    "SSGradCAMPlusPlus": "ssgrad_cam_plus_plus",
    "method_named": "_registry",
}

__all__ = sorted(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
