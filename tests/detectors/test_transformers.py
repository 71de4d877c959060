"""The adapter for transformers: processors, token grids, what is refused."""

from __future__ import annotations

import importlib
import sys

import pytest
import torch

import captum_ssgc as ssgc

transformers = pytest.importorskip("transformers", reason="needs the extra [transformers]")

from detectors.transformers_families import NO_OTHER_BACKBONE, processor_of  # noqa: E402

from captum_ssgc._vendor_versions import processor_on_tensors  # noqa: E402
from captum_ssgc.detectors import TransformersDetector  # noqa: E402
from captum_ssgc.detectors._transformers_layers import TokenGrid  # noqa: E402

SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "image_size": [32, 48],
    "num_detection_tokens": 3,
    "num_labels": 2,
}


@pytest.fixture(scope="module")
def small_yolos(vendor_settings):
    processor_of("Yolos")
    torch.manual_seed(0)
    model = transformers.YolosForObjectDetection(transformers.YolosConfig(**SHAPE)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(1))
    return model


def test_the_default_processor_is_the_familys(small_yolos):
    detector = ssgc.wrap_detector(small_yolos)
    assert isinstance(detector, TransformersDetector)
    assert type(detector.processor).__name__ == "YolosImageProcessor"
    assert detector.label_names == ("LABEL_0", "LABEL_1")


@pytest.mark.parametrize(
    ("family", "processor"),
    [
        ("detr", "DetrImageProcessor"),
        ("conditional-detr", "ConditionalDetrImageProcessor"),
        ("deformable-detr", "DeformableDetrImageProcessor"),
        ("rt-detr", "RTDetrImageProcessor"),
        ("rt-detr-v2", "RTDetrImageProcessor"),
    ],
)
def test_every_family_has_a_default_processor(build_family, family, processor):
    model = build_family("transformers", family).detector.model
    assert type(ssgc.wrap_detector(model).processor) is processor_on_tensors(processor)


def test_a_saved_processor_is_loaded(small_yolos, tmp_path, monkeypatch):
    size = {"shortest_edge": 32, "longest_edge": 64}
    transformers.YolosImageProcessor(size=size).save_pretrained(tmp_path)
    monkeypatch.setattr(small_yolos.config, "_name_or_path", str(tmp_path))
    detector = ssgc.wrap_detector(small_yolos)
    assert detector.geometry((40, 60)).canvas_size == (32, 48)


def test_a_processor_that_cannot_be_loaded_is_replaced_with_a_warning(
    small_yolos, tmp_path, monkeypatch
):
    monkeypatch.setattr(small_yolos.config, "_name_or_path", str(tmp_path))
    with pytest.warns(
        UserWarning, match=r"could be loaded.*defaults of YolosImageProcessor"
    ) as seen:
        ssgc.wrap_detector(small_yolos)
    assert seen[0].filename == __file__


def test_a_family_without_processor_says_what_to_pass(small_yolos, monkeypatch):
    monkeypatch.setattr(small_yolos.config, "model_type", "unheard-of")
    with pytest.raises(ValueError, match=r"family 'unheard-of': pass processor="):
        ssgc.wrap_detector(small_yolos)


def test_a_processor_of_the_pillow_backend_becomes_its_twin_on_tensors(small_yolos, picture):
    size = {"shortest_edge": 32, "longest_edge": 64}
    on_pillow = transformers.YolosImageProcessorPil(size=size)
    detector = ssgc.wrap_detector(small_yolos, processor=on_pillow)
    pixels = (picture[0] * 255).round().to(torch.uint8)
    theirs = on_pillow(images=[pixels.permute(1, 2, 0).numpy()], return_tensors="pt")
    ours, _, geometry = detector.preprocess(pixels[None] / 255)
    std = torch.tensor(on_pillow.image_std)[:, None, None]
    torch.testing.assert_close(ours * std, theirs["pixel_values"] * std, atol=2 / 255, rtol=0.0)
    assert geometry.canvas_size == tuple(theirs["pixel_values"].shape[-2:])


def test_a_processor_that_does_not_rescale_takes_images_as_they_are(small_yolos, picture):
    size = {"height": 32, "width": 48}
    plain = transformers.RTDetrImageProcessor(size=size, do_rescale=False, do_resize=False)
    detector = ssgc.wrap_detector(small_yolos, processor=plain)
    canvas, mask, geometry = detector.preprocess(picture)
    assert torch.equal(canvas, picture)
    assert mask is None
    assert geometry.canvas_size == geometry.image_size == tuple(picture.shape[-2:])
    assert geometry.scale == (1.0, 1.0)


