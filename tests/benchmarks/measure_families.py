"""Measures every recommended layer of trained detectors of several families.

    python tests/benchmarks/measure_families.py docs/measured_families.rst [--scenes 100] \
        [--model TITLE=ultralytics:FILE] [--model TITLE=transformers:FOLDER ...] \
        [--yolox FILE --coco FOLDER]

The detector in the package always; those that ``train_on_scenes.py`` has trained, and a YOLOX ONNX
file with COCO photos, where given. Writes the table of the guide page on layers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.benchmark import BenchmarkSettings, run_benchmark
from captum_ssgc.cli.model_choice import ModelChoice
from captum_ssgc.cli.models import load_detector
from captum_ssgc.data import SceneDataset
from captum_ssgc.detector import Detector

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from measure_demo_detector import FIRST_HELD_OUT_SEED, average_precision

METHODS = ("ssgrad-cam++", "ssgrad-cam+-", "odam")
METRICS = ("pointing-game", "energy-pointing-game", "evidence-energy")
COLUMNS = ("p_b", "p_m", "ep_b", "ep_m", "evidence", "zero")
AP_SCENES = 100


def detectors(options: argparse.Namespace) -> Iterable[tuple[str, Detector, Detector | None]]:
    """Title, detector, and the same without a threshold, for its average precision on scenes."""
    model = demo.detector()
    names = demo.CLASS_NAMES
    yield "Faster R-CNN (in the package)", ssgc.wrap_detector(model, label_names=names), None
    for title, _, name in (given.partition("=") for given in options.model):
        trained = load_detector(ModelChoice(name, score_threshold=0.3))
        unfiltered = load_detector(ModelChoice(name, score_threshold=0.001))
        yield title, trained, unfiltered
    if options.yolox:
        from captum_ssgc.detectors import yolox

        yield "YOLOX-nano (COCO photos)", yolox(options.yolox, score_threshold=0.4), None


def precision_on_scenes(detector: Detector) -> dict[str, float]:
    """COCO figures of any detector, whose labels are brought to those of the scenes by name."""
    names = [detector.label_name(label) for label in range(len(demo.CLASS_NAMES))]
    place = {label: demo.CLASS_NAMES.index(name) for label, name in enumerate(names[:-1])}

    def model(images: list[Tensor]) -> list[dict[str, Any]]:
        found = detector.detect(images[0])[0]
        labels = [place[int(label)] for label in found.labels]
        return [{"boxes": found.boxes, "labels": torch.tensor(labels), "scores": found.scores}]

    return average_precision(model, SceneDataset(FIRST_HELD_OUT_SEED, AP_SCENES))


def layer_choices(detector: Detector) -> dict[str, tuple[str, ...] | None]:
    """Every recommended layer: the levels together, as each detection has its own, then others."""
    levels = [detector.layer_name(layer) for layer in detector.level_layers()]
    others = [name for name in detector.target_layers() if name not in levels]
    own = {"own level: " + ", ".join(levels): None} if levels else {}
    return {**own, **{name: (name,) for name in others}}


def rows(title: str, detector: Detector, data: Any, images: Path | None) -> Iterable[list[str]]:
    for name, layer in layer_choices(detector).items():
        settings = BenchmarkSettings(
            methods=METHODS, metrics=METRICS if images is None else METRICS[:-1], floors=(),
            layer=layer, score_above=0.5, iou_above=0.5,
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            summary = run_benchmark(detector, data, folder, settings, images=images)
        for method in METHODS:
            cells = summary.row(method).cells
            shown = [f"{cells[key].mean:.3f}" if key in cells else "" for key in COLUMNS]
            count = str(summary.counts["matched"])
            yield [title, f"``{name}``", summary.row(method).title, count, *shown]
            print(" | ".join([title, name, method, count, *shown]), flush=True)


def table(lines: list[list[str]]) -> str:
    header = [
        "Detector", "Layer", "Method", "n",
        "P(b)", "P(m)", "eP(b)", "eP(m)", "Evidence", "All zero",
    ]  # fmt: skip
    out = [".. list-table::", "   :header-rows: 1", ""]
    for line in [header, *lines]:
        out += [f"   {' ' if place else '*'} - {cell}" for place, cell in enumerate(line)]
    return "\n".join([*out, ""])


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--model", action="append", default=[], metavar="TITLE=KIND:PATH")
    parser.add_argument("--yolox", type=Path)
    parser.add_argument("--coco", type=Path)
    options = parser.parse_args()
    lines: list[list[str]] = []
    notes = []
    for title, detector, unfiltered in detectors(options):
        on_photos = title.startswith("YOLOX")
        data = options.coco / "instances.json" if on_photos else f"synthetic:{options.scenes}"
        images = options.coco / "images" if on_photos else None
        if unfiltered is not None:
            figures = precision_on_scenes(unfiltered)
            notes.append(
                f"{title}: AP {figures['AP']:.3f}, AP50 {figures['AP50']:.3f} on {AP_SCENES} "
                "held-out scenes."
            )
            print(notes[-1], flush=True)
        lines += rows(title, detector, data, images)
        options.output.write_text("\n".join([table(lines), *notes, ""]))


if __name__ == "__main__":
    main()
