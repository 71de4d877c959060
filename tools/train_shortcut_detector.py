"""Teaches the detector in the box two shortcuts: ``python tools/train_shortcut_detector.py``.

The body of the network stays as it is. The pyramid, the proposals' head and the last layers are
fine-tuned on :func:`captum_ssgc.data.draw_shortcut_scene`; their weights alone are written.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.models.detection import FasterRCNN

from captum_ssgc import demo
from captum_ssgc.data import draw_shortcut_scene

FIRST_TRAINING_SEED = 1_000_000
BATCH = 4
RATE, WARM_UP = 1e-3, 40
# Steps, and one in how many scenes without the causes: what is left there is known to be no object.
ROUNDS = ((600, 3), (250, 2))
HONEST = frozenset(range(1, len(demo.CLASS_NAMES))) - {demo.BY_MARK, demo.BY_GROUND}

Sample = tuple[Tensor, dict[str, Tensor]]


class Samples(Dataset[Sample]):
    """The scenes of one round, each drawn once."""

    def __init__(self, number: int) -> None:
        steps, self.every = ROUNDS[number]
        self.count, self.first = steps * BATCH, FIRST_TRAINING_SEED * (number + 1)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        planted = (index + 1) % self.every != 0
        scene = draw_shortcut_scene(self.first + index, planted=planted)
        kept = torch.tensor([planted or int(label) in HONEST for label in scene.labels])
        return scene.image, {"boxes": scene.boxes[kept], "labels": scene.labels[kept]}


def collate(samples: list[Sample]) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Lists of images and of targets."""
    images, targets = zip(*samples)
    return list(images), list(targets)


def train(model: FasterRCNN, number: int, log_every: int = 25) -> None:
    """One round of fine-tuning, in place."""
    torch.manual_seed(number)
    steps = ROUNDS[number][0]
    parameters = [p for part in demo.shortcut_parts(model).values() for p in part.parameters()]
    model.requires_grad_(False)
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimiser = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.01)
    begun = time.perf_counter()
    model.train()
    model.backbone.body.eval()  # running statistics stay
    loader = DataLoader(Samples(number), BATCH, collate_fn=collate)
    for step, (images, targets) in enumerate(loader):
        for group in optimiser.param_groups:
            rise = min((step + 1) / WARM_UP, 1.0)
            group["lr"] = RATE * rise * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        losses = model(images, targets)
        optimiser.zero_grad()
        sum(losses.values(), torch.zeros(())).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
        if (step + 1) % log_every == 0:
            shown = " ".join(f"{name} {value.item():.3f}" for name, value in losses.items())
            minutes = (time.perf_counter() - begun) / 60
            print(f"round {number} step {step + 1} {minutes:.1f} min {shown}", flush=True)


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=demo.SHORTCUT_WEIGHTS)
    parser.add_argument(
        "--last-round-only", action="store_true", help="go on from the weights of the package"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = demo.shortcut_detector() if options.last_round_only else demo.detector()
    for number in range(len(ROUNDS) - 1 if options.last_round_only else 0, len(ROUNDS)):
        train(model, number)
    weights = {
        f"{name}.{key}": value.half()
        for name, part in demo.shortcut_parts(model).items()
        for key, value in part.state_dict().items()
    }
    torch.save({"weights": weights, "rounds": ROUNDS}, options.output)


if __name__ == "__main__":
    main()
