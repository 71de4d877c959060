"""Detectors whose score is a known function of known pixels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign

from captum_ssgc import Detections, wrap_detector
from captum_ssgc.detector import Detector
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


@pytest.fixture
def two_stage() -> Detector:
    """A small Faster R-CNN whose canvas is the image, where that has 32 x 48 pixels."""
    torch.manual_seed(3)
    backbone = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 5, stride=4, padding=2), torch.nn.ReLU())
    backbone.out_channels = 8
    model = FasterRCNN(
        backbone,
        min_size=32,
        max_size=48,
        rpn_anchor_generator=AnchorGenerator(((10, 20),), ((0.7, 1.4),)),
        rpn_post_nms_top_n_test=30,
        box_roi_pool=MultiScaleRoIAlign(["0"], 3, 2),
        box_head=TwoMLPHead(72, 16),
        box_predictor=FastRCNNPredictor(16, 4),
        box_score_thresh=0.0,
        box_detections_per_img=12,
    )
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=1.5 * weight[0].numel() ** -0.5)
    return wrap_detector(model.eval())
