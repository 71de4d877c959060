"""What stands between a layer and the head counts, also where it changes no value."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.detection import FasterRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.ssd import SSD, SSDFeatureExtractorVGG
from torchvision.ops import MultiScaleRoIAlign

import captum_ssgc as ssgc

SIDES = {"min_size": 64, "max_size": 96}


class Scaled(torch.autograd.Function):
    """The value as it is, and each channel's gradient times its number."""

    @staticmethod
    def forward(ctx, values):
        return values.clone()

    @staticmethod
    def backward(ctx, slopes):
        return slopes * torch.arange(slopes.shape[1]).view(-1, 1, 1)


BEHIND = {
    "a way back of its own": Scaled.apply,
    "flat at zero": torch.relu,
    "in place": torch.relu_,
    "by name": lambda values: {"0": Scaled.apply(values)},
}


class Backbone(nn.Module):
    out_channels = 4

    def __init__(self, behind=lambda values: values):
        super().__init__()
        layers = (nn.Conv2d(3, 4, 3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, 1), nn.ReLU())
        self.features, self.behind = nn.Sequential(*layers), behind

    def forward(self, images):
        return self.behind(self.features(images))


def anchors():
    return AnchorGenerator(((16, 32),), ((0.5, 1.0),))


def faster_rcnn(behind=lambda values: values, **head):
    return FasterRCNN(
        Backbone(behind),
        rpn_anchor_generator=anchors(),
        box_roi_pool=MultiScaleRoIAlign(["0"], 3, 2),
        box_score_thresh=0.0,
        **{"num_classes": 3, **head},
        **SIDES,
    )


def retinanet(behind):
    return RetinaNet(
        Backbone(behind),
        3,
        anchor_generator=anchors(),
        score_thresh=0.0,
        detections_per_img=8,
        **SIDES,
    )


def detector_of(model, layer="features"):
    return ssgc.wrap_detector(model.eval(), level_layers=[f"backbone.{layer}"] if layer else ())


def assert_all_are_each(detector, layer, image):
    """The map of each detection alone, which goes back through the whole network."""
    found = detector.detect(image)[0]
    found = found[(found.levels == 0).nonzero()[:2, 0].tolist()]
    assert len(found) == 2
    wrapper = ssgc.InstanceScoreWrapper(detector, found)
    torch.testing.assert_close(wrapper(image)[0].detach(), found.scores, rtol=1e-5, atol=1e-6)
    cam = ssgc.SSGradCAMPlusPlus(wrapper, layer)
    each = torch.cat([cam.attribute(image, row, mask=None) for row in range(2)])
    peak = float(each.max())
    assert peak > 0
    made = cam.attribute_instances(image, mask=None)
    torch.testing.assert_close(made, each, rtol=0.0, atol=1e-5 * peak)


@pytest.fixture
def image():
    torch.manual_seed(1)
    return torch.rand(1, 3, 60, 80)


@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
@pytest.mark.parametrize("build", [faster_rcnn, retinanet])
def test_functions_behind_a_layer_count(build, behind, image):
    detector = detector_of(build(behind))
    assert detector.local_outputs()  # a short cut is expected
    assert_all_are_each(detector, detector.model.backbone.features, image)


class Extractor(SSDFeatureExtractorVGG):
    def forward(self, images):
        values = Scaled.apply(self.features(images))
        values = self.scale_weight.view(1, -1, 1, 1) * F.normalize(values)
        return {"0": values, "1": self.extra[0](values)}


def small_vgg(kind):
    backbone = kind.__new__(kind)
    nn.Module.__init__(backbone)
    backbone.features = nn.Sequential(nn.Conv2d(3, 4, 3, 8, 1), nn.ReLU())
    backbone.scale_weight = nn.Parameter(torch.full((4,), 20.0))
    backbone.extra = nn.ModuleList([nn.Conv2d(4, 4, 3, 2, 1)])
    return backbone


@pytest.mark.parametrize("kind", [SSDFeatureExtractorVGG, Extractor])
def test_an_extractor_of_ones_own_is_not_taken_for_that_of_ssd(kind, image):
    backbone, boxes = small_vgg(kind), DefaultBoxGenerator([[2], [2]], scales=[0.2, 0.5, 0.8])
    detector = detector_of(SSD(backbone, boxes, (64, 64), 3, score_thresh=0.0), layer=None)
    assert_all_are_each(detector, backbone.features, image)


class Doubled(RoIHeads):
    def forward(self, features, *args):
        return super().forward({name: -2.0 * one for name, one in features.items()}, *args)


class Moved(RoIHeads):
    def forward(self, features, proposals, *args):
        return super().forward(features, [one + 2.0 for one in proposals], *args)


@pytest.mark.parametrize("kind", [Doubled, Moved])
def test_region_heads_that_pool_something_else(kind, image):
    model = faster_rcnn()
    model.roi_heads.__class__ = kind
    assert_all_are_each(detector_of(model), model.backbone.features, image)


def test_normalisation_by_what_comes_in_lets_regions_see_one_another(image):
    norm = partial(nn.BatchNorm2d, track_running_stats=False)
    head = FastRCNNConvFCHead((4, 3, 3), [4], [8], norm_layer=norm)
    model = faster_rcnn(box_head=head, box_predictor=FastRCNNPredictor(8, 3), num_classes=None)
    detector = detector_of(model)
    assert not detector.local_outputs()
    assert_all_are_each(detector, model.backbone.features, image)
