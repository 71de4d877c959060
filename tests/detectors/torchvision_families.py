"""torchvision's one-stage models, small."""

from __future__ import annotations

from functools import partial

import torch
import torchvision
from detectors.family import Family, calibrate, known_images, spread
from small_backbones import CHANNELS, pyramid
from torch import Tensor, nn
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

import captum_ssgc as ssgc

SMALL = {"score_thresh": 0.0, "detections_per_img": 25}
PYRAMID = {**SMALL, "num_classes": 6, "min_size": 96, "max_size": 300, "topk_candidates": 10}


def small(extra_from: int) -> nn.Module:
    return pyramid((2, 3, 4), LastLevelP6P7(extra_from, CHANNELS))


def anchors() -> AnchorGenerator:
    sizes = tuple((x, int(x * 2 ** (1 / 3)), int(x * 2 ** (2 / 3))) for x in (16, 32, 64, 128, 256))
    return AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * 5)


def retinanet() -> nn.Module:
    return RetinaNet(small(CHANNELS), anchor_generator=anchors(), **PYRAMID)


def retinanet_v2() -> nn.Module:
    head = RetinaNetHead(CHANNELS, 9, 6, norm_layer=partial(nn.GroupNorm, 32))
    head.regression_head._loss_type = "giou"
    return RetinaNet(small(512), anchor_generator=anchors(), head=head, **PYRAMID)


def fcos() -> nn.Module:
    return FCOS(small(CHANNELS), **PYRAMID)


def ssd300() -> nn.Module:
    return torchvision.models.detection.ssd300_vgg16(
        weights=None, weights_backbone=None, num_classes=6, **{**SMALL, "detections_per_img": 12}
    )


def ssdlite() -> nn.Module:
    model = torchvision.models.detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=6, **SMALL
    )
    model.transform.fixed_size = (160, 160)  # a quarter of the work
    return model


FAMILIES = {
    "retinanet": (retinanet, "sigmoid", 5),
    "retinanet-v2": (retinanet_v2, "sigmoid", 5),
    "fcos": (fcos, "fcos", 5),
    "ssd300": (ssd300, "softmax", 6),
    "ssdlite": (ssdlite, "softmax", 6),
}


def build(name: str) -> Family:
    make, activation, levels = FAMILIES[name]
    torch.manual_seed(2)
    model = make().eval()
    images = list(known_images()[0])
    calibrate(model, lambda: model(images))
    spread(class_heads(model), lambda: model(images))

    def on_canvas(batch: Tensor) -> list[dict[str, Tensor]]:
        return model(list(batch))

    return Family(ssgc.wrap_detector(model), on_canvas, activation, levels)


def class_heads(model: nn.Module) -> list[nn.Module]:
    head = model.head.classification_head
    if hasattr(head, "cls_logits"):
        return [head.cls_logits]
    return [
        [m for m in level.modules() if isinstance(m, nn.Conv2d)][-1] for level in head.module_list
    ]
