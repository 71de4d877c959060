"""Which pixels made the detector find this object? Attribution per detection, for Captum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captum_ssgc._lazy import lazy_names

if TYPE_CHECKING:
    from captum_ssgc import attr as attr
    from captum_ssgc import benchmark as benchmark
    from captum_ssgc import data as data
    from captum_ssgc import demo as demo
    from captum_ssgc import detectors as detectors
    from captum_ssgc import metrics as metrics
    from captum_ssgc import visualization as visualization
    from captum_ssgc.attr import DRISE as DRISE
    from captum_ssgc.attr import ODAM as ODAM
    from captum_ssgc.attr import EigenCAM as EigenCAM
    from captum_ssgc.attr import GradCAM as GradCAM
    from captum_ssgc.attr import GradCAMPlusPlus as GradCAMPlusPlus
    from captum_ssgc.attr import HiResCAM as HiResCAM
    from captum_ssgc.attr import LayerCAM as LayerCAM
    from captum_ssgc.attr import RefinedCAM as RefinedCAM
    from captum_ssgc.attr import SSGradCAM as SSGradCAM
    from captum_ssgc.attr import SSGradCAMPlusMinus as SSGradCAMPlusMinus
    from captum_ssgc.attr import SSGradCAMPlusPlus as SSGradCAMPlusPlus
    from captum_ssgc.benchmark.auditing.run import audit as audit
    from captum_ssgc.detections import Detections as Detections
    from captum_ssgc.detector import Detector as Detector
    from captum_ssgc.detectors import wrap_detector as wrap_detector
    from captum_ssgc.diagnosis import Diagnosis as Diagnosis
    from captum_ssgc.diagnosis import diagnose as diagnose
    from captum_ssgc.explanation import NoDetectionError as NoDetectionError
    from captum_ssgc.explanation import explain as explain
    from captum_ssgc.explanations import Explanation as Explanation
    from captum_ssgc.explanations import Explanations as Explanations
    from captum_ssgc.geometry import CellGrid as CellGrid
    from captum_ssgc.geometry import ImageGeometry as ImageGeometry
    from captum_ssgc.images import load_image as load_image
    from captum_ssgc.instance_score import InstanceScoreWrapper as InstanceScoreWrapper

__version__ = "0.1.0"

_HOMES = {
    "CellGrid": "geometry",
    "DRISE": "attr",
    "Detections": "detections",
    "Detector": "detector",
    "Diagnosis": "diagnosis",
    "EigenCAM": "attr",
    "Explanation": "explanations",
    "Explanations": "explanations",
    "GradCAM": "attr",
    "GradCAMPlusPlus": "attr",
    "HiResCAM": "attr",
    "ImageGeometry": "geometry",
    "InstanceScoreWrapper": "instance_score",
    "LayerCAM": "attr",
    "NoDetectionError": "explanation",
    "ODAM": "attr",
    "RefinedCAM": "attr",
    "SSGradCAM": "attr",
    "SSGradCAMPlusMinus": "attr",
    "SSGradCAMPlusPlus": "attr",
    "audit": "benchmark",
    "diagnose": "diagnosis",
    "explain": "explanation",
    "load_image": "images",
    "wrap_detector": "detectors",
}

__all__ = sorted(_HOMES)
__getattr__, __dir__ = lazy_names(
    __name__,
    _HOMES,
    subpackages=(
        *("attr", "benchmark", "data", "demo", "detectors", "diagnosis", "metrics"),
        "visualization",
    ),
)
