"""Recommended layers run, once, and lead to the score, whatever the backbone is built from."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
import torchvision
from detectors.family import enliven
from small_backbones import residual
from torch import nn
from torchvision.models.detection import FCOS, FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

import captum_ssgc as ssgc
from captum_ssgc.detectors._feature_modules import feature_modules
from captum_ssgc.detectors._last_module import last_module_of

SMALL = {"num_classes": 6, "min_size": 96, "max_size": 200}


class Extracted(nn.Module):
    """torchvision's documented recipe: a pyramid over extracted features."""

    out_channels = 32

    def __init__(self, network, nodes, channels, extra=None) -> None:
        super().__init__()
        self.body = create_feature_extractor(network, return_nodes=nodes)
        self.fpn = FeaturePyramidNetwork(channels, self.out_channels, extra_blocks=extra)

    def forward(self, images):
        return self.fpn(self.body(images))


def two_stage(names, extra=True, body_names=None):
    torch.manual_seed(0)
    nodes = dict(zip([f"layer{n}" for n in range(1, 5)], body_names or names, strict=True))
    backbone = Extracted(
        torchvision.models.resnet18(weights=None),
        nodes,
        [64, 128, 256, 512],
        LastLevelMaxPool() if extra else None,
    )
    levels = 4 + extra
    model = FasterRCNN(
        backbone,
        rpn_anchor_generator=AnchorGenerator(
            tuple((8 * 2**n,) for n in range(levels)), ((1.0,),) * levels
        ),
        box_roi_pool=MultiScaleRoIAlign(names, 7, 2, canonical_scale=50),
        rpn_post_nms_top_n_test=60,
        box_score_thresh=0.0,
        box_detections_per_img=15,
        **SMALL,
    ).eval()
    with torch.no_grad():
        model.rpn.head.bbox_pred.weight.mul_(0.05)
    return model


def assert_layers_lead_to_scores(detector, picture):
    """Each runs once, and its gradient is not zero; own levels for the detections of the level."""
    found = detector.detect(picture)[0]
    assert len(found) >= 5
    wrapper = ssgc.InstanceScoreWrapper(detector, found, "logit")
    layers = detector.target_layers()
    assert layers
    levels = detector.level_layers()
    seen = {}

    def keep(module, args, output):
        assert module not in seen, "a recommended layer runs once"
        seen[module] = output if output.requires_grad else output.detach().requires_grad_()
        return seen[module].clone()

    handles = [layer.register_forward_hook(keep) for layer in layers.values()]
    try:
        logits = wrapper(picture)[0]
    finally:
        for handle in handles:
            handle.remove()
    for layer in layers.values():
        if layer not in levels:
            slope = torch.autograd.grad(logits[0], seen[layer], retain_graph=True)[0]
            assert slope.abs().max() > 0
    for target in range(len(found)):
        own = seen[detector.layer_for(found, target)]
        assert torch.autograd.grad(logits[target], own, retain_graph=True)[0].abs().max() > 0
    return found


@pytest.mark.parametrize(
    "names",
    [
        list("0123"),
        pytest.param(list("1234"), marks=pytest.mark.slow),
        pytest.param(["feat1", "feat2", "feat3", "feat4"], marks=pytest.mark.slow),
        ["c", "a", "b", "d"],
    ],
    ids="".join,
)
@pytest.mark.parametrize("extra", [False, True], ids=["plain", "pool"])
def test_levels_over_extracted_features(names, extra, picture):
    detector = ssgc.wrap_detector(two_stage(names, extra))
    blocks = [f"backbone.fpn.layer_blocks.{n}" for n in range(4)]
    assert list(detector.target_layers()) == blocks  # no module gives a whole stage's output
    found = assert_layers_lead_to_scores(detector, picture)
    assert len(found.levels.unique()) >= 2


def test_levels_of_some_of_the_maps(picture):
    model = two_stage(list("0123"))
    model.roi_heads.box_roi_pool.featmap_names = ["1", "3"]
    detector = ssgc.wrap_detector(model)
    layers = [detector.layer_name(layer) for layer in detector.level_layers()]
    assert layers == ["backbone.fpn.layer_blocks.1", "backbone.fpn.layer_blocks.3"]
    assert_layers_lead_to_scores(detector, picture)


def test_a_body_that_names_nothing_has_its_levels_in_order(picture):
    class Unnamed(nn.Module):
        def __init__(self, body) -> None:
            super().__init__()
            self.inner = body

        def forward(self, images):
            return self.inner(images)

    model = two_stage(["a", "b", "c", "d"])
    model.backbone.body = Unnamed(model.backbone.body)
    assert_layers_lead_to_scores(ssgc.wrap_detector(model.eval()), picture)


def test_points_over_a_network_of_one_sequence(picture):
    torch.manual_seed(0)
    network = torchvision.models.mobilenet_v3_large(weights=None)
    backbone = Extracted(network, {"features.12": "0", "features.13": "1"}, [112, 160], None)
    anchors = AnchorGenerator(((16,), (32,)), ((1.0,),) * 2)
    model = FCOS(
        backbone, anchor_generator=anchors, score_thresh=0.0, detections_per_img=20, **SMALL
    ).eval()
    detector = ssgc.wrap_detector(model)
    assert list(detector.target_layers())[2:] == ["backbone.body.features.13.block.3"]
    assert_layers_lead_to_scores(detector, picture)


def detr(**settings):
    import transformers
    from detectors.transformers_families import NO_OTHER_BACKBONE

    if "backbone_config" in settings:
        settings = {**NO_OTHER_BACKBONE, **settings}
    config = transformers.DetrConfig(
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_queries=6,
        num_labels=3,
        **settings,
    )
    torch.manual_seed(0)
    model = transformers.DetrForObjectDetection(config).eval()
    enliven(model, classes=(4,))
    processor = transformers.DetrImageProcessor(size={"shortest_edge": 96, "longest_edge": 200})
    return ssgc.wrap_detector(model, processor=processor, score_threshold=0.0)


