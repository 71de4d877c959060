"""DESIGN section 3, invariants (a) to (d), on torchvision's two-stage family."""

from __future__ import annotations

import copy

import pytest
import torch
import torchvision
from detectors.plain_maps import plain_heat_maps
from every_method import every_method
from small_backbones import pyramid, residual
from torch import nn
from torchvision.models.detection import FasterRCNN, KeypointRCNN, MaskRCNN
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

import captum_ssgc as ssgc
from captum_ssgc.attr import METHODS, Layers, recording
from captum_ssgc.detectors import TwoStageDetector, _pooling_gradients, torchvision_two_stage

SMALL = {
    "weights": None,
    "weights_backbone": None,
    "num_classes": 6,
    "box_score_thresh": 0.0,
    "min_size": 96,
    "max_size": 200,
    "rpn_post_nms_top_n_test": 40,
    "box_detections_per_img": 20,
}


def faster_rcnn_mobilenet():
    return torchvision.models.detection.fasterrcnn_mobilenet_v3_large_fpn(**SMALL)


def faster_rcnn_v2():
    return torchvision.models.detection.fasterrcnn_resnet50_fpn_v2(**SMALL)


def single_level(kind, **options):
    backbone = torchvision.models.mobilenet_v2(weights=None).features[:14]
    backbone.out_channels = 96
    return kind(
        backbone,
        num_classes=6,
        rpn_anchor_generator=AnchorGenerator(((16, 32, 64),), ((0.5, 1.0, 2.0),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], 7, 2),
        **{k: v for k, v in SMALL.items() if not k.startswith(("weights", "num"))},
        **options,
    )


def with_pyramid(kind, **options):
    settings = {k: v for k, v in SMALL.items() if not k.startswith(("weights", "num"))}
    return kind(pyramid(), num_classes=6, **settings, **options)


# how to build it, its number of levels, and the canonical box size that puts a small image's
# proposals on several of them (both levels of the first have one stride, so all go to level 0)
FAMILY = {
    "faster-rcnn-mobilenet-fpn": (faster_rcnn_mobilenet, 2, 224),
    "faster-rcnn-resnet50-fpn-v2": (faster_rcnn_v2, 4, 34),
    "faster-rcnn-one-level": (lambda: single_level(FasterRCNN), 0, 56),
    "faster-rcnn-resnet18-fpn": (lambda: with_pyramid(FasterRCNN), 4, 28),
    "mask-rcnn-resnet18-fpn": (lambda: with_pyramid(MaskRCNN), 4, 28),
    "keypoint-rcnn-resnet18-fpn": (lambda: with_pyramid(KeypointRCNN, num_keypoints=5), 4, 28),
}


def perturb(model, image):
    """Logits of spread about 2, and proposals that stay near their anchors."""
    seen = {}
    handle = model.roi_heads.box_head.register_forward_hook(
        lambda module, args, output: seen.update(features=output)
    )
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        model.rpn.head.bbox_pred.weight.mul_(0.05)
        model([image[0]])
        handle.remove()
        head = model.roi_heads.box_predictor.cls_score
        weight = torch.randn(head.weight.shape, generator=generator)
        head.weight.copy_(2.0 * weight / seen["features"].norm(dim=1).mean())


SLOW = {
    "faster-rcnn-resnet50-fpn-v2",
    "mask-rcnn-resnet18-fpn",
    "keypoint-rcnn-resnet18-fpn",
}
CASES = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in FAMILY]


@pytest.fixture(scope="module", params=CASES)
def case(request, image):
    build, levels, canonical_scale = FAMILY[request.param]
    torch.manual_seed(2)
    model = build().eval()
    model.roi_heads.box_roi_pool.canonical_scale = canonical_scale
    perturb(model, image)
    return model, levels


def test_detect_equals_the_vendors_own_output(case, image):
    model, _levels = case
    detector = ssgc.wrap_detector(model)
    batch = torch.cat([image, image.flip(-1)])
    with torch.no_grad():
        vendor = model(list(batch))
    found = detector.detect(batch)
    assert isinstance(detector, TwoStageDetector)
    for ours, theirs in zip(found, vendor, strict=True):
        assert len(ours) >= 5
        assert torch.equal(ours.boxes, theirs["boxes"])
        assert torch.equal(ours.labels, theirs["labels"])
        assert torch.equal(ours.scores, theirs["scores"])
        rows = torch.arange(len(ours))
        assert torch.equal(ours.class_scores[rows, ours.labels], ours.scores)
        assert ours.image_size == (75, 101)
        assert (ours.masks is None) == ("masks" not in theirs)
        if ours.masks is not None:
            assert torch.equal(ours.masks, theirs["masks"][:, 0])
            assert not ours.masks.requires_grad
    if len(set(model.roi_heads.box_roi_pool.scales)) > 1:
        assert len(found[0].levels.unique()) >= 2


