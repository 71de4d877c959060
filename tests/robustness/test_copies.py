"""All that a user may hold in hand survives pickle, deepcopy and the way to another process."""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import multiprocessing
import pickle
import pkgutil
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import torch
from robustness.subjects import Subject, quarters, small_image
from torch import Tensor, nn

import captum_ssgc as ssgc
from captum_ssgc import (
    attr,
    benchmark,
    data,
    demo,
    detectors,
    diagnosis,
    metrics,
    visualization,
)
from captum_ssgc.benchmark.summary import Cell, Row

PACKAGES = (
    *("", ".attr", ".benchmark", ".data", ".detectors", ".diagnosis", ".metrics"),
    ".visualization",
)
# What exists only within a call, and what is no class to be made an object of.
WITHIN_A_CALL = {
    *("Detector", "Layers", "LayerMethod", "MapRequest", "Method", "PerturbationMethod"),
    *("Recording", "RequestMaps"),
}
BY_VENDOR = {
    "OneStageDetector": ("torchvision", "retinanet"),
    "TransformersDetector": ("transformers", "detr"),
    "YoloDetector": ("ultralytics", "yolov8n"),
    "RFDETRDetector": ("rfdetr", "rf-detr-nano"),
    "TextPromptDetector": ("prompts", "grounding-dino"),
    "UltralyticsRTDETR": ("ultralytics", "rtdetr-resnet50"),
}


def public_classes() -> set[type]:
    found = set()
    for name in PACKAGES:
        package = importlib.import_module(f"captum_ssgc{name}")
        found |= {one for n in package.__all__ if inspect.isclass(one := getattr(package, n))}
    return found


def exceptions() -> set[type[Exception]]:
    """All that have a public name, wherever they are."""
    found = set()
    for module in pkgutil.walk_packages(ssgc.__path__, "captum_ssgc."):
        if not module.name.endswith("__main__"):
            entries = vars(importlib.import_module(module.name)).items()
            found |= {one for n, one in entries if n[0] != "_" and _is_own_exception(one)}
    return found


def _is_own_exception(one: object) -> bool:
    return (
        inspect.isclass(one)
        and issubclass(one, Exception)
        and one.__module__.startswith("captum_ssgc")
    )


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject.of(quarters(), small_image())


def black_box(images: Tensor) -> list[dict[str, Tensor]]:
    return [
        {
            "boxes": torch.tensor([[1.0, 1, 9, 9]]),
            "scores": torch.tensor([0.5]),
            "labels": torch.tensor([1]),
        }
        for _ in images
    ]


def samples(subject: Subject, folder: Any) -> dict[str, Any]:
    wrapper, layer = subject.wrapper, subject.layer
    methods = {
        entry.__name__: entry(wrapper, layer)
        for entry in attr.METHODS.values()
        if issubclass(entry, attr.LayerMethod)
    }
    boxes = subject.detections.boxes
    curves = metrics.Curves(torch.linspace(0, 1, 3), torch.rand(2, 3), torch.ones(2).bool(), True)
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 16, "height": 16}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}],
        "categories": [{"id": 1, "name": "thing"}],
    }
    (folder / "coco.json").write_text(json.dumps(content))
    coco = data.CocoDataset(folder / "coco.json", folder)
    row = Row("odam", "ODAM", False, {"ap": Cell(0.5, 0.4, 0.6, 3)})
    facts = diagnosis.ImageFacts(
        *(subject.detections, subject.detections[:1], boxes, subject.detections.labels),
        *(0.5, 0.5, 0.1),
    )
    [diagnosed] = ssgc.diagnose(
        subject.detector, subject.image, boxes[:1], subject.detections.labels[:1],
        method="odam", layer=layer, score_threshold=1.0,
    )  # fmt: skip
    [relied] = metrics.reliance(subject.detector, subject.image, subject.detections[:1])
    return methods | {
        "Cause": diagnosis.cause_of(facts, 0),
        "Diagnosis": diagnosed,
        "ImageFacts": facts,
        "Kinds": diagnosis.Kinds(["found"], [0], ["found"], [0]),
        "Reliance": relied,
        "RelianceThresholds": metrics.RelianceThresholds(),
        "DRISE": ssgc.DRISE(wrapper),
        "RefinedCAM": ssgc.RefinedCAM(wrapper),
        "InstanceScoreWrapper": wrapper,
        "Detections": subject.detections,
        "CandidateDetector": subject.detector,
        "TwoStageDetector": ssgc.wrap_detector(demo.detector()),
        "BlackBoxDetector": detectors.BlackBoxDetector(black_box, class_count=3),
        "Candidates": detectors.Candidates(boxes[None], subject.detections.class_scores[None]),
        "Letterbox": detectors.Letterbox((32, 32)),
        "Explanation": ssgc.explain(subject.detector, subject.image, score_threshold=0.1)[0],
        "Explanations": ssgc.explain(subject.detector, subject.image, score_threshold=0.1),
        "NoDetectionError": ssgc.NoDetectionError("nothing; lower it.", 0.25),
        "ImageGeometry": ssgc.ImageGeometry((30, 41), (32, 48)),
        "CellGrid": ssgc.ImageGeometry.identity((32, 48)).cells((4, 6)),
        "CurveSettings": metrics.CurveSettings(baseline=torch.rand(3, 1, 1)),
        "Preset": metrics.preset_named("odam"),
        "Curves": curves,
        "DeletionInsertion": metrics.DeletionInsertion({"s1": curves}, {"s1": curves}),
        "MapScores": metrics.pointing_game(torch.rand(2, 16, 16), boxes=boxes),
        "CocoDataset": coco,
        "CocoImage": coco[0],
        "Picture": visualization.Picture(60, 40, 80),
        "Scene": data.draw_scene(3, (64, 80)),
        "SceneDataset": data.SceneDataset(3, 2),
        "BenchmarkError": benchmark.BenchmarkError("settings: expected another."),
        "BenchmarkSettings": benchmark.BenchmarkSettings(),
        "MethodRow": benchmark.MethodRow("odam", {"smoothing": 1.0}),
        "Cell": row.cells["ap"],
        "Row": row,
    }


