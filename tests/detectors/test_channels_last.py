"""Networks whose blocks give (N, h, w, C)."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

import captum_ssgc as ssgc
from captum_ssgc.map_layout import check_map_layout


def swin_rcnn(make):
    torch.manual_seed(0)
    backbone = make(weights=None)
    features = nn.Sequential(backbone.features, backbone.norm, backbone.permute)
    features.out_channels = 768
    return FasterRCNN(
        features,
        num_classes=4,
        rpn_anchor_generator=AnchorGenerator(((16, 32),), ((1.0,),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], 7, 2),
        min_size=64,
        max_size=128,
        box_score_thresh=0.0,
        box_detections_per_img=5,
    ).eval()


@pytest.mark.parametrize("make", [torchvision.models.swin_t, torchvision.models.swin_v2_t])
def test_blocks_of_swin_are_turned(make, picture):
    model = swin_rcnn(make)
    detector = ssgc.wrap_detector(model)
    seen = {}
    layers = [model.backbone[0][1], model.backbone[0], model.backbone[1], model.backbone[2]]

    def keep(module, args, output):
        seen[module] = output

    handles = [layer.register_forward_hook(keep) for layer in layers]
    detector.detect(picture)
    for handle in handles:
        handle.remove()
    size = tuple(picture.shape[-2:])
    canvas = detector.geometry(size).canvas_size
    for layer in layers:
        turned = detector.reshape_transform_for(layer, size)(seen[layer])
        check_map_layout(turned.shape, canvas, "layer")
        assert turned.shape[1] == (96 if layer is layers[0] else 768)
