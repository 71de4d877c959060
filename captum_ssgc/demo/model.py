"""The small detector in the box: torchvision's own Faster R-CNN on a slim feature pyramid."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign

from ..data import CLASS_NAMES

_WIDTHS = (32, 64, 128, 192)
_PYRAMID_CHANNELS = 64
_HEAD_CHANNELS = 256
_ANCHOR_SIZES = ((24, 36), (54, 80), (116, 170), (240, 320))
_ANCHOR_RATIOS = (0.75, 1.0, 1.33)


class _Residual(nn.Module):
    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(channels_in, channels, stride)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )
        self.relu = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        changed = self.second(self.first(features))
        activated: Tensor = self.relu(changed + self.shortcut(features))
        return activated


def _convolution(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


def _body() -> nn.Sequential:
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    stages["stem"] = nn.Sequential(_convolution(3, 24, 2), _convolution(24, _WIDTHS[0], 2))
    stages["layer1"] = _Residual(_WIDTHS[0], _WIDTHS[0], 1)
    for number, (before, width) in enumerate(pairwise(_WIDTHS), start=2):
        stages[f"layer{number}"] = nn.Sequential(
            _Residual(before, width, 2), _Residual(width, width, 1)
        )
    return nn.Sequential(stages)


def build_detector() -> FasterRCNN:
    """The detector with random weights, in training mode.

    Pyramid levels ``"0"``, ``"1"``, ``"2"`` have strides 8, 16 and 32; objects below 128 px are
    scored on the first, below 256 px on the second. A 320 x 400 scene is used at its own size,
    padded to 320 x 416.

    Returns:
        A ``torchvision.models.detection.FasterRCNN`` with ``len(CLASS_NAMES)`` classes.
    """
    backbone = BackboneWithFPN(
        _body(),
        return_layers={"layer2": "0", "layer3": "1", "layer4": "2"},
        in_channels_list=list(_WIDTHS[1:]),
        out_channels=_PYRAMID_CHANNELS,
    )
    pool = MultiScaleRoIAlign(["0", "1", "2"], 7, sampling_ratio=2, canonical_scale=128)
    return FasterRCNN(
        backbone,
        min_size=320,
        max_size=400,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.25, 0.25, 0.25],
        rpn_anchor_generator=AnchorGenerator(_ANCHOR_SIZES, (_ANCHOR_RATIOS,) * len(_ANCHOR_SIZES)),
        rpn_pre_nms_top_n_train=400,
        rpn_pre_nms_top_n_test=300,
        rpn_post_nms_top_n_train=300,
        rpn_post_nms_top_n_test=150,
        rpn_batch_size_per_image=128,
        box_roi_pool=pool,
        box_head=TwoMLPHead(_PYRAMID_CHANNELS * 49, _HEAD_CHANNELS),
        box_predictor=FastRCNNPredictor(_HEAD_CHANNELS, len(CLASS_NAMES)),
        box_score_thresh=0.05,
        box_nms_thresh=0.5,
        box_detections_per_img=50,
        box_batch_size_per_image=64,
        box_positive_fraction=0.4,
    )
