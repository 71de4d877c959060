"""Detectors whose score is a known function of known pixels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from captum_ssgc import Detections
from captum_ssgc.detectors import CandidateDetector


class PixelDetector(CandidateDetector):
    """Candidate ``r`` scores the mean brightness of its pixels; boxes stay where they are.

    Args:
        boxes: ``(R, 4)``.
        pixels: ``(R, H, W)`` bool, what each candidate looks at.
        labels: class of each candidate.
        **options: of ``CandidateDetector``.

    ``batches`` records the size of every batch that was run.
    """

    def __init__(self, boxes: Tensor, pixels: Tensor, labels: list[int], **options: object) -> None:
        self.batches: list[int] = []
        weights = pixels.flatten(1).double()
        weights = weights / weights.sum(1, keepdim=True)
        columns = torch.nn.functional.one_hot(torch.tensor(labels)).double()

        def network(images: Tensor) -> tuple[Tensor, Tensor]:
            self.batches.append(len(images))
            brightness = images.double().mean(1).flatten(1) @ weights.T
            scores = brightness[..., None] * columns
            return boxes.to(images).expand(len(images), -1, -1), scores.to(images)

        super().__init__(network, **options)


@pytest.fixture
def make_pixel_detector() -> Callable[..., PixelDetector]:
    return PixelDetector


@pytest.fixture
def strip() -> tuple[PixelDetector, Tensor, Detections]:
    """A white image of 2 x 10 pixels, one object, scored by its four leftmost pixels."""
    pixels = torch.zeros(1, 2, 10, dtype=torch.bool)
    pixels[0, :, :2] = True
    detector = PixelDetector(torch.tensor([[0.0, 0.0, 5.0, 2.0]]), pixels, [0])
    image = torch.ones(1, 3, 2, 10)
    return detector, image, detector.detect(image)[0]


@pytest.fixture
def pair() -> tuple[PixelDetector, Tensor, Detections]:
    """A grey 6 x 8 image with two objects of different classes, side by side."""
    pixels = torch.zeros(2, 6, 8, dtype=torch.bool)
    pixels[0, 1:3, 1:3] = True
    pixels[1, 3:6, 5:8] = True
    boxes = torch.tensor([[0.0, 0.0, 4.0, 6.0], [4.0, 2.0, 8.0, 6.0]])
    detector = PixelDetector(boxes, pixels, [0, 1])
    image = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(3)) * 0.5 + 0.5
    return detector, image, detector.detect(image)[0]
