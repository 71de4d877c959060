"""torchvision's one-stage adapter: what is particular to it."""

from __future__ import annotations

import pytest
import torch
import torchvision
from detectors.plain_maps import assert_maps_are_plain
from small_backbones import pyramid
from torch import nn
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

import captum_ssgc as ssgc
from captum_ssgc.detectors import OneStageDetector
from captum_ssgc.detectors._local_heads import cell_outputs, chain_of

SETTINGS = {
    "num_classes": 3,
    "min_size": 64,
    "max_size": 128,
    "score_thresh": 0.0,
    "detections_per_img": 20,
}


def one_level():
    backbone = torchvision.models.mobilenet_v2(weights=None).features
    backbone.out_channels = 1280
    generator = AnchorGenerator(((16, 32, 64),), ((0.5, 1.0, 2.0),))
    return RetinaNet(backbone, anchor_generator=generator, **SETTINGS)


def pooled_pyramid():
    backbone = pyramid((3, 4), LastLevelMaxPool())
    generator = AnchorGenerator(((16,), (32,), (64,)), ((1.0,),) * 3)
    return FCOS(backbone, anchor_generator=generator, **SETTINGS)


def detector_of(build):
    torch.manual_seed(1)
    return ssgc.wrap_detector(build().eval())


@pytest.mark.parametrize(
    ("build", "names"),
    [
        pytest.param(one_level, ["backbone"], marks=pytest.mark.slow),
        (
            pooled_pyramid,
            ["backbone.fpn.layer_blocks.0", "backbone.fpn.layer_blocks.1", "backbone.body.layer4"],
        ),
    ],
    ids=["one-level", "pooled-pyramid"],
)
def test_other_backbones(build, names, picture):
    detector = detector_of(build)
    assert isinstance(detector, OneStageDetector)
    assert list(detector.target_layers()) == names
    found = detector.detect(picture)[0]
    assert len(found) >= 5
    wrapper = ssgc.InstanceScoreWrapper(detector, found)
    with torch.no_grad():
        torch.testing.assert_close(wrapper(picture)[0], found.scores, atol=2e-6, rtol=1e-5)
    layer = detector.layer_for(found, 0)
    maps = ssgc.SSGradCAMPlusPlus(wrapper, layer).attribute(picture, target=0, mask=None)
    assert maps.shape[-2:] in [(2, 3), (4, 6)]


def test_an_unknown_backbone_of_several_levels_has_no_recommended_layer():
    detector = detector_of(pooled_pyramid)
    detector.model.backbone.fpn = torch.nn.Identity()
    assert detector.level_layers() == []


@pytest.mark.parametrize("branch", ["classification_head", "regression_head"])
def test_the_shared_head_has_no_single_map(build_family, picture, branch):
    detector = build_family("torchvision", "retinanet").detector
    found = detector.detect(picture)[0]
    wrapper = ssgc.InstanceScoreWrapper(detector, found)
    layer = getattr(detector.model.head, branch).conv[0]
    with pytest.raises(ValueError, match=rf"{branch}.conv.0' ran 5 times.*layer_blocks.0"):
        ssgc.SSGradCAMPlusPlus(wrapper, layer).attribute(picture, target=0)


def test_regions_are_the_anchors(build_family, picture):
    detector = build_family("torchvision", "retinanet").detector
    found = detector.detect(picture)[0]
    seen = []
    generator = detector.model.anchor_generator
    handle = generator.register_forward_hook(lambda m, args, output: seen.append(output[0]))
    detector.detect(picture)
    handle.remove()
    geometry = detector.geometry(tuple(picture.shape[-2:]))
    assert torch.equal(found.regions, geometry.boxes_to_image(seen[0][found.candidates]))


def test_regions_of_points_are_the_boxes(build_family, picture):
    detector = build_family("torchvision", "fcos").detector
    found = detector.detect(picture)[0]
    height, width = picture.shape[-2:]
    inside = found.regions.clamp(min=0.0)
    inside = torch.minimum(inside, torch.tensor([width, height] * 2))
    torch.testing.assert_close(inside, found.boxes, atol=1e-3, rtol=1e-5)


