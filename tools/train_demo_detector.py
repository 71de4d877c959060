"""Trains the detector in the box: ``python tools/train_demo_detector.py``."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from emblem_hint import EmblemHint, emblem_cells
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.models.detection import FasterRCNN

from captum_ssgc.data import Scene, draw_scene
from captum_ssgc.demo import WEIGHTS
from captum_ssgc.demo.model import build_detector

FIRST_TRAINING_SEED = 1_000_000
BATCH = 8
WARM_UP = 150

Target = dict[str, Tensor]
Sample = tuple[Tensor, Target, tuple[Tensor, ...]]


class _Samples(Dataset[Sample]):
    def __init__(
        self, first: int, last: int, size: tuple[int, int], target: Callable[[Scene], Target]
    ) -> None:
        self.first, self.last, self.size, self.target = first, last, size, target

    def __len__(self) -> int:
        return self.last - self.first

    def __getitem__(self, index: int) -> Sample:
        scene: Scene = draw_scene(FIRST_TRAINING_SEED + self.first + index, self.size)
        return scene.image, self.target(scene), emblem_cells(scene)


def _collate(samples: list[Sample]) -> tuple[list[Tensor], list[dict[str, Tensor]], list[Tensor]]:
    images, targets, cells = zip(*samples)
    return list(images), list(targets), [torch.stack(level) for level in zip(*cells)]


def _rate(step: int, steps: int) -> float:
    warm = min((step + 1) / WARM_UP, 1.0)
    return warm * (0.5 + 0.5 * math.cos(math.pi * step / steps))


class Trainer:
    """One training run that can be stopped and taken up again.

    Another detector is trained on the scenes by a subclass with its own :meth:`build` and
    :meth:`losses`.

    Args:
        steps: Optimiser steps of the whole run, each on 8 scenes never seen before.
        checkpoint: File that holds the state of an unfinished run.
        bfloat16: Whether the backbone computes in bfloat16 (faster where the CPU has it).
    """

    learning_rate = 1.5e-3
    scene_size = (320, 400)

    def __init__(self, steps: int, checkpoint: Path, bfloat16: bool = False) -> None:
        torch.manual_seed(0)
        self.steps, self.checkpoint, self.bfloat16 = steps, checkpoint, bfloat16
        self.model, self.hint = self.build()
        parameters = [*self.model.parameters(), *self.hint.parameters()]
        self.optimiser = torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=0.01)
        self.step, self.seconds = 0, 0.0
        if checkpoint.exists():
            state = torch.load(checkpoint, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.hint.load_state_dict(state["hint"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.seconds = state["step"], state["seconds"]

    def build(self) -> tuple[nn.Module, EmblemHint]:
        """The untrained detector and the training aid for its pyramid."""
        model = build_detector().to(memory_format=torch.channels_last)
        return model, EmblemHint(model.backbone.out_channels)

    @staticmethod
    def target(scene: Scene) -> Target:
        """What is to be found in a scene; more than ``boxes`` and ``labels`` in a subclass."""
        return {"boxes": scene.boxes, "labels": scene.labels}

    def run(self) -> None:
        """Train to the last step, saving every 200."""
        first, last = self.step * BATCH, self.steps * BATCH
        samples = _Samples(first, last, self.scene_size, self.target)
        loader = DataLoader(samples, BATCH, collate_fn=_collate, num_workers=1, prefetch_factor=4)
        begun = time.perf_counter()
        for images, targets, cells in loader:
            torch.manual_seed(self.step)
            losses = self.losses(images, targets, cells)
            self._update(sum(losses.values(), torch.zeros(())))
            self.step += 1
            if self.step % 50 == 0:
                now = time.perf_counter()
                self.seconds, begun = self.seconds + now - begun, now
                shown = " ".join(f"{name} {loss.item():.3f}" for name, loss in losses.items())
                print(f"step {self.step} {self.seconds:.0f} s {shown}", flush=True)
            if self.step % 200 == 0:
                self._save()

    def losses(
        self, images: list[Tensor], targets: list[dict[str, Tensor]], cells: list[Tensor]
    ) -> dict[str, Tensor]:
        """The losses of one batch, to be summed.

        Args:
            images: Scenes, ``(3, H, W)`` in [0, 1].
            targets: ``boxes`` (``(K, 4)``, xyxy, pixels) and ``labels`` (1 to 6) of each scene.
            cells: What the pyramid's cells should say, ``(N, h, w)`` per level.

        Returns:
            Named scalars.
        """
        model = cast(FasterRCNN, self.model.train())
        batch, transformed = model.transform(images, targets)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            levels = model.backbone(batch.tensors)
        features = {name: level.float() for name, level in levels.items()}
        proposals, proposal_losses = model.rpn(batch, features, transformed)
        _, head_losses = model.roi_heads(features, proposals, batch.image_sizes, transformed)
        hint = self.hint(list(features.values()), cells)
        return {**head_losses, **proposal_losses, "hint": hint}

    def _update(self, loss: Tensor) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate * _rate(self.step, self.steps)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimiser.step()

    def _save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "hint": self.hint.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint)

    def export(self, path: Path) -> None:
        """Write the weights in half precision, with a record of the run."""
        weights = {
            name: tensor.half() if tensor.is_floating_point() else tensor
            for name, tensor in self.model.state_dict().items()
        }
        training = {
            "steps": self.step,
            "scenes": self.step * BATCH,
            "first_seed": FIRST_TRAINING_SEED,
            "threads": torch.get_num_threads(),
            "minutes": round(self.seconds / 60, 1),
            "bfloat16_backbone": self.bfloat16,
        }
        torch.save({"weights": weights, "training": training}, path)


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--checkpoint", type=Path, default=Path("demo-checkpoint.pt"))
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    trainer = Trainer(options.steps, options.checkpoint, options.bfloat16)
    trainer.run()
    trainer.export(options.output)


if __name__ == "__main__":
    main()
