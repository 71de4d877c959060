"""What Deletion and Insertion cost beyond the detector's own batched forward.

    python tests/benchmarks/bench_deletion_insertion.py [--onnx YOLOX.onnx] [--device cuda]

Every measurement runs the same number of images in the same batches twice: through
``deletion_insertion``, and through the detector alone (its forward and its own post-processing).
The two take turns, and the fastest of each is compared (in processor time on the CPU), so that
other load on the machine does not count. Without ``--onnx`` the detector is torchvision's Faster
R-CNN with random weights.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from captum_ssgc import Detections, wrap_detector
from captum_ssgc.detector import Detector
from captum_ssgc.metrics import CurveSettings, deletion_insertion


def build(arguments: argparse.Namespace) -> tuple[Detector, Tensor]:
    if arguments.onnx:
        from captum_ssgc.detectors import yolox

        detector: Detector = yolox(arguments.onnx)
    else:
        from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

        model = fasterrcnn_mobilenet_v3_large_320_fpn(
            weights=None, weights_backbone=None, box_score_thresh=0.0
        )
        detector = wrap_detector(model.eval())
    detector.model.to(arguments.device)
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, *arguments.size, generator=generator).to(arguments.device)
    return detector, image


def some_detections(detector: Detector, image: Tensor, count: int) -> Detections:
    """Whatever the detector sees in noise; boxes that it did not report fill up the number."""
    found = detector.detect(image)[0]
    if len(found) >= count:
        return found[:count]
    with torch.no_grad():
        return detector.candidates_above(detector.run(image), 0.0)[0][:count]


def fastest(actions: list[Callable[[], object]], rounds: int, device: str) -> list[float]:
    """Seconds of each action, the best of several turns; processor time on the CPU."""
    best = [math.inf] * len(actions)
    clock = time.process_time if device == "cpu" else time.perf_counter
    for _ in range(rounds):
        for number, action in enumerate(actions):
            start = clock()
            action()
            if device != "cpu":
                torch.cuda.synchronize()
            best[number] = min(best[number], clock() - start)
    return best


@torch.no_grad()
def detector_alone(
    detector: Detector, image: Tensor, found: Detections, match: str, images: int, batch: int
) -> None:
    for start in range(0, images, batch):
        stack = image.expand(min(batch, images - start), -1, -1, -1).contiguous()
        if match == "iou":
            detector.select(detector.run(stack))
        else:
            detector.score(stack, found[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--onnx", help="an ONNX file in the YOLOX layout")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", type=int, nargs=2, default=(416, 416), metavar=("H", "W"))
    parser.add_argument("--detections", type=int, default=2)
    parser.add_argument("--methods", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    detector, image = build(arguments)
    found = some_detections(detector, image, arguments.detections)
    maps = {
        f"method {n}": torch.rand(len(found), *image.shape[-2:], device=image.device)
        for n in range(arguments.methods)
    }
    settings, batch = CurveSettings(steps=10, baseline=114 / 255), arguments.batch
    images = len(found) * arguments.methods * 2 * (settings.steps - 1) + 2
    print(f"{images} images in batches of at most {batch}")
    for match, scores in (("iou", ("s1", "s2")), ("candidate", ("s1",))):
        chosen = replace(settings, match=match)
        options = {"scores": scores, "perturbations_per_eval": batch}
        alone, measured = fastest(
            [
                partial(detector_alone, detector, image, found, match, images, batch),
                partial(deletion_insertion, detector, image, found, maps, chosen, **options),
            ],
            arguments.rounds,
            arguments.device,
        )
        print(
            f"{match}, {'+'.join(scores)}: detector {alone:.2f} s, "
            f"with curves {measured:.2f} s, overhead {100 * (measured / alone - 1):.1f}%"
        )


if __name__ == "__main__":
    main()