def test_a_processor_that_looks_at_the_image_for_its_place_has_no_maps(small_yolos, picture):
    class Trimmed(processor_on_tensors("YolosImageProcessor")):
        def __call__(self, images, **options):
            dark = [(one.amax((0, 1)) > 0).nonzero().max() + 1 for one in images]
            trimmed = [one[..., : int(width)] for one, width in zip(images, dark, strict=True)]
            return super().__call__(images=trimmed, **options)

    size = {"shortest_edge": 32, "longest_edge": 64}
    detector = ssgc.wrap_detector(small_yolos, processor=Trimmed(size=size))
    half = picture.clone()
    half[..., picture.shape[-1] // 2 :] = 0.0
    assert detector.geometry(tuple(picture.shape[-2:])).image_size == tuple(picture.shape[-2:])
    detector.detect(half)
    with pytest.raises(ValueError, match="Trimmed lays images of one size in different places"):
        detector.geometry(tuple(picture.shape[-2:]))
    detector.detect(picture)
    detector.geometry(tuple(picture.shape[-2:]))


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        ("a string", "expected an image processor of transformers"),
        ("ViTImageProcessor", "expected one with post_process_object_detection"),
    ],
    ids=["no-processor", "no-boxes"],
)
def test_another_processor_is_refused(small_yolos, processor, message):
    if processor.endswith("Processor"):
        processor = getattr(transformers, processor)()
    with pytest.raises(TypeError, match=message):
        ssgc.wrap_detector(small_yolos, processor=processor)


def test_a_model_without_boxes_is_refused(small_yolos):
    with pytest.raises(TypeError, match=r"AutoModelForObjectDetection loads, got YolosModel"):
        ssgc.wrap_detector(small_yolos.vit)


@pytest.mark.parametrize("missing", ["boxes", "upright-boxes"])
def test_a_detection_model_without_queries_is_refused(small_yolos, picture, missing):
    detector = ssgc.wrap_detector(small_yolos)

    def change(module, args, output):
        output.pred_boxes = None if missing == "boxes" else output.pred_boxes.repeat(1, 1, 2)

    handle = small_yolos.register_forward_hook(change)
    try:
        with pytest.raises(TypeError, match="no class logits and upright boxes per query"):
            detector.detect(picture)
    finally:
        handle.remove()


def test_a_foreign_post_processing_is_refused(build_family, picture):
    """Sigmoid logits with a processor that reads them as softmax."""
    model = build_family("transformers", "conditional-detr").detector.model
    processor = transformers.DetrImageProcessor(size={"shortest_edge": 96, "longest_edge": 200})
    detector = ssgc.wrap_detector(model, processor=processor, score_threshold=0.0)
    with pytest.raises(ValueError, match=r"not found.*DetrImageProcessor"):
        detector.detect(picture)


def test_a_segmentation_model_detects(vendor_settings, picture):
    torch.manual_seed(0)
    backbone = transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1] * 4,
        layer_type="basic",
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = transformers.DetrConfig(
        backbone_config=backbone,
        **NO_OTHER_BACKBONE,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_queries=5,
        num_labels=2,
    )
    model = transformers.DetrForSegmentation(config).eval()
    processor = transformers.DetrImageProcessor(size={"shortest_edge": 64, "longest_edge": 100})
    detector = ssgc.wrap_detector(model, processor=processor, score_threshold=0.0)
    found = detector.detect(picture)[0]
    assert len(found) == 5
    # transformers 4 has one module more around the backbone
    names = [name.replace(".conv_encoder", "") for name in detector.target_layers()]
    assert names == [
        "detr.model.backbone.model.encoder.stages.3",
        "detr.model.encoder.layers.0.final_layer_norm",
    ]
    wrapper = ssgc.InstanceScoreWrapper(detector, found)
    for layer in detector.target_layers().values():
        maps = ssgc.SSGradCAMPlusPlus(wrapper, layer).attribute(picture, target=0, mask=None)
        assert maps.shape == (1, 1, 2, 3)


def test_one_level_of_tokens_is_read_row_by_row():
    tokens = torch.arange(6.0).reshape(1, 6, 1)
    assert TokenGrid((64, 96))(tokens).tolist() == [[[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]]]


def test_a_grid_that_rounds_up_is_found():
    tokens = torch.rand(2, 3 * 4, 5)
    maps = TokenGrid((70, 100))(tokens)
    assert maps.shape == (2, 5, 3, 4)
    assert torch.equal(maps[1, :, 2, 1], tokens[1, 2 * 4 + 1])


def test_levels_are_stacked_on_the_finest_grid():
    tokens = torch.arange(8.0 + 2.0).reshape(1, 10, 1)  # 2 x 4 and 1 x 2 cells
    maps = TokenGrid((16, 32), levels=(2, 1))(tokens)
    fine, coarse = [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]], [[8.0, 8.0, 9.0, 9.0]] * 2
    assert maps.tolist() == [[fine, coarse]]


