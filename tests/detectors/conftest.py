"""One fixture over all vendors' models; a vendor is imported when its first model is built."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from detectors.family import Family, scene
from torch import Tensor

TORCHVISION = ["retinanet", "fcos", "ssdlite"]
TRANSFORMERS = [
    "detr",
    "deformable-detr-two-stage",
    "rt-detr",
    "yolos",
]
ULTRALYTICS = [
    "yolo11n",
    "yolo26n",
    "yolo26n-e2e",
    "yolov8n-seg",
    "yolov8n-obb",
]
SLOW = {
    "torchvision": ["retinanet-v2", "ssd300"],
    "transformers": [
        "rt-detr-v2",
        "deformable-detr",
        "conditional-detr",
        "detr-timm",
        "dab-detr",
        "table-transformer",
        "d-fine",
        "deim-v2",
        "rf-detr",
        "lw-detr",
    ],
    "prompts": ["grounding-dino", "mm-grounding-dino", "owlvit", "owlv2", "omdet-turbo"],
    "rfdetr": ["rf-detr-nano", "rf-detr-seg"],
    "ultralytics": [
        "yolo26n-seg",
        "yolov8n",
        "yolov3-tinyu",
        "yolov5nu",
        "yolov6n",
        "yolov9t",
        "yolov10n-e2e",
        "yolo12n",
        "yolo26n-seg-e2e",
        "yolov8n-pose",
        "yolo11n-obb",
        "yolo26n-obb",
        "yolo26n-obb-e2e",
        "yolov8s-worldv2",
        "rtdetr-resnet50",
    ],
}
VENDORS = {
    "torchvision": TORCHVISION,
    "transformers": TRANSFORMERS,
    "prompts": [],
    "rfdetr": [],
    "ultralytics": ULTRALYTICS,
}
PARAMETERS = [
    *(pytest.param((vendor, name), id=name) for vendor in VENDORS for name in VENDORS[vendor]),
    *(
        pytest.param((vendor, name), id=name, marks=pytest.mark.slow)
        for vendor in SLOW
        for name in SLOW[vendor]
    ),
]


@pytest.fixture(scope="session")
def vendor_settings(tmp_path_factory: pytest.TempPathFactory):
    """Ultralytics and transformers without network, log and files outside of the test's folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("YOLO_CONFIG_DIR", str(tmp_path_factory.mktemp("ultralytics")))
        patch.setenv("YOLO_OFFLINE", "True")
        patch.setenv("YOLO_VERBOSE", "False")
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture(scope="session")
def build_family(vendor_settings: None) -> Callable[[str, str], Family]:
    @cache
    def build(vendor: str, name: str) -> Family:
        with np.printoptions():  # Ultralytics changes how tensors and arrays are printed
            module = importlib.import_module(f"detectors.{vendor}_families")
        torch.set_printoptions(profile="default")
        return module.build(name)

    return build


@pytest.fixture(scope="session", params=PARAMETERS)
def family(request: pytest.FixtureRequest, build_family: Callable[[str, str], Family]) -> Family:
    return build_family(*request.param)


@pytest.fixture(scope="session")
def picture() -> Tensor:
    return scene(3)
