"""Trains a small YOLO11 or RT-DETR on the synthetic scenes, from random weights.

python tests/benchmarks/train_on_scenes.py yolo yolo11n_scenes.pt
python tests/benchmarks/train_on_scenes.py rtdetr rtdetr_scenes

The first writes a file for ``ultralytics.YOLO(FILE)``, the second a folder for
``RTDetrForObjectDetection.from_pretrained(FOLDER)`` with its image processor. A run that is
stopped goes on from its checkpoint when the command is given again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import box_convert
from transformers import (
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrImageProcessor,
    RTDetrResNetConfig,
)
from ultralytics import YOLO
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel

from captum_ssgc.data import CLASS_NAMES

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from emblem_hint import EmblemHint
from train_demo_detector import Trainer

NAMES = dict(enumerate(CLASS_NAMES[1:]))
SIZE = (320, 416)  # whole multiples of 32
Targets = list[dict[str, Tensor]]


def unit_boxes(target: dict[str, Tensor]) -> Tensor:
    """Boxes of one scene as (cx, cy, w, h) in units of its width and height."""
    boxes = box_convert(target["boxes"], "xyxy", "cxcywh")
    return boxes / boxes.new_tensor([SIZE[1], SIZE[0], SIZE[1], SIZE[0]])


class YoloTrainer(Trainer):
    """YOLO11 nano with the vendor's own losses."""

    scene_size = SIZE

    def build(self) -> tuple[nn.Module, EmblemHint]:
        model = DetectionModel("yolo11n.yaml", nc=len(NAMES), verbose=False)
        model.args = get_cfg()
        model.criterion = model.init_criterion()
        return model.to(memory_format=torch.channels_last), EmblemHint((64, 128, 256))

    def losses(
        self, images: list[Tensor], targets: Targets, cells: list[Tensor]
    ) -> dict[str, Tensor]:
        batch = torch.stack(images).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            said = self.model.train()(batch)
        said = {name: _single_precision(value) for name, value in said.items()}
        wanted = {
            "batch_idx": torch.cat([
                torch.full((len(target["labels"]),), float(place))
                for place, target in enumerate(targets)
            ]),
            "cls": torch.cat([target["labels"] - 1.0 for target in targets])[:, None],
            "bboxes": torch.cat([unit_boxes(target) for target in targets]),
        }  # fmt: skip
        box, kind, edges = self.model.criterion(said, wanted)[0] / len(images)
        return {"box": box, "class": kind, "edges": edges, "hint": self.hint(said["feats"], cells)}

    def export(self, path: Path) -> None:
        whole = YOLO("yolo11n.yaml", task="detect")
        self.model.names = NAMES
        whole.model = self.model.eval()
        del whole.model.criterion
        whole.save(path)


class RTDetrTrainer(Trainer):
    """A narrow RT-DETR: an 18-layer ResNet, 96 channels, three decoder layers, 50 queries."""

    learning_rate = 6e-4
    scene_size = SIZE

    def build(self) -> tuple[nn.Module, EmblemHint]:
        widths = [32, 64, 128, 192]
        backbone = RTDetrResNetConfig(
            embedding_size=32, hidden_sizes=widths, depths=[2, 2, 2, 2], layer_type="basic",
            out_features=["stage2", "stage3", "stage4"],
        )  # fmt: skip
        config = RTDetrConfig(
            backbone_config=backbone, freeze_backbone_batch_norms=False,
            encoder_in_channels=widths[1:], encoder_hidden_dim=96, encoder_ffn_dim=256,
            decoder_in_channels=[96] * 3, d_model=96, decoder_ffn_dim=256, decoder_layers=3,
            hidden_expansion=0.5, num_queries=50, num_denoising=40, id2label=NAMES,
            label2id={name: number for number, name in NAMES.items()},
        )  # fmt: skip
        model = RTDetrForObjectDetection(config)
        for part in (model.model.backbone, model.model.encoder.fpn_blocks):
            part.to(memory_format=torch.channels_last)
        self._compute_in_bfloat16(model.model.backbone)
        self.pyramid: dict[int, Tensor] = {}
        for level, layer in enumerate(model.model.decoder_input_proj):
            layer.register_forward_pre_hook(self._keeper(level))
        return model, EmblemHint(96)

    def _compute_in_bfloat16(self, module: nn.Module) -> None:
        forward = module.forward

        def in_bfloat16(*inputs: Any) -> Any:
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
                return _single_precision(forward(*inputs))

        module.forward = in_bfloat16  # type: ignore[method-assign]

    def _keeper(self, level: int) -> Any:
        def keep(module: nn.Module, inputs: tuple[Tensor]) -> None:
            self.pyramid[level] = inputs[0]

        return keep

    def losses(
        self, images: list[Tensor], targets: Targets, cells: list[Tensor]
    ) -> dict[str, Tensor]:
        labels = [
            {"class_labels": target["labels"] - 1, "boxes": unit_boxes(target)}
            for target in targets
        ]
        said = self.model.train()(pixel_values=torch.stack(images), labels=labels)
        hint = self.hint([self.pyramid[level] for level in range(3)], cells)
        return {"detections": said.loss / 4, "hint": hint}

    def export(self, path: Path) -> None:
        self.model.save_pretrained(path)
        size = {"height": SIZE[0], "width": SIZE[1]}
        RTDetrImageProcessor(size=size).save_pretrained(path)


def _single_precision(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.is_floating_point() else value
    return type(value)(_single_precision(part) for part in value)


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", choices=("yolo", "rtdetr"))
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=2800)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bfloat16", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    checkpoint = options.output.with_suffix(".checkpoint")
    kind = {"yolo": YoloTrainer, "rtdetr": RTDetrTrainer}[options.family]
    trainer = kind(options.steps, checkpoint, options.bfloat16)
    trainer.run()
    trainer.export(options.output)


if __name__ == "__main__":
    main()