def placeholder(kind: type) -> Any:
    """A class of plain fields with its defaults, or with anything."""
    needed = [one.name for one in fields(kind) if one.default is one.default_factory is MISSING]
    return kind(**dict.fromkeys(needed, ("a", 1)))


COPIES: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda one: pickle.loads(pickle.dumps(one)),
    "first protocol": lambda one: pickle.loads(pickle.dumps(one, 2)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def parts(one: Any, seen: frozenset[int] = frozenset()) -> Any:
    """What two copies have to have in common, in plain values."""
    if isinstance(one, (Tensor, np.ndarray)):
        values = one.detach().numpy() if isinstance(one, Tensor) else one
        return [str(one.dtype), values.shape, values.tobytes()]
    if isinstance(one, (str, int, float, bool, bytes, type(None))):
        return one
    if id(one) in seen:
        return "above"
    seen |= {id(one)}
    if isinstance(one, nn.Module):
        return [type(one).__name__, parts(dict(one.state_dict()), seen)]
    if isinstance(one, dict):
        return {str(key): parts(value, seen) for key, value in one.items()}
    if isinstance(one, (list, tuple)):
        return [parts(value, seen) for value in one]
    if isinstance(one, visualization.Picture):
        return one.get_size_inches().tolist()
    if isinstance(one, BaseException):
        return [type(one).__name__, str(one), parts(vars(one), seen)]
    if hasattr(one, "__dict__") and type(one).__module__.startswith("captum_ssgc"):
        return [type(one).__name__, parts(vars(one), seen)]
    return type(one).__name__


@pytest.mark.parametrize("way", COPIES.values(), ids=COPIES.keys())
def test_public_classes(way, subject, tmp_path):
    made = samples(subject, tmp_path)
    for kind in public_classes():
        if kind.__name__ not in {*made, *WITHIN_A_CALL, *BY_VENDOR}:
            assert is_dataclass(kind), f"{kind.__name__} needs a sample"
            made[kind.__name__] = placeholder(kind)
    for name, one in made.items():
        assert type(one).__name__ == name
        other = way(one)
        assert type(other) is type(one), name
        assert parts(other) == parts(one), name


@pytest.mark.parametrize("way", COPIES.values(), ids=COPIES.keys())
@pytest.mark.parametrize("failed", [False, True], ids=["fresh", "after an error"])
def test_a_detector_that_has_not_run(way, failed):
    detector = quarters()
    if failed:
        detector.decode = lambda output: None
        with pytest.raises(TypeError, match="the detector must give Candidates"):
            detector.detect(small_image())
        detector.decode = None
    other = way(detector)
    assert torch.equal(
        other.detect(small_image())[0].scores, detector.detect(small_image())[0].scores
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_VENDOR)
def test_vendors_adapters(name, families):
    if name == "RFDETRDetector":
        pytest.importorskip("rfdetr")
    detector = families(*BY_VENDOR[name]).detector
    for way in COPIES.values():
        other = way(detector)
        image = small_image().repeat(1, 1, 8, 8)
        assert type(other) is type(detector)
        assert name in [one.__name__ for one in type(other).__mro__]
        assert torch.equal(other.detect(image)[0].boxes, detector.detect(image)[0].boxes)


@pytest.mark.parametrize("way", COPIES.values(), ids=COPIES.keys())
def test_every_exception(way):
    special = {
        "NoDetectionError": ("nothing", 0.5),
        "MalformedError": ("annotations[1].id", "a number", "x", "ids"),
    }
    for kind in exceptions():
        one = kind(*special.get(kind.__name__, ("message",)))
        other = way(one)
        assert type(other) is kind
        assert str(other) == str(one)
        assert vars(other) == vars(one)


def test_a_copied_method_gives_the_same_map(subject):
    for name in ("pickle", "deepcopy"):
        for call in ("attribute", "D-RISE", "wrapper"):
            again = COPIES[name](subject)
            assert torch.equal(again.calls()[call](), subject.calls()[call]())


def explain_elsewhere(threshold: float) -> Tensor:
    return ssgc.explain(quarters(), small_image(), score_threshold=threshold)[0].heat_map


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_pool_hands_over_results_and_exceptions(start):
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {start} here")
    with multiprocessing.get_context(start).Pool(1) as pool:
        found = pool.apply_async(explain_elsewhere, (0.1,)).get(timeout=600)
        assert torch.equal(found, explain_elsewhere(0.1))
        with pytest.raises(ssgc.NoDetectionError, match=r"at least 0\.9") as info:
            pool.apply_async(explain_elsewhere, (0.9,)).get(timeout=600)
    assert 0.1 < info.value.highest_score < 0.9