@pytest.mark.parametrize(
    ("backbone", "layer"),
    [
        pytest.param("resnet18", "layer4", marks=pytest.mark.slow),
        ("efficientnet_lite0", "blocks.6"),
        ("mobilenetv3_small_050", "blocks.5"),
        ("regnetx_002", "s4"),
    ],
)
def test_detr_with_a_backbone_of_timm(vendor_settings, picture, backbone, layer):
    pytest.importorskip("timm")
    detector = detr(use_timm_backbone=True, backbone=backbone, use_pretrained_backbone=False)
    assert next(iter(detector.target_layers())).endswith(f".{layer}")
    assert_layers_lead_to_scores(detector, picture)


@pytest.mark.parametrize("stages", [["stage2"], ["stage4"], ["stage1", "stage3"]], ids="".join)
def test_detr_with_a_stage_before_the_last(vendor_settings, picture, stages):
    import transformers

    backbone = transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1] * 4,
        layer_type="basic",
        out_features=stages,
    )
    detector = detr(use_timm_backbone=False, backbone_config=backbone)
    number = int(stages[-1][-1]) - 1
    assert next(iter(detector.target_layers())).endswith(f".stages.{number}")
    assert_layers_lead_to_scores(detector, picture)


@pytest.mark.parametrize("patch", [14, 16, 12])
def test_detr_over_patches(vendor_settings, picture, patch):
    import transformers

    backbone = transformers.Dinov2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        patch_size=patch,
        image_size=8 * patch,
        out_features=["stage2"],
        reshape_hidden_states=True,
    )
    detector = detr(use_timm_backbone=False, backbone_config=backbone)
    height, width = detector.geometry(tuple(picture.shape[-2:])).canvas_size
    [explained, *_] = ssgc.explain(detector, picture, score_threshold=0.0, method="odam")
    assert explained.layer == "model.encoder.layers.0.final_layer_norm"
    layer = detector.model.model.encoder.layers[0].final_layer_norm
    reshape = detector.reshape_transform_for(layer, tuple(picture.shape[-2:]))
    grid = (height // patch, width // patch)
    assert reshape(torch.rand(1, grid[0] * grid[1], 16)).shape == (1, 16, *grid)


@pytest.mark.parametrize("name", ["rt-detr", "rt-detr-v2", "d-fine", "deim-v2"])
def test_the_best_measured_layer_of_rt_detr_comes_first(build_family, picture, name):
    detector = build_family("transformers", name).detector
    found = detector.detect(picture)[0]
    assert detector.layer_name(detector.layer_for(found, 0)) == "model.encoder.fpn_blocks.1"


def test_networks_without_a_last_module_have_none():
    class Bypassed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 3, 3, 2, 1), nn.Conv2d(3, 3, 3, 1, 1)

        def forward(self, images):
            once = self.first(images)
            return {"a": once, "b": once + self.second(once)}

    bypassed = Bypassed()
    assert last_module_of(bypassed) == [bypassed.first]
    assert last_module_of(nn.Linear(2, 2)) == []
    assert not bypassed.first._forward_hooks


class Renamed(nn.Module):
    """Stages that call themselves otherwise than the module around them, as those of timm do."""

    def __init__(self, pyramid: bool) -> None:
        super().__init__()
        self.body = torchvision.models._utils.IntermediateLayerGetter(
            residual(), {f"layer{n}": str(n) for n in (2, 3, 4)}
        )
        self.out_channels = 32 if pyramid else [128, 256, 512]
        self.fpn = FeaturePyramidNetwork([128, 256, 512], 32) if pyramid else None

    def forward(self, images):
        maps = OrderedDict((str(n), one) for n, one in enumerate(self.body(images).values()))
        return maps if self.fpn is None else self.fpn(maps)


def test_levels_have_the_names_that_the_backbone_gives(picture):
    torch.manual_seed(0)
    model = FasterRCNN(
        Renamed(pyramid=True),
        rpn_anchor_generator=AnchorGenerator(((16,), (32,), (64,)), ((1.0,),) * 3),
        box_roi_pool=MultiScaleRoIAlign(["0", "1", "2"], 7, 2, canonical_scale=40),
        rpn_post_nms_top_n_test=60,
        box_score_thresh=0.0,
        box_detections_per_img=20,
        **SMALL,
    ).eval()
    detector = ssgc.wrap_detector(model)
    blocks = [f"backbone.fpn.layer_blocks.{n}" for n in range(3)]
    assert [detector.layer_name(layer) for layer in detector.level_layers()] == blocks
    assert_layers_lead_to_scores(detector, picture)


def test_levels_without_a_pyramid_are_found(picture):
    torch.manual_seed(0)
    model = torchvision.models.detection.ssd.SSD(
        Renamed(pyramid=False),
        torchvision.models.detection.anchor_utils.DefaultBoxGenerator([[2]] * 3),
        (96, 128),
        6,
        score_thresh=0.0,
        detections_per_img=20,
    ).eval()
    detector = ssgc.wrap_detector(model)
    assert list(detector.target_layers()) == [f"backbone.body.layer{n}" for n in (2, 3, 4)]
    assert_layers_lead_to_scores(detector, picture)


def test_maps_without_a_module_have_no_layers():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fine, self.coarse = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1)

        def forward(self, images):
            fine = self.fine(images)
            return [fine, self.coarse(fine) * 2.0]

    assert feature_modules(Scaled()) == {}
    assert feature_modules(nn.Conv2d(3, 4, 3)) == {}