def test_scoring_stops_after_the_head(build_family, picture):
    model = build_family("torchvision", "retinanet").detector.model
    detector = ssgc.wrap_detector(model)
    found = detector.detect(picture)[0]
    calls = []
    original = model.postprocess_detections
    model.postprocess_detections = lambda *args: calls.append(1) or original(*args)
    try:
        ssgc.InstanceScoreWrapper(detector, found)(picture)
        assert calls == []
        detector.detect(picture)
        assert calls == [1]
    finally:
        del model.postprocess_detections


def test_a_foreign_post_processing_is_refused(build_family, picture):
    model = build_family("torchvision", "retinanet").detector.model
    original = model.postprocess_detections

    def halved(*args):
        return [{**entry, "scores": entry["scores"] / 2} for entry in original(*args)]

    model.postprocess_detections = halved
    try:
        with pytest.raises(ValueError, match=r"25 of 25 detections were not found.*torchvision"):
            ssgc.wrap_detector(model).detect(picture)
    finally:
        del model.postprocess_detections


def test_select_needs_a_full_run(build_family, picture):
    detector = build_family("torchvision", "retinanet").detector
    found = detector.detect(picture)[0]
    with pytest.raises(ValueError, match="without detections"):
        detector.select(detector.run(picture, [found]))


def test_another_model_is_refused():
    with pytest.raises(TypeError, match="expected a RetinaNet, FCOS or SSD, got Linear"):
        OneStageDetector(torch.nn.Linear(1, 1))


@pytest.mark.slow
def test_strides_that_do_not_divide_the_canvas_of_ssd(picture):
    """Its cells lie where its anchors do: 300 pixels have 10 cells of 32, and 5 of 64."""
    torch.manual_seed(0)
    model = torchvision.models.detection.ssd300_vgg16(
        weights=None, weights_backbone=None, num_classes=3
    )
    detector = ssgc.wrap_detector(model.eval())
    geometry = detector.geometry((300, 300))
    grids, steps = (38, 19, 10, 5, 3, 1), (8, 16, 32, 64, 100, 300)
    assert [geometry.strides((cells, cells)) for cells in grids] == [(s, s) for s in steps]
    assert geometry.strides((75, 75)) == (4.0, 4.0)  # a layer of none of the levels
    anchors = detector.run(torch.rand(1, 3, 300, 300)).anchors
    last = anchors[(38 * 38 * 4 + 19 * 19 * 6 + 10 * 10 * 6) - 6]  # of the last cell of 10 x 10
    mask = geometry.boxes_to_grid((last[:2] + last[2:]).repeat(2)[None] / 2, (10, 10))
    assert mask[0, 0].nonzero().tolist() == [[9, 9]]


def test_a_backbone_of_its_own_names_its_levels(picture):
    model = pooled_pyramid().eval()
    names = ["backbone.body.layer3", "backbone.body.layer4", "backbone.body.layer4"]
    detector = OneStageDetector(model, level_layers=names)
    assert [detector.layer_name(layer) for layer in detector.level_layers()] == names
    with pytest.raises(ValueError, match="level_layers: expected 3, one for each level"):
        OneStageDetector(model, level_layers=names[:2])
    with pytest.raises(ValueError, match="the model has no layer 'nope'"):
        OneStageDetector(model, level_layers=["nope"] * 3)


def test_images_in_another_precision_than_the_model(picture):
    detector = detector_of(pooled_pyramid)
    single, double = (
        detector.detect(picture.to(dtype))[0] for dtype in (picture.dtype, torch.float64)
    )
    assert torch.equal(single.scores, double.scores)
    wrapper = ssgc.InstanceScoreWrapper(detector, double)
    torch.testing.assert_close(wrapper(picture.double())[0], double.scores)


def class_logits_with_boxes(module, args, output):
    quality = output["bbox_regression"].mean(-1, keepdim=True)
    return {**output, "cls_logits": output["cls_logits"] + 9.0 * quality}


class QualityHead(RetinaNetHead):
    """Its class logits depend on what it says of boxes."""

    def forward(self, features):
        return class_logits_with_boxes(self, features, super().forward(features))


