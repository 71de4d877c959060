"""What a benchmark run takes beyond its detector's forwards and backwards."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from performance_cases import HAS_DATA, PHOTOS, YOLOX_FILE
from torch import nn

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.benchmark import BenchmarkSettings
from captum_ssgc.benchmark.image_evaluation import ImageEvaluation
from captum_ssgc.benchmark.opening import open_source
from captum_ssgc.benchmark.records import ImageRecord
from captum_ssgc.detectors import yolox

METHODS = ("ssgrad-cam++", "odam")
IMAGES = 3
SCENES = f"synthetic:{IMAGES + 1}"
Clock = Callable[[], float]


@contextmanager
def detectors_seconds(model: nn.Module, clock: Clock) -> Iterator[list[float]]:
    """Adds up what the outermost calls of the model's modules take, and ways back through it."""
    own, seconds, inside = set(model.modules()), [0.0], [False]

    def timing(call: Any, counts: Callable[[Any], bool]) -> Any:
        def timed(*args: Any, **kwargs: Any) -> Any:
            if inside[0] or not counts(args[0]):
                return call(*args, **kwargs)
            inside[0] = True
            start = clock()
            try:
                return call(*args, **kwargs)
            finally:
                seconds[0] += clock() - start
                inside[0] = False

        return timed

    forward, backward = nn.Module.__call__, torch.autograd.grad
    nn.Module.__call__ = timing(forward, lambda module: module in own)
    torch.autograd.grad = timing(backward, lambda outputs: True)
    try:
        yield seconds
    finally:
        nn.Module.__call__, torch.autograd.grad = forward, backward


def own_share(
    detector: ssgc.Detector, data: str, device: torch.device, clock: Clock
) -> tuple[int, float]:
    """Detections evaluated, and the share of the time that is not the detector's."""
    detector.model.to(device)
    source = open_source(data, limit=IMAGES + 1)
    settings = BenchmarkSettings(methods=METHODS)
    evaluation = ImageEvaluation(detector, source.categories, settings)
    whole = of_detector = 0.0
    detections = 0
    for index in range(len(source)):
        empty = ImageRecord(index, source.key(index), source.name(index))
        with detectors_seconds(detector.model, clock) as seconds, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = clock()
            record = evaluation.record(source.load(index), empty)
            taken = clock() - start
        if index:  # the first warms up
            whole, of_detector = whole + taken, of_detector + seconds[0]
            detections += len(record.detections)
    return detections, 1 - of_detector / whole


def shares(device: torch.device, clock: Clock) -> list[list[str]]:
    """A row for the package's own scenes, and one for photos where these are given."""
    runs = [("the demo detector on scenes", ssgc.wrap_detector(demo.detector()), SCENES)]
    if HAS_DATA:
        runs.append(("YOLOX-nano on photos", yolox(YOLOX_FILE), str(PHOTOS / "instances.json")))
    rows = []
    for name, detector, data in runs:
        detections, share = own_share(detector, data, device, clock)
        rows.append([name, str(detections), f"{share:.0%}"])
        print(rows[-1], flush=True)
    return rows
