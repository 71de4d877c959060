"""Detection models of transformers, small and without downloads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from detectors.family import Family, calibrate, enliven, known_images
from torch import Tensor, nn

import captum_ssgc as ssgc
from captum_ssgc._vendor_versions import processor_on_tensors

SHRUNK = {
    "d_model": 32,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "decoder_layers": 2,
    "num_labels": 4,
}
SIDES = {
    "size": {"shortest_edge": 96, "longest_edge": 200},
    "pad_size": {"height": 128, "width": 160},
}
STRETCH = {"size": {"height": 96, "width": 128}}
THREE = ["stage2", "stage3", "stage4"]
WIDTHS = [8, 16, 24, 32]
# transformers 4 has one by name, of timm and trained, unless told otherwise.
NO_OTHER_BACKBONE = {
    "backbone": None,
    "use_timm_backbone": False,
    "use_pretrained_backbone": False,
}


def of_transformers(name: str) -> Any:
    """What transformers calls ``name``; skips the test where this version has no such thing."""
    if not hasattr(transformers, name):
        pytest.skip(f"transformers {transformers.__version__} has no {name}")
    return getattr(transformers, name)


def model_of(name: str, **settings: Any) -> nn.Module:
    config = of_transformers(f"{name}Config")(**settings)
    return of_transformers(f"{name}ForObjectDetection")(config)


def processor_of(name: str, **settings: Any) -> Any:
    """An image processor that works on tensors; skips the test where there is none."""
    kind = processor_on_tensors(f"{name}ImageProcessor")
    if kind is None:
        pytest.skip(f"transformers {transformers.__version__} has no {name} processor on tensors")
    if kind.__name__ == "YolosImageProcessorFast":
        pytest.skip("the YolosImageProcessorFast of transformers 4 takes a softmax for sigmoids")
    return kind(**settings)


def resnet(out: list[str]) -> Any:
    return transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=WIDTHS, depths=[1] * 4, layer_type="basic", out_features=out
    )


def detr(name: str, **settings: Any) -> nn.Module:
    out = settings.pop("out", ["stage4"])
    settings = {**SHRUNK, "encoder_layers": 2, "num_queries": 8, **settings}
    return model_of(name, backbone_config=resnet(out), **NO_OTHER_BACKBONE, **settings)


def timm_detr() -> nn.Module:
    settings = {**SHRUNK, "encoder_layers": 2, "num_queries": 8}
    return model_of(
        "Detr",
        use_timm_backbone=True,
        backbone="resnet18",
        use_pretrained_backbone=False,
        **settings,
    )


def deformable(**settings: Any) -> nn.Module:
    return detr("DeformableDetr", out=THREE, num_feature_levels=4, **settings)


def hybrid(name: str, backbone: Any, widths: list[int]) -> nn.Module:
    """RT-DETR and its descendants."""
    return model_of(
        name,
        backbone_config=backbone,
        encoder_in_channels=widths,
        encoder_hidden_dim=32,
        decoder_in_channels=[32] * 3,
        num_queries=8,
        num_denoising=0,
        **SHRUNK,
    )


def rt_detr(name: str) -> nn.Module:
    backbone = transformers.RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=WIDTHS,
        depths=[1] * 4,
        layer_type="basic",
        out_features=THREE,
    )
    return hybrid(name, backbone, WIDTHS[1:])


def d_fine(name: str) -> nn.Module:
    backbone = of_transformers("HGNetV2Config")(
        stem_channels=[3, 8, 8],
        stage_in_channels=WIDTHS,
        stage_mid_channels=[8] * 4,
        stage_out_channels=[16, 24, 32, 48],
        hidden_sizes=[16, 24, 32, 48],
        stage_num_blocks=[1] * 4,
        stage_numb_of_layers=[1] * 4,
        stage_light_block=[False] * 4,
        stage_kernel_size=[3] * 4,
        depths=[1] * 4,
        embedding_size=8,
        out_features=THREE,
    )
    return hybrid(name, backbone, [24, 32, 48])


def yolos() -> nn.Module:
    return model_of(
        "Yolos",
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        image_size=[64, 96],
        patch_size=16,
        num_detection_tokens=8,
        num_labels=4,
    )


def lw_detr() -> nn.Module:
    backbone = of_transformers("LwDetrViTConfig")(
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=96,
        patch_size=16,
        num_windows=4,
        window_block_indices=[0],
        out_indices=[1, 2, 3],
    )
    return model_of(
        "LwDetr",
        backbone_config=backbone,
        d_model=32,
        num_queries=8,
        decoder_layers=2,
        decoder_ffn_dim=32,
        num_labels=4,
        group_detr=2,
        projector_scale_factors=[1.0],
    )


def rf_detr() -> nn.Module:
    backbone = {
        "model_type": "rf_detr_dinov2",
        "hidden_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "image_size": 56,
        "patch_size": 14,
        "num_windows": 2,
        "out_features": ["stage2", "stage3"],
    }
    return model_of(
        "RfDetr",
        backbone_config=backbone,
        d_model=32,
        num_queries=8,
        decoder_layers=2,
        decoder_ffn_dim=32,
        num_labels=4,
        group_detr=2,
    )


TWO_STAGE = {"two_stage": True, "with_box_refine": True, "two_stage_num_proposals": 8}
DOUBLED = {"rf-detr": (56, 56), "lw-detr": (64, 64)}
FAMILIES: dict[str, tuple[Callable[[], nn.Module], str, dict[str, Any]]] = {
    "detr": (lambda: detr("Detr"), "Detr", SIDES),
    "conditional-detr": (lambda: detr("ConditionalDetr"), "ConditionalDetr", SIDES),
    "deformable-detr": (deformable, "DeformableDetr", SIDES),
    "deformable-detr-two-stage": (lambda: deformable(**TWO_STAGE), "DeformableDetr", SIDES),
    "rt-detr": (lambda: rt_detr("RTDetr"), "RTDetr", STRETCH),
    "rt-detr-v2": (lambda: rt_detr("RTDetrV2"), "RTDetr", STRETCH),
    "yolos": (yolos, "Yolos", SIDES),
    "detr-timm": (timm_detr, "Detr", SIDES),
    "dab-detr": (lambda: detr("DabDetr"), "ConditionalDetr", SIDES),
    "table-transformer": (lambda: detr("TableTransformer"), "Detr", SIDES),
    "d-fine": (lambda: d_fine("DFine"), "RTDetr", STRETCH),
    "deim-v2": (lambda: d_fine("Deimv2"), "RTDetr", STRETCH),
    "rf-detr": (rf_detr, "RfDetr", {"size": {"height": 112, "width": 112}}),
    "lw-detr": (
        lw_detr,
        "DeformableDetr",
        {"size": {"height": 128, "width": 128}, "do_pad": False},
    ),
}
SOFTMAX = ("detr", "detr-timm", "table-transformer", "yolos")


def build(name: str) -> Family:
    make, processor_name, settings = FAMILIES[name]
    torch.manual_seed(2)
    model = make().eval()
    enliven(model, classes=(4, 5))
    processor = processor_of(processor_name, **settings)
    doubled = DOUBLED.get(name, (48, 64))
    known = [
        processor(images=list(batch * 255), return_tensors="pt")["pixel_values"]
        for batch in known_images(doubled)
    ]
    calibrate(model, lambda: [model(batch) for batch in known])

    def report(inputs: Any, size: tuple[int, int]) -> list[dict[str, Tensor]]:
        with torch.no_grad():
            outputs = model(**inputs)
        sizes = torch.tensor([size] * len(inputs["pixel_values"]))
        return processor.post_process_object_detection(outputs, 0.0, sizes)

    def on_canvas(batch: Tensor) -> list[dict[str, Tensor]]:
        inputs = processor(images=list(batch * 255), return_tensors="pt")
        return report(inputs, tuple(batch.shape[-2:]))

    def from_bytes(pixels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        inputs = processor(images=[pixels], return_tensors="pt")
        canvas = inputs["pixel_values"]
        if processor.do_normalize:
            mean, std = (
                torch.tensor(entry)[:, None, None]
                for entry in (processor.image_mean, processor.image_std)
            )
            canvas = canvas * std + mean
        return canvas, report(inputs, tuple(pixels.shape[-2:]))[0]

    detector = ssgc.wrap_detector(model, processor=processor, score_threshold=0.0)
    activation = "softmax" if name in SOFTMAX else "sigmoid"
    return Family(
        detector,
        on_canvas,
        activation,
        clips=False,
        from_bytes=from_bytes,
        doubled=doubled,
    )
