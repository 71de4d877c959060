"""Detector adapters: one module per vendor, imported only when a model of that vendor is met."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captum_ssgc._lazy import lazy_names

if TYPE_CHECKING:
    from captum_ssgc.detectors._wrap import wrap_detector as wrap_detector
    from captum_ssgc.detectors.black_box import BlackBoxDetector as BlackBoxDetector
    from captum_ssgc.detectors.candidates import CandidateDetector as CandidateDetector
    from captum_ssgc.detectors.candidates import Candidates as Candidates
    from captum_ssgc.detectors.letterbox import Letterbox as Letterbox
    from captum_ssgc.detectors.onnx import load_onnx as load_onnx
    from captum_ssgc.detectors.onnx_reading import onnx_detector as onnx_detector
    from captum_ssgc.detectors.rfdetr import RFDETRDetector as RFDETRDetector
    from captum_ssgc.detectors.torchscript import torchscript_detector as torchscript_detector
    from captum_ssgc.detectors.torchvision_one_stage import OneStageDetector as OneStageDetector
    from captum_ssgc.detectors.torchvision_two_stage import TwoStageDetector as TwoStageDetector
    from captum_ssgc.detectors.transformers_queries import (
        TransformersDetector as TransformersDetector,
    )
    from captum_ssgc.detectors.transformers_text import TextPromptDetector as TextPromptDetector
    from captum_ssgc.detectors.ultralytics_rtdetr import UltralyticsRTDETR as UltralyticsRTDETR
    from captum_ssgc.detectors.ultralytics_yolo import YoloDetector as YoloDetector
    from captum_ssgc.detectors.yolox import yolox as yolox

_HOMES = {
    "wrap_detector": "_wrap",
    "BlackBoxDetector": "black_box",
    "Candidates": "candidates",
    "CandidateDetector": "candidates",
    "Letterbox": "letterbox",
    "OneStageDetector": "torchvision_one_stage",
    "TwoStageDetector": "torchvision_two_stage",
    "RFDETRDetector": "rfdetr",
    "TextPromptDetector": "transformers_text",
    "TransformersDetector": "transformers_queries",
    "UltralyticsRTDETR": "ultralytics_rtdetr",
    "YoloDetector": "ultralytics_yolo",
    "load_onnx": "onnx",
    "onnx_detector": "onnx_reading",
    "torchscript_detector": "torchscript",
    "yolox": "yolox",
}

__all__ = sorted(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
