"""The heat maps of trained detectors in the tutorials: one picture for each family.

    python tests/benchmarks/train_on_scenes.py yolo11 yolo11n.pt     # and so on, some hours
    python tools/trained_pictures.py docs/your_yolo.jpg --model YOLO11n=ultralytics:yolo11n.pt \\
        --model YOLO26n=ultralytics:yolo26n.pt
    python tools/trained_pictures.py docs/your_detr.jpg --model RT-DETR=transformers:rtdetr

Every row is one object of one scene, found by one of the detectors; the columns are methods, the
captions say which share of a map's energy lies on the emblem, the cause of the class. The weights
are not shipped, only the pictures.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from photo_pictures import save

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.cli.model_choice import ModelChoice
from captum_ssgc.cli.models import load_detector
from captum_ssgc.data import Scene
from captum_ssgc.metrics import evidence_energy
from captum_ssgc.visualization import comparison_grid

METHODS = ("ssgrad-cam++", "ssgrad-cam+-", "odam", "grad-cam")
LEAST_SCORE = 0.3


def rows(title: str, detector: ssgc.Detector, scene: Scene, count: int) -> Iterator[list[Any]]:
    """The ``count`` largest objects as the detector finds them, one row for each."""
    sizes = (scene.boxes[:, 2:] - scene.boxes[:, :2]).prod(1)
    for number in sizes.argsort(descending=True)[:count].tolist():
        box, name = scene.boxes[number : number + 1], demo.CLASS_NAMES[scene.labels[number]]
        shown: list[Any] = []
        for one in ssgc.explain(detector, scene.image, METHODS, boxes=box, labels=[name]):
            share = evidence_energy(
                one.heat_map[None], scene.emblem_masks[number : number + 1]
            ).mean()
            print(f"{title} {name} {one.score:.2f} {one.method} {share:.3f} {one.layer}")
            if one.score < LEAST_SCORE:
                raise ValueError(f"{title} does not find the {name}; train it longer.")
            row = {"label": f"{title}: {name}", "score": one.score, "box": one.box}
            drawn = {"corners": one.corners, "heat_map": one.heat_map, "method": one.method}
            shown.append(SimpleNamespace(**row, **drawn, share=share))
        yield shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", action="append", required=True, metavar="TITLE=KIND:PATH")
    parser.add_argument("--scene", type=int, default=26)
    parser.add_argument("--objects", type=int, default=2)
    args = parser.parse_args()
    scene = demo.scene(args.scene)
    lines: list[list[Any]] = []
    for title, _, name in (given.partition("=") for given in args.model):
        detector = load_detector(ModelChoice(name, score_threshold=LEAST_SCORE))
        lines += list(rows(title, detector, scene, args.objects))
    captions = [[f"{one.share:.1%} on the emblem" for one in line] for line in lines]
    save(comparison_grid(scene.image, lines, captions=captions), args.output)


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