def test_scores_and_edges_of_the_reference_image(case, image):
    model, _ = case
    detector = ssgc.wrap_detector(model)
    detections = detector.detect(image)[0]
    with torch.no_grad():
        scores = ssgc.InstanceScoreWrapper(detector, detections)(image)[0]
        torch.testing.assert_close(scores, detections.scores, atol=2e-6, rtol=1e-5)
        edges = [
            ssgc.InstanceScoreWrapper(detector, detections, edge)(image)[0]
            for edge in ("left", "top", "right", "bottom")
        ]
    boxes = torch.stack(edges, 1)
    inside = torch.stack([boxes[:, 0::2].clamp(0, 101), boxes[:, 1::2].clamp(0, 75)], 2)
    torch.testing.assert_close(inside.flatten(1), detections.boxes, atol=1e-3, rtol=1e-5)


def test_a_full_run_serves_the_proposals_of_another_image(case, image):
    model, _ = case
    detector = ssgc.wrap_detector(model)
    found = detector.detect(torch.cat([image, image.flip(-1)]))
    changed = torch.cat([image.flip(-2), image * 0.7])
    with torch.no_grad():
        shared = detector.run_from(detector.run(changed), changed, found)
        alone = detector.run(changed, found)
        for output in ("score", "right"):
            pairs = (detector.values(raw, found, output) for raw in (shared, alone))
            for ours, theirs in zip(*pairs, strict=True):
                assert torch.equal(ours, theirs)


def test_logits_give_the_scores(case, image):
    model, _ = case
    detector = ssgc.wrap_detector(model)
    detections = detector.detect(image)[0]
    captured = {}
    handle = model.roi_heads.box_predictor.register_forward_hook(
        lambda module, args, output: captured.update(logits=output[0])
    )
    with torch.no_grad():
        model([image[0]])
    handle.remove()
    expected = captured["logits"][detections.candidates, detections.labels]
    with torch.no_grad():
        logits = ssgc.InstanceScoreWrapper(detector, detections, "logit")(image)[0]
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-4)


def test_the_recommended_layer_has_a_gradient_for_every_detection(case, image):
    model, levels = case
    detector = ssgc.wrap_detector(model)
    detections = detector.detect(image)[0]
    wrapper = ssgc.InstanceScoreWrapper(detector, detections)
    assert len(detector.level_layers()) == levels
    leaves = {}

    def keep(module, args, output):
        leaves[module] = output.detach().requires_grad_()
        return leaves[module].clone()

    layers = detector.level_layers() or list(detector.target_layers().values())
    handles = [layer.register_forward_hook(keep) for layer in layers]
    scores = wrapper(image)[0]
    for handle in handles:
        handle.remove()
    for target, score in enumerate(scores):
        leaf = leaves[detector.layer_for(detections, target)]
        (gradient,) = torch.autograd.grad(score, leaf, retain_graph=True)
        assert torch.isfinite(gradient).all()
        assert gradient.abs().max() > 0


def test_a_wrong_level_raises_and_names_the_right_one(case, image):
    model, levels = case
    if levels < 2:
        pytest.skip("this model has one level")
    detector = ssgc.wrap_detector(model)
    detections = detector.detect(image)[0]
    wrapper = ssgc.InstanceScoreWrapper(detector, detections)
    owner = int(detections.levels[0])
    wrong = detector.level_layers()[(owner + 1) % levels]
    right = detector.layer_name(detector.layer_for(detections, 0))
    with pytest.raises(ValueError, match=f"level {owner}: use layer '{right}'"):
        ssgc.SSGradCAMPlusPlus(wrapper, wrong).attribute(image, target=0)


def state_of(model):
    return (
        [(p.requires_grad, p.grad) for p in model.parameters()],
        [m.training for m in model.modules()],
        [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()],
        torch.is_grad_enabled(),
        torch.get_rng_state().tolist(),
    )