def test_class_and_detection_tokens_are_left_out():
    tokens = torch.arange(1.0 + 6.0 + 4.0).reshape(1, 11, 1)
    maps = TokenGrid((32, 48), patch=(16, 16), before=1, after=4)(tokens)
    assert maps.tolist() == [[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]]


def test_maps_are_left_alone_and_misfits_refused():
    maps = torch.rand(1, 3, 4, 5)
    assert TokenGrid((64, 96))(maps) is maps
    with pytest.raises(ValueError, match=r"7 tokens fit no grid.*64 x 96.*reshape_transform"):
        TokenGrid((64, 96))(torch.rand(1, 7, 3))
    with pytest.raises(ValueError, match="fit no grid"):
        TokenGrid((64, 96), patch=(16, 16))(torch.rand(1, 7, 3))


@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 2), (1, 0)])
def test_a_changed_patch_changes_its_own_token(small_yolos, row, column):
    processor = transformers.RTDetrImageProcessor(size={"height": 32, "width": 48})
    detector = ssgc.wrap_detector(small_yolos, processor=processor)
    layer = small_yolos.vit.encoder.layer[0].layernorm_before
    reshape = detector.reshape_transform_for(layer, (32, 48))
    image = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    changed = image.clone()
    changed[..., 16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = 0.0
    seen = []
    handle = layer.register_forward_hook(lambda m, args, output: seen.append(reshape(output)))
    with torch.no_grad():
        detector.run(image)
        detector.run(changed)
    handle.remove()
    differs = (seen[0] != seen[1]).any(1)[0]
    assert differs.nonzero().tolist() == [[row, column]]


def test_layers_outside_of_the_encoder_need_no_reshaping(build_family):
    detector = build_family("transformers", "detr").detector
    stage, encoder = detector.target_layers().values()
    assert detector.reshape_transform_for(stage, (75, 101)) is None
    assert detector.reshape_transform_for(encoder, (75, 101)) is not None


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("rt-detr-v2", "d-fine", "deim-v2")]


@pytest.mark.parametrize("name", ["rt-detr", *SLOW])
def test_nothing_goes_back_through_the_choice_of_queries(build_family, picture, name):
    detector = build_family("transformers", name).detector
    [part] = detector.modules_apart({"score"})
    assert part is detector.model.model.enc_output
    taken = []

    def with_gradient(module, args):
        taken.append(args[0].detach().requires_grad_())
        return (taken[0],)

    handle = part.register_forward_pre_hook(with_gradient)
    try:
        raw = detector.run(picture)
    finally:
        handle.remove()
    found = detector.select(raw)[0]
    assert len(found) > 4
    for output in ("score", "left"):
        value = detector.values(raw, [found], output)[0].sum()
        slopes = torch.autograd.grad(value, taken, retain_graph=True, allow_unused=True)
        assert slopes == (None,)


def test_a_choice_of_queries_that_others_watch_is_left_alone(build_family):
    detector = build_family("transformers", "rt-detr").detector
    head = detector.model.model.enc_score_head
    handle = head.register_forward_hook(lambda module, args, output: output)
    assert detector.modules_apart({"score"}) == []
    handle.remove()
    assert build_family("transformers", "detr").detector.modules_apart({"score"}) == []


def test_a_missing_extra_says_what_to_install(monkeypatch):
    for name in list(sys.modules):
        if name.startswith("captum_ssgc.detectors.") and "transformers" in name:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "transformers.models.auto.modeling_auto", None)
    with pytest.raises(ImportError, match=r"pip install 'captum-ssgc\[transformers\]'"):
        importlib.import_module("captum_ssgc.detectors.transformers_queries")


def test_backbones_that_record_their_stages_by_hooks_of_their_own(vendor_settings, picture):
    """ConvNeXt's stages reach DETR through hooks that are there before ours."""
    torch.manual_seed(0)
    stages = {"hidden_sizes": [8, 16, 16, 32], "depths": [1] * 4, "out_features": ["stage4"]}
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
        **NO_OTHER_BACKBONE,
        backbone_config=transformers.ConvNextConfig(**stages),
    )
    detector = ssgc.wrap_detector(
        transformers.DetrForObjectDetection(config).eval(), score_threshold=0.0
    )
    found = detector.detect(picture)[0]
    layer = detector.layer_for(found, 0)
    assert "stages.3" in detector.layer_name(layer)
    wrapper = ssgc.InstanceScoreWrapper(detector, found, "logit")
    maps = ssgc.ODAM(wrapper, layer).attribute(picture, target=0, relu_attributions=False)
    assert bool(maps.any())
