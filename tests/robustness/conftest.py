"""Detectors that are tried, one of them trained."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from detectors.family import scene
from robustness.subjects import Subject, quarters, small_image

import captum_ssgc as ssgc
from captum_ssgc import demo


@pytest.fixture
def own() -> Subject:
    return Subject.of(quarters(), small_image())


@pytest.fixture(scope="session")
def demo_subject() -> Subject:
    return Subject.of(ssgc.wrap_detector(demo.detector()), demo.scene(3).image[None])


@pytest.fixture(scope="session")
def families(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Subject]:
    """Vendors' models with random weights, without network, log and files elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("YOLO_CONFIG_DIR", str(tmp_path_factory.mktemp("ultralytics")))
        patch.setenv("YOLO_OFFLINE", "True")
        patch.setenv("YOLO_VERBOSE", "False")
        patch.setenv("HF_HUB_OFFLINE", "1")

        @cache
        def build(vendor: str, name: str) -> Subject:
            if vendor == "demo":
                return Subject.of(ssgc.wrap_detector(demo.detector()), demo.scene(3).image[None])
            with np.printoptions():  # Ultralytics changes how tensors and arrays are printed
                module = importlib.import_module(f"detectors.{vendor}_families")
            torch.set_printoptions(profile="default")
            return Subject.of(module.build(name).detector, scene(3))

        yield build
