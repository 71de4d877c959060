"""Detectors that are tried, one of them trained."""

from __future__ import annotations

import pytest
from robustness.subjects import Subject, quarters, small_image

import captum_ssgc as ssgc
from captum_ssgc import demo


@pytest.fixture
def own() -> Subject:
    return Subject.of(quarters(), small_image())


@pytest.fixture(scope="session")
def demo_subject() -> Subject:
    return Subject.of(ssgc.wrap_detector(demo.detector()), demo.scene(3).image[None])