@pytest.mark.parametrize("fails", [False, True], ids=["returns", "raises"])
def test_nothing_is_left_behind(case, image, fails):
    model, _ = case
    model.roi_heads.box_head.requires_grad_(False)
    before = state_of(model)
    weights = copy.deepcopy(model.state_dict())
    detector = ssgc.wrap_detector(model)
    detections = detector.detect(image)[0]
    wrapper = ssgc.InstanceScoreWrapper(detector, detections)
    cam = ssgc.SSGradCAMPlusPlus(wrapper, detector.layer_for(detections, 0))
    if fails:
        predictor = model.roi_heads.box_predictor
        handle = predictor.register_forward_pre_hook(lambda module, args: 1 / 0)
        for call in (lambda: cam.attribute(image, target=0), lambda: detector.detect(image)):
            with pytest.raises(ZeroDivisionError):
                call()
        handle.remove()
    else:
        cam.attribute(image, target=0)
        cam.attribute_instances(image, [0])
        ssgc.explain(model, image, score_threshold=0.0, top_k=1)
    assert state_of(model) == before
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    model.requires_grad_(True)


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_and_duplicated_proposals_give_the_same_rows(faster_rcnn, image, seed):
    """Whatever order the proposals come in, each detection is traced to one that gave it."""
    generator = torch.Generator().manual_seed(seed)

    def shuffle(module, args, output):
        (proposals,), losses = output
        proposals = torch.cat([proposals, proposals[::3]])
        return [proposals[torch.randperm(len(proposals), generator=generator)]], losses

    seen = []
    handles = [
        faster_rcnn.rpn.register_forward_hook(shuffle),
        faster_rcnn.rpn.register_forward_hook(lambda m, a, output: seen.append(output[0][0])),
    ]
    try:
        detector = ssgc.wrap_detector(faster_rcnn)
        found = detector.detect(image)[0]
    finally:
        for handle in handles:
            handle.remove()
    assert len(found) >= 5
    expected = detector.geometry((75, 101)).boxes_to_image(seen[0][found.candidates])
    assert torch.equal(found.regions, expected)
    with torch.no_grad():
        scores = ssgc.InstanceScoreWrapper(detector, found)(image)[0]
    torch.testing.assert_close(scores, found.scores, atol=2e-6, rtol=1e-5)