@pytest.mark.filterwarnings("ignore:.*all-zero map")
@pytest.mark.parametrize("how", ["class", "hook"])
def test_a_head_that_makes_scores_of_boxes_keeps_their_graph(how, picture):
    torch.manual_seed(1)
    generator = AnchorGenerator(((16,), (32,), (64,)), ((1.0,),) * 3)
    model = RetinaNet(pyramid((3, 4), LastLevelMaxPool()), anchor_generator=generator, **SETTINGS)
    for part in model.head.modules():
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.normal_(part.weight, std=0.03)
    if how == "class":
        model.head.__class__ = QualityHead
    else:
        model.head.register_forward_hook(class_logits_with_boxes)
    detector = ssgc.wrap_detector(model.eval())
    found = detector.detect(picture)[0][:3]
    assert len(found) == 3
    assert_maps_are_plain(detector, picture, found, [("odam", {})], "logit")


def test_what_an_output_depends_on_is_not_cut(build_family):
    detector = build_family("torchvision", "retinanet").detector
    head = detector.model.head
    assert detector.modules_apart({"left", "-top"}) == [head.classification_head]
    assert detector.modules_apart({"score", "-logit", ("logit", 1)}) == [head.regression_head]
    assert detector.modules_apart({"score", "left"}) == []


def small_retinanet():
    backbone = pyramid((3, 4), LastLevelMaxPool())
    generator = AnchorGenerator(((16,), (32,), (64,)), ((1.0,),) * 3)
    return RetinaNet(backbone, anchor_generator=generator, **SETTINGS)


def test_layers_that_do_not_give_what_the_head_takes_go_through_the_network(picture):
    """What lies between changes the gradient, too."""
    detector = detector_of(small_retinanet)
    with torch.no_grad():
        for weight in detector.model.head.classification_head.parameters():
            weight.normal_(0.0, 0.1)
    found = detector.detect(picture)[0]
    taken = []
    handle = detector.model.head.register_forward_pre_hook(
        lambda module, args: taken.extend(args[0])
    )
    with torch.no_grad():
        raw = detector.run(picture)
    handle.remove()
    levels = dict(enumerate(taken))
    assert detector.local_gradients(raw, levels, found, "score") is not None
    for output in detector.local_outputs():
        doubled = {level: 2.0 * one for level, one in levels.items()}
        assert detector.local_gradients(raw, doubled, found, output) is None
        missing = {level: one for level, one in levels.items() if level != found.levels[0]}
        assert detector.local_gradients(raw, missing, found, output) is None
        smaller = {level: one[..., :-1] for level, one in levels.items()}
        assert detector.local_gradients(raw, smaller, found, output) is None


@pytest.mark.parametrize(
    ("options", "radius"),
    [
        ({"kernel_size": 1}, 0),
        ({"kernel_size": 3, "padding": 1}, 1),
        ({"kernel_size": 3, "padding": 2, "dilation": 2}, 2),
        ({"kernel_size": 2}, None),
        ({"kernel_size": 3}, None),
        ({"kernel_size": 3, "padding": 1, "stride": 2}, None),
        ({"kernel_size": 3, "padding": 1, "padding_mode": "circular"}, None),
        ({"kernel_size": (3, 5), "padding": (1, 2)}, None),
    ],
    ids=str,
)
def test_convolutions_that_a_window_serves(options, radius):
    chain = chain_of(nn.Sequential(nn.ReLU(), nn.Conv2d(2, 2, **options)))
    assert (chain and [step.radius for step in chain]) == (None if radius is None else [0, radius])


def test_a_head_that_begins_in_place_leaves_the_features():
    head = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(2, 3, 3, padding=1))
    features = torch.randn(1, 2, 6, 7, generator=torch.Generator().manual_seed(0))
    before = features.clone()
    [found], leaves, [window] = cell_outputs(features, [(2, 6)], chain_of(head))
    torch.testing.assert_close(found, head(before.clone())[..., 2, 6])
    assert torch.equal(features, before)
    assert torch.equal(leaves, window.of(before))
