"""Zero-shot detectors of transformers, small, with tokenizers made here and without downloads."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from detectors.family import Family, Report, calibrate, enliven, known_images
from detectors.transformers_families import (
    NO_OTHER_BACKBONE,
    SIDES,
    THREE,
    WIDTHS,
    of_transformers,
    processor_of,
    resnet,
)
from torch import Tensor, nn

import captum_ssgc as ssgc

PHRASES = ["A cat", "a red remote", "dog"]
HEAD = 16
SQUARE = {"size": {"height": 96, "width": 96}, "resample": 2}


@cache
def bert_tokenizer() -> Any:
    """Words, and the special tokens under the numbers that Grounding DINO has written down."""
    words = [f"[unused{number}]" for number in range(1040)]
    special = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: "."}
    named = {1029: "?", 110: "a", 111: "cat", 112: "red", 113: "re", 114: "##mote", 115: "dog"}
    for number, word in {**special, **named}.items():
        words[number] = word
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vocab.txt"
        file.write_text("\n".join(words), encoding="utf-8")
        return transformers.BertTokenizerFast(str(file))


@cache
def clip_tokenizer() -> Any:
    """Letters; the end of a text has the highest number, padding number 0."""
    letters = [chr(ord("a") + number) for number in range(26)]
    parts = ["!", *letters, *(f"{one}</w>" for one in letters), ".</w>", ",</w>"]
    parts += ["<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "vocab.json", Path(folder) / "merges.txt"
        vocabulary = {part: number for number, part in enumerate(parts)}
        files[0].write_text(json.dumps(vocabulary), encoding="utf-8")
        files[1].write_text("#version: 0.2\n", encoding="utf-8")
        return transformers.CLIPTokenizerFast(*map(str, files), pad_token="!", model_max_length=32)


def grounding(name: str, backbone: Any = None) -> nn.Module:
    text = transformers.BertConfig(
        vocab_size=1040,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    config = of_transformers(f"{name}Config")(
        backbone_config=backbone or resnet(THREE),
        **NO_OTHER_BACKBONE,
        text_config=text,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_queries=8,
        max_text_len=32,
    )
    return of_transformers(f"{name}ForObjectDetection")(config)


def owl(name: str) -> nn.Module:
    small = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    tokenizer = clip_tokenizer()
    text = {**small, "vocab_size": len(tokenizer), "max_position_embeddings": 32}
    text |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = of_transformers(f"{name}Config")(
        text_config={**text, "pad_token_id": 0},
        vision_config={**small, "image_size": 96, "patch_size": 16},
        projection_dim=32,
    )
    return of_transformers(f"{name}ForObjectDetection")(config)


def omdet(backbone: Any = None, widths: list[int] = WIDTHS[1:]) -> nn.Module:
    tokenizer = clip_tokenizer()
    text = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=HEAD,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    config = of_transformers("OmDetTurboConfig")(
        backbone_config=backbone or resnet(THREE),
        **NO_OTHER_BACKBONE,
        apply_layernorm_after_vision_backbone=backbone is not None,
        text_config=text,
        text_projection_in_dim=HEAD,
        text_projection_out_dim=HEAD,
        class_embed_dim=HEAD,
        task_encoder_hidden_dim=32,
        encoder_in_channels=widths,
        encoder_hidden_dim=32,
        encoder_attention_heads=4,
        encoder_dim_feedforward=32,
        vision_features_channels=[32] * 3,
        decoder_hidden_dim=32,
        decoder_num_heads=4,
        decoder_num_layers=2,
        decoder_dim_feedforward=32,
        num_queries=12,
    )
    return of_transformers("OmDetTurboForObjectDetection")(config)


Made = tuple[Callable[[], nn.Module], str, str, dict[str, Any], Callable[[], Any]]
FAMILIES: dict[str, Made] = {
    "grounding-dino": (
        lambda: grounding("GroundingDino"),
        "GroundingDinoProcessor",
        "GroundingDino",
        SIDES,
        bert_tokenizer,
    ),
    "mm-grounding-dino": (
        lambda: grounding("MMGroundingDino"),
        "GroundingDinoProcessor",
        "GroundingDino",
        SIDES,
        bert_tokenizer,
    ),
    "owlvit": (lambda: owl("OwlViT"), "OwlViTProcessor", "OwlViT", SQUARE, clip_tokenizer),
    "owlv2": (lambda: owl("Owlv2"), "Owlv2Processor", "Owlv2", SQUARE, clip_tokenizer),
    "omdet-turbo": (
        omdet,
        "OmDetTurboProcessor",
        "Detr",
        {"size": {"height": 96, "width": 128}, "do_pad": False},
        clip_tokenizer,
    ),
}


def processor_for(name: str) -> Any:
    _, processor_name, images, settings, tokenizer = FAMILIES[name]
    kind, on_tensors = of_transformers(processor_name), processor_of(images, **settings)
    try:
        return kind(on_tensors, tokenizer())
    except TypeError:
        version = transformers.__version__
        pytest.skip(f"the {processor_name} of transformers {version} takes Pillow images only")


def processor_and_model(name: str) -> tuple[Any, nn.Module]:
    make, processor = FAMILIES[name][0], processor_for(name)
    torch.manual_seed(2)
    model = make().eval()
    enliven(model, classes=())
    quiet(model)
    known = [
        processor(images=list(batch * 255), text=[PHRASES] * len(batch), return_tensors="pt")
        for batch in known_images(doubled(name))
    ]
    calibrate(model, lambda: [model(**inputs) for inputs in known])
    return processor, model


def quiet(model: Any) -> None:
    """Logits of a few units, where they are products of a text's and an image's features."""
    with torch.no_grad():
        if hasattr(model, "class_embed"):
            model.model.decoder.layer_norm.weight.mul_(0.2)


def doubled(name: str) -> tuple[int, int]:
    return (48, 48) if name.startswith("owl") else (48, 64)


def phrase_of(tokens: list[int], best: int) -> int:
    """The phrase of a token, counted by hand: full stops end phrases."""
    return min(tokens[:best].count(1012), len(PHRASES) - 1)


def labelled(reports: list[Any], outputs: Any) -> list[Report]:
    """Labels of Grounding DINO by its token scores, as the vendor has words for labels."""
    found = []
    for report, logits, tokens in zip(reports, outputs.logits, outputs.input_ids, strict=True):
        best = [phrase_of(tokens.tolist(), int(one.argmax())) for one in logits]
        kept = {name: report[name] for name in ("boxes", "scores")}
        found.append({**kept, "labels": torch.tensor(best)})
    return found


def build(name: str) -> Family:
    processor, model = processor_and_model(name)
    images = processor.image_processor

    def report(inputs: Any, size: tuple[int, int]) -> list[Report]:
        with torch.no_grad():
            outputs = model(**inputs)
        sizes = [size] * len(inputs["pixel_values"])
        reports = processor.post_process_grounded_object_detection(
            outputs, threshold=0.0, target_sizes=sizes
        )
        return labelled(reports, outputs) if "grounding" in name else reports

    def on_canvas(batch: Tensor) -> list[Report]:
        text = [PHRASES] * len(batch)
        inputs = processor(images=list(batch * 255), text=text, return_tensors="pt")
        return report(inputs, tuple(batch.shape[-2:]))

    def from_bytes(pixels: Tensor) -> tuple[Tensor, Report]:
        inputs = processor(images=[pixels], text=[PHRASES], return_tensors="pt")
        mean, std = (
            torch.tensor(entry)[:, None, None] for entry in (images.image_mean, images.image_std)
        )
        return inputs["pixel_values"] * std + mean, report(inputs, tuple(pixels.shape[-2:]))[0]

    detector = ssgc.wrap_detector(model, processor, text=PHRASES, score_threshold=0.0)
    return Family(
        detector,
        on_canvas,
        "sigmoid",
        clips=name == "omdet-turbo",
        from_bytes=from_bytes,
        doubled=doubled(name),
    )


def with_swin(name: str) -> tuple[Any, nn.Module]:
    """Grounding DINO over a Swin of transformers; OMDet-Turbo over one of timm."""
    pytest.importorskip("timm")
    torch.manual_seed(2)
    if name == "swin":
        backbone = transformers.SwinConfig(
            image_size=96,
            embed_dim=8,
            depths=[1, 1, 1, 1],
            num_heads=[1, 1, 2, 2],
            window_size=3,
            out_features=THREE,
        )
        processor, model = processor_for("grounding-dino"), grounding("GroundingDino", backbone)
    else:
        backbone = of_transformers("TimmBackboneConfig")(
            backbone="swin_tiny_patch4_window7_224",
            use_pretrained_backbone=False,
            out_indices=[1, 2, 3],
            img_size=[96, 128],
            always_partition=True,
        )
        processor = processor_for("omdet-turbo")
        model = omdet(backbone, [192, 384, 768])
    enliven(model, classes=())
    return processor, model.eval()