class Relation(nn.Module):
    """A head of regions that see one another."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, pooled):
        of_each = self.inner(pooled)
        return of_each + 3.0 * (of_each - of_each.mean(0, keepdim=True))


def test_regions_that_see_one_another_are_scored_among_all(faster_rcnn, image):
    model = copy.deepcopy(faster_rcnn)
    model.roi_heads.box_head = Relation(model.roi_heads.box_head).eval()
    detector = ssgc.wrap_detector(model)
    batch = torch.cat([image, image.flip(-1)])
    found = [detector.detect(one[None])[0] for one in batch]
    assert all(len(one) >= 5 for one in found)
    scores = detector.score(batch, found)
    for own, one in zip(scores, found, strict=True):
        torch.testing.assert_close(own[: len(one)], one.scores, atol=2e-6, rtol=1e-5)
    alone = ssgc.InstanceScoreWrapper(detector, found[0][[3]])
    torch.testing.assert_close(alone(image)[0], found[0].scores[[3]], atol=2e-6, rtol=1e-5)
    explained = ssgc.explain(detector, image, "odam", score_threshold=0.0, top_k=1)[0]
    best = found[0][[explained.index]]
    layer = detector.layer_for(best, 0)
    cam = ssgc.ODAM(ssgc.InstanceScoreWrapper(detector, best), layer)
    own = cam.attribute(image, target=0, interpolate_mode="bilinear")[0, 0]
    torch.testing.assert_close(own, explained.heat_map, rtol=1e-3, atol=1e-6)


def test_chosen_regions_are_put_in_their_places():
    proposals, regions = torch.arange(12.0).reshape(3, 4), -torch.arange(16.0).reshape(4, 4)
    rows = torch.tensor([7, 1, 3, 1])
    regions[3] = regions[1]  # one candidate, two labels
    result, places = torchvision_two_stage._put_in(proposals, regions, rows)
    assert places.tolist() == [3, 1, 4, 1]
    assert torch.equal(result[places], regions)
    assert torch.equal(result[[0, 2]], proposals[[0, 2]])
    assert len(result) == 5


def test_a_foreign_post_processing_is_refused(faster_rcnn, image):
    detector = ssgc.wrap_detector(faster_rcnn)

    def rescore(module, args, output):
        output[0][0]["scores"] = output[0][0]["scores"] * 0.5
        return output

    handle = faster_rcnn.roi_heads.register_forward_hook(rescore)
    try:
        with pytest.raises(ValueError, match="were not found among the candidates"):
            detector.detect(image)
    finally:
        handle.remove()


def test_a_model_in_training_mode_is_refused(faster_rcnn, image):
    faster_rcnn.train()
    try:
        with pytest.raises(ValueError, match=r"training mode.*model\.eval\(\)"):
            ssgc.wrap_detector(faster_rcnn).detect(image)
    finally:
        faster_rcnn.eval()


def test_geometry_is_the_canvas_of_the_model(faster_rcnn):
    geometry = ssgc.wrap_detector(faster_rcnn).geometry((75, 101))
    assert geometry.canvas_size == (96, 160)
    assert geometry.scale == (96 / 75, 129 / 101)


def test_recommended_layers_are_named(faster_rcnn):
    names = list(ssgc.wrap_detector(faster_rcnn).target_layers())
    blocks = [f"backbone.fpn.layer_blocks.{level}" for level in range(4)]
    assert names == [*blocks, "backbone.body.layer4"]


@pytest.mark.parametrize(
    "stages",
    [
        pytest.param({"layer2": "1", "layer3": "2", "layer4": "3"}, marks=pytest.mark.slow),
        {"layer4": "c4", "layer3": "c5"},
        {"layer1": "2", "layer2": "3", "layer3": "4"},
    ],
    ids=["from-1", "words-out-of-order", "from-2"],
)
def test_levels_are_found_whatever_their_names(stages, picture):
    torch.manual_seed(0)
    body = residual()
    channels = [64 * 2 ** (int(stage[-1]) - 1) for stage in sorted(stages)]
    backbone = BackboneWithFPN(body, stages, channels, 64, LastLevelMaxPool())
    names = list(stages.values())
    levels = len(names) + 1
    anchors = AnchorGenerator(((8,), (16,), (32,), (64,))[:levels], ((1.0,),) * levels)
    model = FasterRCNN(
        backbone,
        num_classes=6,
        rpn_anchor_generator=anchors,
        box_roi_pool=MultiScaleRoIAlign(names, 7, 2, canonical_scale=40),
        **{k: v for k, v in SMALL.items() if not k.startswith(("weights", "num"))},
    ).eval()
    detector = ssgc.wrap_detector(model)
    layers = [detector.layer_name(layer) for layer in detector.level_layers()]
    assert layers == [f"backbone.fpn.layer_blocks.{n}" for n in range(len(names))]
    found = detector.detect(picture)[0]
    assert len(found) >= 5
    wrapper = ssgc.InstanceScoreWrapper(detector, found)
    for target in range(len(found)):
        layer = detector.layer_for(found, target)
        maps = ssgc.ODAM(wrapper, layer).attribute(picture, target=target, relu_attributions=False)
        assert bool(maps.any())


def test_a_layer_of_the_region_head_is_refused_for_one_detection_too(picture):
    torch.manual_seed(0)
    detector = ssgc.wrap_detector(with_pyramid(FasterRCNN).eval())
    found = detector.detect(picture)[0]
    wrapper = ssgc.InstanceScoreWrapper(detector, found[:1])
    with pytest.raises(ValueError, match="belongs to a region head"):
        ssgc.SSGradCAMPlusPlus(wrapper, detector.model.roi_heads.box_roi_pool)
    with pytest.raises(ValueError, match="belongs to a region head"):
        ssgc.explain(detector, picture, layer="roi_heads.box_head.fc6", score_threshold=0.0)


def test_a_backbone_that_gives_a_dictionary_names_its_levels(picture):
    class Levels(torch.nn.Module):
        out_channels = 16

        def __init__(self):
            super().__init__()
            self.fine = torch.nn.Conv2d(3, 16, 3, stride=4, padding=1)
            self.coarse = torch.nn.Conv2d(16, 16, 3, stride=2, padding=1)

        def forward(self, images):
            fine = self.fine(images)
            return {"a": fine, "b": self.coarse(fine)}

    torch.manual_seed(0)
    settings = {k: v for k, v in SMALL.items() if not k.startswith(("weights", "num"))}
    model = FasterRCNN(
        Levels(),
        num_classes=6,
        rpn_anchor_generator=AnchorGenerator(((16,), (32,)), ((1.0,),) * 2),
        box_roi_pool=MultiScaleRoIAlign(["a", "b"], 7, 2, canonical_scale=20),
        **settings,
    ).eval()
    detector = TwoStageDetector(model, level_layers=["backbone.fine", "backbone.coarse"])
    found = ssgc.explain(detector, picture, score_threshold=0.0, top_k=8, method="odam")
    assert {e.layer for e in found} <= {"backbone.fine", "backbone.coarse"}
    assert any(e.heat_map.any() for e in found)
    by_default = ssgc.explain(model, picture, score_threshold=0.0, top_k=8, method="odam")
    assert [e.layer for e in by_default] == [e.layer for e in found]
    model.backbone.coarse.register_forward_hook(lambda module, args, output: output * 1.0)
    model.backbone.register_forward_hook(
        lambda module, args, output: {name: one * 1.0 for name, one in output.items()}
    )
    with pytest.raises(ValueError, match=r"got dict; .*level_layers"):
        ssgc.explain(copy.deepcopy(model), picture, score_threshold=0.0)


@pytest.mark.filterwarnings("ignore:.*all-zero map")
@pytest.mark.parametrize("output", ["score", pytest.param("logit", marks=pytest.mark.slow), "left"])
def test_gradients_at_the_pooled_features_give_the_plain_maps(case, image, output, monkeypatch):
    """One backward of the sum for all regions, then the pooling's own on each window."""
    monkeypatch.setattr(_pooling_gradients, "CROPS_AT_ONCE", 3)
    detector = ssgc.wrap_detector(case[0])
    detections = detector.detect(image)[0][:8]
    if not detector.level_layers():
        pytest.skip("this backbone has no layer of its own for the pooled features")
    methods = [(METHODS[name], options) for name, options in every_method()]
    expected = plain_heat_maps(detector, image, detections, methods, output)
    requests = [method.request(options, output) for method, options in methods]
    with recording(detector, Layers.of_detector(detector), image) as run:
        features = {
            level: run._grids[run.layers.places(level)[0]].tensor.detach()
            for level in detections.levels.unique().tolist()
        }
        local = detector.local_gradients(run.raw, features, detections, output)
        assert run._local_gradients(detections, detections.levels.tolist(), output) is not None
        made = run.heat_maps(requests, detections)
    assert local is not None
    assert len(local.gradients) == len(detections)
    for plain, ours in zip(expected, made, strict=True):
        for (one, scale), mine in zip(plain, ours.heat_maps(), strict=True):
            torch.testing.assert_close(mine, one, rtol=0.0, atol=1e-5 * scale + 1e-30)


