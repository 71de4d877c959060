"""Trains small detectors of several families on the synthetic scenes, from random weights.

python tests/benchmarks/train_on_scenes.py yolo11 yolo11n_scenes.pt
python tests/benchmarks/train_on_scenes.py yolo26 yolo26n_scenes.pt
python tests/benchmarks/train_on_scenes.py obb obb_scenes.pt --start yolo11n_scenes.checkpoint
python tests/benchmarks/train_on_scenes.py rtdetr rtdetr_scenes
python tests/benchmarks/train_on_scenes.py dfine dfine_scenes --start rtdetr_scenes.checkpoint

The YOLOs become files for ``ultralytics.YOLO(FILE)``, the DETRs folders for
``AutoModelForObjectDetection.from_pretrained(FOLDER)`` with their image processor. A run that is
stopped goes on from its checkpoint when the command is given again; ``--start`` begins with what
fits of another model's checkpoint.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor, nn
from torchvision.ops import box_convert
from transformers import (
    DFineConfig,
    DFineForObjectDetection,
    PreTrainedModel,
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrImageProcessor,
    RTDetrResNetConfig,
)
from ultralytics import YOLO
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel, OBBModel

from captum_ssgc.data import CLASS_NAMES, Scene

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
    kind: type[DetectionModel] = DetectionModel
    configuration = "yolo11n.yaml"
    task = "detect"

    def build(self) -> tuple[nn.Module, EmblemHint]:
        model = self.kind(self.configuration, nc=len(NAMES), verbose=False)
        model.args = get_cfg()
        model.criterion = model.init_criterion()
        return model.to(memory_format=torch.channels_last), EmblemHint((64, 128, 256))

    def losses(
        self, images: list[Tensor], targets: Targets, cells: list[Tensor]
    ) -> dict[str, Tensor]:
        batch = torch.stack(images).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            said = self.model.train()(batch)
        said = _single_precision(said)
        wanted = {
            "batch_idx": torch.cat([
                torch.full((len(target["labels"]),), float(place))
                for place, target in enumerate(targets)
            ]),
            "cls": torch.cat([target["labels"] - 1.0 for target in targets])[:, None],
            "bboxes": torch.cat([self.placed(target) for target in targets]),
        }  # fmt: skip
        losses = self.model.criterion(said, wanted)[0] / len(images)
        named = dict(zip(("box", "class", "edges", "angle"), losses))  # the last with OBB alone
        return {**named, "hint": self.hint(said.get("one2many", said)["feats"], cells)}

    @staticmethod
    def placed(target: dict[str, Tensor]) -> Tensor:
        """Where the objects of one scene are, as the vendor's losses want it."""
        return unit_boxes(target)

    def export(self, path: Path) -> None:
        whole = YOLO(self.configuration, task=self.task)
        self.model.names = NAMES
        whole.model = self.model.eval()
        del whole.model.criterion
        whole.ckpt = {"train_args": {"imgsz": list(SIZE), "task": self.task}}
        whole.save(path)


class Yolo26Trainer(YoloTrainer):
    """YOLO26 nano, end to end: its one-to-one head gains weight as the training goes on."""

    configuration = "yolo26n.yaml"

    def losses(self, *batch: Any) -> dict[str, Tensor]:
        criterion = self.model.criterion
        share = self.step / self.steps
        criterion.o2m = 0.8 - 0.7 * share
        criterion.o2o = 1 - criterion.o2m
        return super().losses(*batch)


class ObbTrainer(YoloTrainer):
    """YOLO11 nano for oriented boxes: the smallest rectangle around what is seen of a body."""

    kind = OBBModel
    configuration = "yolo11n-obb.yaml"
    task = "obb"

    @staticmethod
    def target(scene: Scene) -> dict[str, Tensor]:
        boxes = []
        for mask in scene.masks:
            (cx, cy), (width, height), degrees = cv2.minAreaRect(mask.nonzero().flip(1).numpy())
            # Pixel centres to edges: half a pixel further, one pixel wider.
            boxes.append((cx + 0.5, cy + 0.5, width + 1, height + 1, math.radians(degrees)))
        return {"boxes": scene.boxes, "labels": scene.labels, "oriented": torch.tensor(boxes)}

    @staticmethod
    def placed(target: dict[str, Tensor]) -> Tensor:
        height, width = SIZE
        return target["oriented"] / torch.tensor([width, height, width, height, 1.0])


class RTDetrTrainer(Trainer):
    """A narrow RT-DETR: an 18-layer ResNet, 96 channels, three decoder layers, 50 queries."""

    learning_rate = 6e-4
    scene_size = SIZE
    processor = RTDetrImageProcessor(size={"height": SIZE[0], "width": SIZE[1]})

    def network(self, **options: Any) -> PreTrainedModel:
        config = RTDetrConfig(**options)
        return RTDetrForObjectDetection(config)

    def build(self) -> tuple[nn.Module, EmblemHint]:
        widths = [32, 64, 128, 192]
        backbone = RTDetrResNetConfig(
            embedding_size=32, hidden_sizes=widths, depths=[2, 2, 2, 2], layer_type="basic",
            out_features=["stage2", "stage3", "stage4"],
        )  # fmt: skip
        model = self.network(
            backbone_config=backbone, freeze_backbone_batch_norms=False,
            encoder_in_channels=widths[1:], encoder_hidden_dim=96, encoder_ffn_dim=256,
            decoder_in_channels=[96] * 3, d_model=96, decoder_ffn_dim=256, decoder_layers=3,
            hidden_expansion=0.5, num_queries=50, num_denoising=40, id2label=NAMES,
            label2id={name: number for number, name in NAMES.items()},
        )  # fmt: skip
        model.model.backbone.to(memory_format=torch.channels_last)
        model.model.encoder.fpn_blocks.to(memory_format=torch.channels_last)
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
        self.processor.save_pretrained(path)


class DFineTrainer(RTDetrTrainer):
    """A narrow D-FINE on the same backbone: its own encoder, decoder and losses."""

    def network(self, **options: Any) -> PreTrainedModel:
        config = DFineConfig(**options, depth_mult=0.34)
        return DFineForObjectDetection(config)


def take_over(model: nn.Module, checkpoint: Path) -> int:
    """Weights of another model that have a place here; how many."""
    own, other = model.state_dict(), torch.load(checkpoint, weights_only=True)["model"]
    fitting = {
        name: tensor
        for name, tensor in other.items()
        if name in own and own[name].shape == tensor.shape
    }
    model.load_state_dict(fitting, strict=False)
    return len(fitting)


def _single_precision(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {name: _single_precision(part) for name, part in value.items()}
    return type(value)(_single_precision(part) for part in value)


FAMILIES: dict[str, type[Trainer]] = {
    "yolo11": YoloTrainer,
    "yolo26": Yolo26Trainer,
    "obb": ObbTrainer,
    "rtdetr": RTDetrTrainer,
    "dfine": DFineTrainer,
}


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=2800)
    parser.add_argument("--start", type=Path, help="checkpoint to begin with")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bfloat16", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    checkpoint = options.output.with_suffix(".checkpoint")
    trainer = FAMILIES[options.family](options.steps, checkpoint, options.bfloat16)
    if options.start and not trainer.step:
        print(f"{take_over(trainer.model, options.start)} tensors taken over", flush=True)
    trainer.run()
    trainer.export(options.output)


if __name__ == "__main__":
    main()
