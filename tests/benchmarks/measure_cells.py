"""Measures where the cells of a layer lie: the table of ``docs/method.rst``.

    python tests/benchmarks/measure_cells.py [--yolo FILE] [--detr FOLDER]
        [--yolox FILE --coco FOLDER]

Draws ODAM's and SSGrad-CAM++'s maps with cells between ``(i + 0.5) * stride`` (share 0) and the
middle of what their convolutions look at (share 1). On the scenes the planted emblem is known, on
photos the object's mask. Even images are there to choose by, odd ones to confirm.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from measure_defaults import Case, matches, photos
from torch import nn

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.attr import _maps
from captum_ssgc.attr._capture import capturing
from captum_ssgc.cli.model_choice import ModelChoice
from captum_ssgc.cli.models import load_detector
from captum_ssgc.data import draw_scene
from captum_ssgc.metrics import energy_pointing_game, evidence_energy, pointing_game

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
Groups = dict[str, list[nn.Module]]  # a layer for all detections, or one for each level


def scenes(
    detector: ssgc.Detector, count: int, size: tuple[int, int], first_label: int, score: float
) -> Iterator[Case]:
    for seed in range(500_000, 500_000 + count):
        scene = draw_scene(seed, size)
        found = detector.detect(scene.image)[0].above(score)
        pairs = matches(found, scene.boxes, scene.labels - 1 + first_label, 0.6)
        if pairs:
            rows, truths = map(list, zip(*pairs, strict=True))
            known = scene.boxes[truths], scene.masks[truths], scene.emblem_masks[truths]
            yield Case(scene.image[None], found[rows], *known)


def measure(detector: ssgc.Detector, cases: Iterable[Case], groups: Groups) -> dict:
    sums: dict = defaultdict(list)
    for number, case in enumerate(cases):
        half = ("even", "odd")[number % 2]
        for name, layers in groups.items():
            with capturing(detector.model, layers) as capture:
                values = detector.score(case.image, case.detections)[0]
                tensors = capture.tensors(detector.layer_name, str)
                found = []
                for k, value in enumerate(values):
                    place = int(case.detections.levels[k]) if len(layers) > 1 else 0
                    [gradient] = torch.autograd.grad(
                        value, tensors[place], retain_graph=True, allow_unused=True
                    )
                    found.append((k, layers[place], tensors[place].detach(), gradient))
            for k, layer, activations, gradient in found:
                if gradient is not None and gradient.any():
                    draw(sums, (half, name), detector, case, k, layer, activations, gradient)
    return sums


def draw(sums, key, detector, case, k, layer, activations, gradient) -> None:
    size = (case.image.shape[-2], case.image.shape[-1])
    geometry = detector.geometry(size)
    for share in SHARES:
        detector.window_share = share
        cells = detector.cell_grid(layer, size, (activations.shape[-2], activations.shape[-1]))
        mask = geometry.boxes_to_grid(case.detections.regions[k : k + 1], cells)
        for method, one in (
            ("ODAM", _maps.odam(activations, gradient)),
            ("SSGC++", _maps.ssgrad_cam_plus_plus(activations, gradient, mask)),
        ):
            on_grid = one.sum(1, keepdim=True).clamp(min=0.0)
            heat_map = geometry.grid_to_image(on_grid, cells=cells)[0]
            figures = [
                pointing_game(heat_map, masks=case.masks[k : k + 1]).mean(),
                energy_pointing_game(heat_map, masks=case.masks[k : k + 1]).mean(),
            ]
            if case.evidence is not None:
                figures.append(pointing_game(heat_map, masks=case.evidence[k : k + 1]).mean())
                figures.append(evidence_energy(heat_map, case.evidence[k : k + 1]).mean())
            sums[(*key, method, share)].append([float(figure) for figure in figures])


def report(title: str, sums: dict) -> None:
    print(f"\n{title}; shares {SHARES}: P(m) | eP(m) | peak on emblem | energy on emblem")
    for half, name, method in dict.fromkeys(key[:3] for key in sums):
        rows = [torch.tensor(sums[half, name, method, share]) for share in SHARES]
        columns = torch.stack([row.double().mean(0) for row in rows], 1)
        shown = " | ".join(" ".join(f"{value:.3f}" for value in column) for column in columns)
        print(f"{half:4} {name:10} {method:6} {len(rows[0]):4}: {shown}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=120)
    parser.add_argument("--yolo", type=Path)
    parser.add_argument("--detr", type=Path)
    parser.add_argument("--yolox", type=Path)
    parser.add_argument("--coco", type=Path)
    options = parser.parse_args()
    detector = ssgc.wrap_detector(demo.detector())
    body = detector.model.backbone.body
    groups = {"own level": detector.level_layers()}
    groups |= {f"layer{n}": [body.get_submodule(f"layer{n}")] for n in (2, 3, 4)}
    cases = scenes(detector, options.scenes, (320, 400), 1, 0.6)
    report("Detector in the package", measure(detector, cases, groups))
    if options.yolo:
        from ultralytics import YOLO

        detector = ssgc.wrap_detector(YOLO(options.yolo), image_size=(320, 416))
        stages = {f"module {n}": [detector.model.model[n]] for n in (4, 6, 10)}
        groups = {"own level": detector.level_layers(), **stages}
        cases = scenes(detector, options.scenes, (320, 416), 0, 0.3)
        report("YOLO11n", measure(detector, cases, groups))
    if options.detr:
        detector = load_detector(ModelChoice(f"transformers:{options.detr}", score_threshold=0.3))
        groups = {name: [layer] for name, layer in detector.target_layers().items()}
        cases = scenes(detector, options.scenes, (320, 416), 0, 0.3)
        report(options.detr.name, measure(detector, cases, groups))
    if options.yolox and options.coco:
        from captum_ssgc.detectors import yolox

        detector = yolox(options.yolox, level_layers=["Mul_246", "Mul_272", "Mul_298"])
        last = detector.model.get_submodule("Mul_196")
        groups = {"own level": detector.level_layers(), "backbone": [last]}
        cases = photos(detector, options.coco)
        report("YOLOX-nano", measure(detector, cases, groups))


if __name__ == "__main__":
    main()
