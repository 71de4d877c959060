"""Short cuts are left where somebody has set something on what they replace or go around."""

from __future__ import annotations

import copy
from collections import OrderedDict
from functools import cache
from itertools import cycle

import pytest
import torch
from detectors.plain_maps import plain_heat_maps
from setting_on_modules import SETTINGS
from torch import nn
from torchvision.models.detection import FasterRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.ssd import SSD
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

import captum_ssgc as ssgc
from captum_ssgc._hooks import forward_hooks
from captum_ssgc.attr import METHODS

SIZES = {"num_classes": 4, "min_size": 64, "max_size": 96}
CHANNELS = 8


def stages():
    return nn.Sequential(
        OrderedDict(
            fine=nn.Sequential(nn.Conv2d(3, CHANNELS, 7, 8, 3), nn.ReLU()),
            coarse=nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 3, 2, 1), nn.ReLU()),
        )
    )


def pyramid(extra=None):
    names = {"fine": "0", "coarse": "1"}
    return BackboneWithFPN(stages(), names, [CHANNELS] * 2, CHANNELS, extra)


class Levels(nn.Module):
    out_channels = (CHANNELS, CHANNELS)

    def __init__(self):
        super().__init__()
        self.stages = stages()

    def forward(self, images):
        fine = self.stages.fine(images)
        return {"a": fine, "b": self.stages.coarse(fine)}


def retinanet(build_family, folder):
    anchors = AnchorGenerator(((16,), (24,), (32,), (48,)), ((1.0,),) * 4)
    backbone = pyramid(LastLevelP6P7(CHANNELS, CHANNELS))
    model = RetinaNet(backbone, anchor_generator=anchors, score_thresh=0.0, **SIZES)
    for part in model.head.classification_head.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.normal_(part.weight, std=0.15)
    return ssgc.wrap_detector(model.eval())


def ssd(build_family, folder):
    boxes = DefaultBoxGenerator([[2], [2]])
    model = SSD(Levels(), boxes, (64, 64), 4, score_thresh=0.0)
    return ssgc.wrap_detector(model.eval())


def faster_rcnn(build_family, folder):
    model = FasterRCNN(
        pyramid(),
        rpn_anchor_generator=AnchorGenerator(((16,), (32,), (64,)), ((1.0,),) * 3),
        box_roi_pool=MultiScaleRoIAlign(["0", "1"], 3, 2, canonical_scale=20),
        box_score_thresh=0.0,
        rpn_post_nms_top_n_test=20,
        **SIZES,
    )
    return ssgc.wrap_detector(model.eval())


def yolo(build_family, folder):
    pytest.importorskip("ultralytics")
    return build_family("ultralytics", "yolo11n").detector


def rt_detr(build_family):
    pytest.importorskip("transformers")
    return build_family("transformers", "rt-detr").detector


def onnx(build_family, folder):
    heads = pytest.importorskip("detectors.test_onnx_heads")
    torch.manual_seed(2)
    return heads.detector_of(folder.mktemp("onnx"), heads.Branches(), heads.yolox, ["output"])


# How it is made; a recorded layer; what stands around it; what takes its map or is behind; and what
# takes one tensor, where backward hooks of modules can be set.
FAMILIES = {
    "retinanet": (
        retinanet,
        "backbone.fpn.layer_blocks.0",
        ["backbone", "backbone.fpn", "backbone.fpn.extra_blocks"],
        [
            *("head", "head.classification_head", "head.classification_head.conv.0"),
            "head.classification_head.cls_logits",
        ],
        "head.classification_head.conv",
    ),
    "ssd": (
        ssd,
        "backbone.stages.fine",
        ["backbone"],
        ["head", "head.classification_head"],
        "head.classification_head.module_list.0",
    ),
    "faster-rcnn": (
        faster_rcnn,
        "backbone.fpn.layer_blocks.0",
        ["backbone", "backbone.fpn"],
        [
            *("roi_heads.box_roi_pool", "roi_heads.box_head", "roi_heads.box_head.fc6"),
            *("roi_heads.box_predictor", "roi_heads.box_predictor.cls_score"),
        ],
        "roi_heads.box_head.fc7",
    ),
    "yolo11n": (yolo, "model.16", [], ["model.23", "model.23.cv3.0.0"], "model.23.cv3.0.2"),
    "onnx": (
        onnx,
        "network./network/Mul",
        ["network"],
        ["network./Sigmoid_1", "network./network/classes/0/classes/0/0/Conv"],
        "network./Transpose",
    ),
}
# What takes no tensor but a list of them has no backward hook of modules.
BY_GRADIENT = ("full_backward_hook", "backward_pre_hook", "legacy_backward_hook")
AFTER = [kind for kind in SETTINGS if kind not in (*BY_GRADIENT, "forward_pre_hook")]
OF_ANY = [*AFTER, "forward_pre_hook"]


@pytest.fixture(scope="module")
def made(build_family, tmp_path_factory):
    @cache
    def build(name):
        torch.manual_seed(3)
        return FAMILIES[name][0](build_family, tmp_path_factory)

    return build


