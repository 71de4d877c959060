"""A detector with hand-set weights, small enough to compute with a pencil."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from small_backbones import CHANNELS, pyramid
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor

import captum_ssgc as ssgc
from captum_ssgc.attr import METHODS, register
from captum_ssgc.detectors import CandidateDetector, Candidates

CLASS_WEIGHTS = [[0.5, -0.25], [-0.25, 0.5]]  # (class, channel)
BIAS = -4.0


class Toy(nn.Module):
    """Two levels, five candidates, two classes.

    ``stem`` makes two channels, ten times red and ten times green; ``fine`` and ``coarse`` average
    them over 2 x 2 and 4 x 4 pixels, so that an 8 x 8 image has grids of 4 x 4 and 2 x 2 cells.
    Candidates 0 to 3 are the quarters of the fine grid, row by row, candidate 4 is the whole
    coarse grid. A class logit is the sum of the head's response over the candidate's cells. The
    left and the top edge of a box move with the mean of channels 0 and 1 over these cells.
    """

    def __init__(self, signed: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 2, 1, bias=False)
        self.act = nn.Identity() if signed else nn.ReLU(inplace=True)
        self.fine = nn.AvgPool2d(2)
        self.coarse = nn.AvgPool2d(4)
        self.head = nn.Conv2d(2, 2, 1)
        self.unused = nn.Conv2d(2, 2, 1)
        with torch.no_grad():
            offset = 3.0 if signed else 0.0
            self.stem.weight.copy_(
                torch.tensor([[10.0, 0.0, -offset], [0.0, 10.0, -offset]])[..., None, None]
            )
            self.head.weight.copy_(torch.tensor(CLASS_WEIGHTS)[..., None, None])
            self.head.bias.zero_()
        self.eval()

    def forward(self, images: Tensor) -> Candidates:
        height, width = images.shape[-2:]
        features = self.act(self.stem(images))
        fine, coarse = self.fine(features), self.coarse(features)
        cells = [*(quarter for half in fine.chunk(2, 2) for quarter in half.chunk(2, 3)), coarse]
        responses = self.head(fine)
        quarters = [quarter for half in responses.chunk(2, 2) for quarter in half.chunk(2, 3)]
        logits = [one.sum((-2, -1)) for one in [*quarters, self.head(coarse)]]
        shares = [(0, 0, 0.5, 0.5), (0.5, 0, 1, 0.5), (0, 0.5, 0.5, 1), (0.5, 0.5, 1, 1)]
        regions = torch.tensor([*shares, (0, 0, 1, 1)]) * torch.tensor([width, height] * 2)
        regions = regions.to(images.dtype)
        edges = torch.stack([one.mean((-2, -1)) for one in cells], 1)
        shift = torch.cat([0.01 * edges, torch.zeros_like(edges)], -1)
        class_logits = torch.stack(logits, 1) + BIAS
        return Candidates(
            boxes=regions + shift,
            class_scores=class_logits.sigmoid(),
            class_logits=class_logits,
            regions=regions,
            levels=torch.tensor([0, 0, 0, 0, 1]),
        )


def toy_detector(signed: bool = False, dtype: torch.dtype = torch.float32) -> CandidateDetector:
    return CandidateDetector(
        Toy(signed).to(dtype),
        level_layers=["fine", "coarse"],
        score_threshold=0.0,
        iou_threshold=1.0,
        label_names=["red", "green"],
    )


def toy_image() -> Tensor:
    """8 x 8: a red gradient, a green quarter at the bottom right, a little of everything."""
    image = torch.full((1, 3, 8, 8), 0.1)
    image[0, 0] = torch.linspace(0.1, 0.8, 8)[:, None] * torch.linspace(0.2, 1.0, 8)
    image[0, 1, 4:, 4:] = torch.linspace(0.3, 0.9, 16).view(4, 4)
    image[0, 2] = torch.linspace(0.0, 0.9, 64).view(8, 8)
    return image


@pytest.fixture
def registered() -> Iterator[Callable[..., Any]]:
    """Registers for one test."""
    before = dict(METHODS)
    yield register
    METHODS.clear()
    METHODS.update(before)


@pytest.fixture
def make_detector() -> Callable[..., CandidateDetector]:
    return toy_detector


@pytest.fixture
def detector() -> CandidateDetector:
    return toy_detector()


@pytest.fixture
def signed_detector() -> CandidateDetector:
    return toy_detector(signed=True)


@pytest.fixture
def image() -> Tensor:
    return toy_image()


@pytest.fixture
def detections(detector: CandidateDetector, image: Tensor) -> ssgc.Detections:
    return detector.detect(image)[0]


@pytest.fixture
def wrapper(detector: CandidateDetector, detections: ssgc.Detections) -> ssgc.InstanceScoreWrapper:
    return ssgc.InstanceScoreWrapper(detector, detections)


@pytest.fixture
def classifier() -> nn.Sequential:
    """A ReLU network, images ``(N, 3, 12, 10)`` to five class logits."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.ReLU()),
        nn.Flatten(),
        nn.Linear(8 * 6 * 5, 16),
        nn.ReLU(),
        nn.Linear(16, 5),
    ).eval()


@pytest.fixture(scope="session")
def mask_rcnn() -> MaskRCNN:
    """A real detector with random weights: every proposal is reported, on several levels."""
    torch.manual_seed(0)
    model = MaskRCNN(
        pyramid(),
        mask_head=MaskRCNNHeads(CHANNELS, (32,), 1),
        mask_predictor=MaskRCNNPredictor(32, 32, 3),
        box_score_thresh=0.0,
        min_size=64,
        max_size=96,
        rpn_post_nms_top_n_test=20,
        box_detections_per_img=5,
        box_head=TwoMLPHead(CHANNELS * 7 * 7, 32),
        box_predictor=FastRCNNPredictor(32, 3),
    ).eval()
    model.roi_heads.box_roi_pool.canonical_scale = 40
    with torch.no_grad():
        model.roi_heads.box_predictor.cls_score.weight.normal_(0.0, 0.5)
    return model
