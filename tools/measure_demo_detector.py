"""Measures the detector in the box, with pycocotools: ``python tools/measure_demo_detector.py``."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import time
from pathlib import Path
from typing import Any

import torch
from torchvision.models.detection import FasterRCNN
from torchvision.ops import box_convert

from captum_ssgc.data import CLASS_NAMES, SceneDataset
from captum_ssgc.demo import WEIGHTS, detector

FIRST_HELD_OUT_SEED = 10_000
HELD_OUT_SCENES = 500
MODEL_CARD = WEIGHTS.with_name("model_card.json")


def average_precision(model: FasterRCNN, scenes: SceneDataset) -> dict[str, float]:
    """COCO figures of a detector on scenes, each from 0 to 1, higher is better.

    Args:
        model: A detector in evaluation mode.
        scenes: The scenes to measure it on.

    Returns:
        ``AP`` (mean over IoU 0.50 to 0.95), ``AP50``, ``AP75``, ``AP_small`` (below 32 x 32 px),
        ``AP_medium``, ``AP_large`` (above 96 x 96 px), ``AR100``, and ``AP_<class>`` for each
        class; -1 where the scenes hold no such object.

    Raises:
        ValueError: If the detector reports nothing at all.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for number, scene in enumerate(scenes, start=1):
        with torch.no_grad():
            output = model([scene.image])[0]
        for box, label in zip(box_convert(scene.boxes, "xyxy", "xywh").tolist(), scene.labels):
            truth.append({
                "id": len(truth) + 1, "image_id": number, "category_id": int(label),
                "bbox": box, "area": box[2] * box[3], "iscrowd": 0,
            })  # fmt: skip
        boxes = box_convert(output["boxes"], "xyxy", "xywh").tolist()
        for box, label, score in zip(boxes, output["labels"], output["scores"]):
            found.append({
                "image_id": number, "category_id": int(label), "bbox": box, "score": float(score),
            })  # fmt: skip
    if not found:
        raise ValueError(
            "expected at least one detection on the scenes, got none; lower box_score_thresh or "
            "check the weights"
        )
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = {
            "images": [{"id": number} for number in range(1, len(scenes) + 1)],
            "annotations": truth,
            "categories": [{"id": i, "name": n} for i, n in enumerate(CLASS_NAMES) if i],
            "info": {},
        }
        reference.createIndex()
        evaluation = COCOeval(reference, reference.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    names = {"AP": 0, "AP50": 1, "AP75": 2, "AP_small": 3, "AP_medium": 4, "AP_large": 5}
    figures = {name: float(evaluation.stats[row]) for name, row in names.items()}
    figures["AR100"] = float(evaluation.stats[8])
    precision = evaluation.eval["precision"][:, :, :, 0, 2]
    for index, name in enumerate(CLASS_NAMES[1:]):
        figures[f"AP_{name}"] = float(precision[:, :, index].mean())
    return {name: round(figure, 4) for name, figure in figures.items()}


def model_card(scenes: SceneDataset) -> dict[str, Any]:
    """Everything the model card states.

    Args:
        scenes: Held-out scenes.

    Returns:
        Nested, JSON-ready figures: size, quality, speed and the record of the training run.
    """
    begun = time.perf_counter()
    model = detector()
    loading = time.perf_counter() - begun
    begun = time.perf_counter()
    figures = average_precision(model, scenes)
    elapsed = time.perf_counter() - begun
    return {
        "detector": "torchvision Faster R-CNN",
        "classes": list(CLASS_NAMES[1:]),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "weights_bytes": WEIGHTS.stat().st_size,
        "held_out": {"first_seed": scenes.start_seed, "scenes": len(scenes), **figures},
        "speed": {
            "threads": torch.get_num_threads(),
            "load_seconds": round(loading, 2),
            "draw_and_detect_seconds_per_scene": round(elapsed / max(len(scenes), 1), 3),
        },
        "training": torch.load(WEIGHTS, weights_only=True)["training"],
    }


def main() -> None:
    """Evaluate from the command line and write the model card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=HELD_OUT_SCENES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=MODEL_CARD)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    card = model_card(SceneDataset(FIRST_HELD_OUT_SEED, options.scenes))
    options.output.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(card, indent=2))


if __name__ == "__main__":
    main()