@pytest.fixture(scope="module")
def photo():
    return torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def plain_maps(detector, photo):
    """The best detections' maps of the plain way, with which those of all other ways agree."""
    found = detector.detect(photo)[0]
    explained = ssgc.explain(detector, photo, "odam", score_threshold=0.0, top_k=2)
    chosen = found[[one.index for one in explained]]
    assert len(chosen) == 2
    plain = plain_heat_maps(detector, photo, chosen, [(METHODS["odam"], {})])[0]
    wrapper = ssgc.InstanceScoreWrapper(detector, chosen)
    cam = ssgc.ODAM(wrapper, detector.layer_for(chosen, 0))
    alone = cam.attribute(photo, target=0, interpolate_mode="bilinear")[0, 0]
    shared = cam.attribute_instances(photo, [0], interpolate_mode="bilinear")[0, 0]
    ours = [(alone, 0), (shared, 0), *((one.heat_map, row) for row, one in enumerate(explained))]
    for heat_map, row in ours:
        expected, scale = plain[row]
        torch.testing.assert_close(heat_map, expected, rtol=0.0, atol=1e-5 * scale + 1e-30)
    return [expected for expected, _ in plain]


@pytest.fixture(scope="module")
def usual(made, photo):
    return cache(lambda name: plain_maps(made(name), photo))


def check(made, usual, photo, name, place, kind):
    detector, before = made(name), usual(name)
    module = detector.model.get_submodule(place)
    outputs = detector.local_outputs()
    assert outputs
    with SETTINGS[kind](module):
        assert detector.local_outputs() == ()
        after = plain_maps(detector, photo)
    assert detector.local_outputs() == outputs
    # What was set was reached at all.
    assert any((one - other).abs().max() > 0.1 * other.max() for one, other in zip(after, before))


CASES = [
    (name, place, kind)
    for name, (_, layer, around, behind, one) in FAMILIES.items()
    for places, kinds in (
        ([layer], ["forward_hook"]),  # what else there is comes before its map is recorded
        *((around, AFTER), (behind, OF_ANY), ([one], SETTINGS)),
    )
    for place in places
    for kind in kinds
    if (place, kind) != ("head", "_call_impl")  # the adapter reads what it calls
]
# Every kind once in one family, and every place with one of the kinds, by default.
SOME = [
    *(case for case in CASES if case[:2] == ("retinanet", FAMILIES["retinanet"][-1])),
    *(
        (own := [case for case in CASES if case[:2] == place])[number % len(own)]
        for number, place in enumerate(dict.fromkeys(case[:2] for case in CASES))
    ),
]


@pytest.mark.filterwarnings("ignore:.*all-zero map", "ignore:.*non-full backward hook")
@pytest.mark.parametrize(("name", "place", "kind"), dict.fromkeys(SOME))
def test_what_somebody_has_set_counts(made, usual, photo, name, place, kind):
    check(made, usual, photo, name, place, kind)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*all-zero map", "ignore:.*non-full backward hook")
@pytest.mark.parametrize(("name", "place", "kind"), [case for case in CASES if case not in SOME])
def test_everything_that_may_be_set_counts(made, usual, photo, name, place, kind):
    check(made, usual, photo, name, place, kind)


CHOICE = ["model.enc_output", "model.enc_score_head", "model.enc_bbox_head.layers.0", "model"]
HEADS = ["head", "head.classification_head", "head.regression_head.bbox_reg"]


@pytest.mark.parametrize(("name", "places"), [("retinanet", HEADS), ("rt-detr", CHOICE)])
def test_a_graph_is_kept_where_somebody_has_set_something(made, build_family, name, places):
    detector = made(name) if name in FAMILIES else rt_detr(build_family)
    [part] = detector.modules_apart({"score"})
    for kind, place in zip(SETTINGS, cycle(places), strict=False):
        with SETTINGS[kind](detector.model.get_submodule(place)):
            assert detector.modules_apart({"score"}) == []
    assert detector.modules_apart({"score"}) == [part]


@pytest.mark.parametrize("place", ["rpn", "roi_heads"])
def test_features_that_somebody_changes_for_one_part_alone(made, photo, place):
    detector = made("faster-rcnn")

    def halved(module, args):
        return tuple(
            {name: one * 0.5 for name, one in given.items()} if isinstance(given, dict) else given
            for given in args
        )

    handle = detector.model.get_submodule(place).register_forward_pre_hook(halved)
    try:
        plain_maps(detector, photo)
        found = detector.detect(photo)[0]
        with torch.no_grad():
            scores = ssgc.InstanceScoreWrapper(detector, found)(photo)[0]
        torch.testing.assert_close(scores, found.scores, atol=2e-6, rtol=1e-5)
    finally:
        handle.remove()


def test_classes_that_look_at_boxes_by_a_patch_keep_their_graph(made, photo, monkeypatch):
    detector = made("retinanet")
    head = detector.model.head
    old = head.classification_head.forward

    def forward(features):
        return old(features) + head.regression_head(features).mean(-1, keepdim=True)

    monkeypatch.setattr(head.classification_head, "forward", forward)
    plain_maps(detector, photo)


def test_scores_that_look_at_the_choice_of_queries_keep_its_graph(build_family, photo):
    detector = rt_detr(build_family)

    def with_choice(module, args, output):
        output.logits = output.logits + output.enc_outputs_class.mean(1, keepdim=True)
        return output

    handle = detector.model.register_forward_hook(with_choice)
    try:
        plain_maps(detector, photo)
    finally:
        handle.remove()


@pytest.mark.parametrize("name", FAMILIES)
def test_what_this_package_sets_does_not_count(made, name):
    detector = made(name)
    outputs, apart = detector.local_outputs(), detector.modules_apart({"score"})
    with forward_hooks(dict.fromkeys(detector.model.modules(), lambda *_: None)):
        assert detector.local_outputs() == outputs
        assert detector.modules_apart({"score"}) == apart


def test_what_a_vendor_sets_does_not_count(made):
    fused = copy.deepcopy(made("yolo11n").model).fuse(verbose=False)
    assert any("forward" in vars(module) for module in fused.modules())
    assert ssgc.wrap_detector(fused).local_outputs() == ("score", "logit")
