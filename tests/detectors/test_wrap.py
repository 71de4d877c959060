"""From a model to its adapter."""

from __future__ import annotations

import pytest
import torch

import captum_ssgc as ssgc
from captum_ssgc import detectors

ADAPTERS = [
    ("torchvision", "retinanet", "OneStageDetector"),
    ("torchvision", "fcos", "OneStageDetector"),
    ("torchvision", "ssdlite", "OneStageDetector"),
    ("transformers", "detr", "TransformersDetector"),
    ("transformers", "yolos", "TransformersDetector"),
    ("ultralytics", "yolov8n", "YoloDetector"),
    ("ultralytics", "yolo26n-seg", "YoloDetector"),
]


@pytest.mark.parametrize(("vendor", "name", "adapter"), ADAPTERS)
def test_a_vendors_model_gets_the_vendors_adapter(build_family, vendor, name, adapter):
    detector = build_family(vendor, name).detector
    assert type(detector) is getattr(detectors, adapter)
    assert type(ssgc.wrap_detector(detector.model)) is type(detector)
    assert ssgc.wrap_detector(detector) is detector


def test_a_subclass_is_recognised_by_its_ancestors(build_family):
    model = build_family("torchvision", "retinanet").detector.model
    mine = type("Mine", (type(model),), {})
    model.__class__ = mine
    try:
        assert type(ssgc.wrap_detector(model)) is detectors.OneStageDetector
    finally:
        model.__class__ = mine.__mro__[1]


def test_a_function_is_your_own_detector():
    detector = ssgc.wrap_detector(lambda images: images, label_names=["one"])
    assert type(detector) is detectors.CandidateDetector
    assert detector.label_name(0) == "one"


@pytest.mark.parametrize(
    "model", [None, "yolo11n.pt", torch.zeros(3)], ids=["none", "path", "tensor"]
)
def test_what_cannot_be_called_is_refused(model):
    with pytest.raises(TypeError, match=f"or a function, got {type(model).__name__}"):
        ssgc.wrap_detector(model)


def test_names_are_given(build_family):
    model = build_family("torchvision", "retinanet").detector.model
    detector = ssgc.wrap_detector(model, label_names=["cat", "dog", "eel", "fox", "gnu"])
    assert (detector.label_name(1), detector.label_name(5)) == ("cat", "gnu")


def test_a_model_inside_a_shell_is_unwrapped(build_family):
    model = build_family("torchvision", "fcos").detector.model
    for shell in (torch.nn.DataParallel(model), torch.compile(model)):
        detector = ssgc.wrap_detector(shell, label_names=list("abcdef"))
        assert detector.model is model
        assert detector.label_names == tuple("abcdef")
