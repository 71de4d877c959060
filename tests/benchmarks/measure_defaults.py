"""Measures the two defaults of SSGrad-CAM++: what is differentiated, and signed activations.

    python tests/benchmarks/measure_defaults.py [--scenes 150] [--yolox FILE --coco FOLDER]

On the detector in the package (end of its ResNet backbone, FPN outputs) and, where given, on a
YOLOX ONNX file with COCO photos. Prints the table of ``docs/measured_defaults.rst``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torchvision.ops import box_iou

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.attr import _maps
from captum_ssgc.attr._capture import capturing
from captum_ssgc.data import draw_scene
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector
from captum_ssgc.metrics import energy_pointing_game, evidence_energy, pointing_game

OUTPUTS = ("score", "logit")
SIGNS = ("split", "as_is")
COLUMNS = ("P(b)", "P(m)", "eP(b)", "eP(m)", "emblem", "zero")


@dataclass
class Case:
    """One image, its detections that match an annotation, and what is known of each."""

    image: Tensor
    detections: Detections
    boxes: Tensor
    masks: Tensor
    evidence: Tensor | None = None


@dataclass
class Row:
    """Sums over detections for one layer, output and treatment of signs."""

    sums: dict[str, list[float]] = field(default_factory=dict)
    alphas: list[Tensor] = field(default_factory=list)

    def add(self, name: str, value: float) -> None:
        self.sums.setdefault(name, []).append(value)

    def cells(self) -> list[str]:
        means = [self.sums.get(name) for name in COLUMNS]
        shown = [f"{sum(values) / len(values):.3f}" if values else "" for values in means]
        alpha = torch.cat(self.alphas).double()
        quantiles = torch.quantile(alpha, torch.tensor([0.01, 0.5, 0.99], dtype=torch.float64))
        return [*shown, " / ".join(f"{value:.3f}" for value in quantiles)]


def scenes(detector: Detector, count: int) -> Iterator[Case]:
    for seed in range(500_000, 500_000 + count):
        scene = draw_scene(seed)
        found = detector.detect(scene.image)[0].above(0.6)
        pairs = matches(found, scene.boxes, scene.labels, 0.7)
        if pairs:
            rows, truths = map(list, zip(*pairs, strict=True))
            yield Case(
                scene.image[None],
                found[rows],
                scene.boxes[truths],
                scene.masks[truths],
                scene.emblem_masks[truths],
            )


def photos(detector: Detector, folder: Path) -> Iterator[Case]:
    from pycocotools.coco import COCO

    sys.stdout, out = sys.stderr, sys.stdout
    coco = COCO(str(folder / "instances.json"))
    sys.stdout = out
    order = {entry["id"]: row for row, entry in enumerate(coco.dataset["categories"])}
    for number in coco.getImgIds():
        entry = coco.loadImgs(number)[0]
        image = ssgc.load_image(folder / "images" / entry["file_name"])
        known = [a for a in coco.loadAnns(coco.getAnnIds(number)) if not a["iscrowd"]]
        found = detector.detect(image)[0].above(0.4)
        if not known or not len(found):
            continue
        boxes = torch.tensor([a["bbox"] for a in known])
        boxes[:, 2:] += boxes[:, :2]
        labels = torch.tensor([order[a["category_id"]] for a in known])
        pairs = matches(found, boxes, labels, 0.5)
        if pairs:
            rows, truths = map(list, zip(*pairs, strict=True))
            masks = [torch.from_numpy(coco.annToMask(known[truth])) for truth in truths]
            yield Case(image, found[rows], boxes[truths], torch.stack(masks))


def matches(
    found: Detections, boxes: Tensor, labels: Tensor, threshold: float
) -> list[tuple[int, int]]:
    """Each detection with the annotation of its class that it overlaps most."""
    if not len(found):
        return []
    overlap = box_iou(found.boxes, boxes) * (found.labels[:, None] == labels)
    best, truth = overlap.max(1)
    return [(row, int(truth[row])) for row in range(len(found)) if best[row] > threshold]


def measure(detector: Detector, case: Case, layers: list[torch.nn.Module], rows: dict) -> None:
    geometry = detector.geometry((case.image.shape[-2], case.image.shape[-1]))
    for output in OUTPUTS:
        with capturing(detector.model, layers) as capture:
            values = detector.score(case.image, case.detections, output)[0]
            tensors = capture.tensors(detector.layer_name, str)
            for k, value in enumerate(values):
                place = int(case.detections.levels[k]) if len(layers) > 1 else 0
                activations = tensors[place].detach()
                (gradient,) = torch.autograd.grad(value, tensors[place], retain_graph=True)
                grid, size = activations.shape[-2:], case.image.shape[-2:]
                cells = detector.cell_grid(layers[place], tuple(size), tuple(grid))
                mask = geometry.boxes_to_grid(case.detections.regions[k : k + 1], cells)
                for signs in SIGNS:
                    row = rows.setdefault((output, signs), Row())
                    record(row, case, k, geometry, cells, activations, gradient, mask, signs)


def record(row, case, k, geometry, cells, activations, gradient, mask, signs) -> None:
    one = _maps.ssgrad_cam_plus_plus(activations, gradient, mask, signed_activations=signs)
    one = one.sum(1, keepdim=True).clamp(min=0)
    heat_map = geometry.grid_to_image(one, cells=cells)[0]
    row.add("P(b)", pointing_game(heat_map, boxes=case.boxes[k : k + 1]).mean())
    row.add("P(m)", pointing_game(heat_map, masks=case.masks[k : k + 1]).mean())
    row.add("eP(b)", energy_pointing_game(heat_map, boxes=case.boxes[k : k + 1]).mean())
    row.add("eP(m)", energy_pointing_game(heat_map, masks=case.masks[k : k + 1]).mean())
    row.add("zero", float(heat_map.max() == 0))
    if case.evidence is not None:
        row.add("emblem", evidence_energy(heat_map, case.evidence[k : k + 1]).mean())
    base = activations.clamp(min=0) if signs == "split" else activations
    alpha = _maps.plus_plus_alpha(_maps.WholeGrid(base, mask).total, gradient, mask)
    used = alpha[(gradient > 0) & mask.expand_as(gradient)]
    row.alphas.append(used[:: max(len(used) // 200, 1)].cpu())


def report(title: str, rows: dict) -> None:
    count = len(next(iter(rows.values())).sums["P(b)"])
    print(f"\n{title}, {count} detections")
    print("output, signs: " + ", ".join(COLUMNS) + ", alpha 1% / 50% / 99%")
    for (output, signs), row in rows.items():
        print(f"{output}, {signs}: " + ", ".join(row.cells()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=150)
    parser.add_argument("--yolox", type=Path)
    parser.add_argument("--coco", type=Path)
    options = parser.parse_args()
    detector = ssgc.wrap_detector(demo.detector())
    last_stage = list(detector.target_layers().values())[-1]
    choices = {"FPN outputs": detector.level_layers(), "end of the backbone": [last_stage]}
    tables: dict[str, dict] = {name: {} for name in choices}
    for case in scenes(detector, options.scenes):
        for name, layers in choices.items():
            measure(detector, case, layers, tables[name])
    for name, rows in tables.items():
        report(f"Detector in the package, {name}", rows)
    if options.yolox and options.coco:
        from captum_ssgc.detectors import yolox

        detector = yolox(options.yolox, level_layers=["Mul_246", "Mul_272", "Mul_298"])
        choices = {"neck": detector.level_layers(), "end of the backbone": ["Mul_196"]}
        for name, layers in choices.items():
            modules = [
                detector.model.get_submodule(one) if isinstance(one, str) else one for one in layers
            ]
            rows = {}
            for case in photos(detector, options.coco):
                measure(detector, case, modules, rows)
            report(f"YOLOX-nano, {name}", rows)


if __name__ == "__main__":
    main()