def test_a_region_head_that_mixes_regions_goes_through_the_network(image):
    class Mixing(torch.nn.Module):
        def __init__(self, head):
            super().__init__()
            self.head = head

        def forward(self, pooled):
            features = self.head(pooled)
            return features + features.mean(0, keepdim=True)

    model = faster_rcnn_mobilenet().eval()
    model.roi_heads.box_head = Mixing(model.roi_heads.box_head).eval()
    perturb(model, image)
    detector = ssgc.wrap_detector(model)
    found = detector.detect(image)[0]
    with torch.no_grad():
        raw = detector.run(image)
    features = dict(enumerate(raw.features.values()))
    assert detector.local_gradients(raw, features, found, "score") is None


def test_layers_that_do_not_give_what_is_pooled_go_through_the_network(faster_rcnn, image):
    """What lies between changes the gradient, too."""
    detector = ssgc.wrap_detector(faster_rcnn)
    found = detector.detect(image)[0]
    with torch.no_grad():
        raw = detector.run(image)
    pooled = dict(enumerate(raw.features.values()))
    assert detector.local_gradients(raw, pooled, found, "score") is not None
    doubled = {level: 2.0 * one for level, one in pooled.items()}
    assert detector.local_gradients(raw, doubled, found, "score") is None
    missing = {level: one for level, one in pooled.items() if level != found.levels[0]}
    assert detector.local_gradients(raw, missing, found, "score") is None
