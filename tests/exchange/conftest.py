"""What other packages are given: detections with masks and corners, and explanations."""

from __future__ import annotations

import pytest
import torch
from exchange.same_detections import SIZE

import captum_ssgc as ssgc
from captum_ssgc import Detections, Explanations, demo


@pytest.fixture(scope="session")
def detector() -> ssgc.Detector:
    return ssgc.wrap_detector(demo.detector())


@pytest.fixture(scope="session")
def explained(detector) -> Explanations:
    """Three detections, two methods."""
    return ssgc.explain(detector, demo.scene(26).image, ["ssgrad-cam++", "odam"])


@pytest.fixture(scope="session")
def detections() -> Detections:
    """Three with masks and corners; the boxes have halves, which all formats have to keep."""
    boxes = torch.tensor([[2.5, 3.0, 12.0, 9.5], [14.0, 1.0, 28.0, 19.0], [0.0, 10.0, 6.0, 20.0]])
    left, top, right, bottom = boxes.unbind(1)
    corners = torch.stack([left, top, right, top, right, bottom, left, bottom], 1)
    masks = torch.zeros(3, *SIZE)
    masks[0, 4:8, 4:10], masks[1, 3:15, 15:27], masks[2, 12:19, 1:5] = 0.5, 0.9, 1.0
    masks[0, 3] = 0.4
    return Detections(
        boxes=boxes,
        labels=torch.tensor([2, 0, 2]),
        scores=torch.tensor([0.9, 0.75, 0.25]),
        candidates=torch.tensor([7, 3, 11]),
        regions=boxes,
        levels=torch.tensor([0, 1, 0]),
        class_scores=torch.rand(3, 4, generator=torch.Generator().manual_seed(0)),
        image_size=SIZE,
        corners=corners.reshape(3, 4, 2),
        masks=masks,
    )
