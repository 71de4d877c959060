"""Detectors of files work where they are sent to, after they were made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from detectors.exported import SIZE, Written, exported, from_shapes, pyramid, save
from detectors.family import known_images
from detectors.test_onnx_detector import LAYOUTS, OPTIONS, entangled, yolox
from detectors.test_onnx_operators import CASES, node_model
from detectors.test_onnx_vendors import Queries
from elsewhere import Elsewhere, There
from torch import Tensor

import captum_ssgc as ssgc
from captum_ssgc.detectors import BlackBoxDetector, Letterbox, onnx_detector, onnx_layers
from captum_ssgc.detectors.onnx_convert import convert
from captum_ssgc.detectors.onnx_resize import _taps

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
IMAGE = torch.rand(1, 3, 48, 80, generator=torch.Generator().manual_seed(0))


def waits_elsewhere(detector: ssgc.Detector, image: Tensor, **options: Any) -> list[str]:
    """Sends a detector away; its detections and maps must be those of the host.

    Returns:
        What the host waited for in a forward.
    """
    options = {"top_k": 2, "score_threshold": 0.0, **options}
    wanted = detector.detect(image)[0]
    torch.manual_seed(0)  # D-RISE
    maps = ssgc.explain(detector, image, **options)
    assert len(maps) == 2
    with_weights = any(True for _ in detector.model.parameters())  # else explained on the host
    mode = Elsewhere()
    with mode as device:
        detector.model.to(device)
        there = image.to(device)
        mode.waits.clear()
        with torch.no_grad():
            detector.run(there)
        waits = list(mode.waits)
        found = detector.detect(there)[0]
        for key in ("boxes", "scores", "labels", "candidates", "levels"):
            assert isinstance(getattr(found, key), There), key
            torch.testing.assert_close(getattr(found, key).cpu(), getattr(wanted, key))
        torch.manual_seed(0)
        for one, other in zip(ssgc.explain(detector, there, **options), maps, strict=True):
            assert isinstance(one.heat_map, There) is with_weights
            torch.testing.assert_close(one.heat_map.cpu(), other.heat_map)
    _taps.cache_clear()
    return waits


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(one, marks=() if one in ("ultralytics", "nine-maps") else pytest.mark.slow)
        for one in LAYOUTS
    ],
)
def test_a_layout(name: str, tmp_path: Path) -> None:
    layout, names, _ = LAYOUTS[name]
    path = save(tmp_path / "it.onnx", Written(pyramid(), layout).eval(), names)
    assert waits_elsewhere(onnx_detector(path, **OPTIONS), IMAGE) == []


def test_operators() -> None:
    for op, first, rest, attributes, opset in CASES:
        module, given = convert(node_model(op, first, rest, attributes, opset, 1)), first
        with torch.no_grad(), Elsewhere() as device:
            expected = module(torch.from_numpy(given))
            found = module.to(device)(torch.from_numpy(given).to(device))
            assert isinstance(found, There), op
            torch.testing.assert_close(found.cpu(), expected, equal_nan=True)
    _taps.cache_clear()


@pytest.mark.filterwarnings("ignore:.*all-zero map")
@pytest.mark.parametrize("reports", [False, True], ids=["candidates", "reports"])
def test_onnx_runtime_stays_on_the_host(
    reports: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, names = (entangled, ["boxes", "labels", "scores"]) if reports else (yolox, ["output"])
    path = save(tmp_path / "it.onnx", Written(pyramid(), layout).eval(), names)
    monkeypatch.delitem(onnx_layers.OPERATORS, "Relu")
    detector = onnx_detector(path, score_threshold=0.0)
    assert isinstance(detector, BlackBoxDetector) is reports
    settings = {"n_masks": 4}
    options: dict[str, Any] = {"method": "d-rise", "method_options": {"d-rise": settings}}
    waits_elsewhere(detector, IMAGE, **options)


@pytest.mark.parametrize("opset", [pytest.param(11, marks=pytest.mark.slow), 17])
def test_arithmetic_of_shapes_stays_on_the_host(opset: int, tmp_path: Path) -> None:
    axes = {"images": {0: "n", 2: "h", 3: "w"}}
    module = Written(pyramid(), from_shapes).eval()
    names = ["boxes", "scores"]
    path = save(tmp_path / "it.onnx", module, names, dynamic_axes=axes, opset_version=opset)
    assert waits_elsewhere(onnx_detector(path, size=SIZE, **OPTIONS), IMAGE) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*all-zero map")
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("yolo11n", {}),
        ("yolo11n", {"dynamic": True}),
        ("yolo26n-e2e", {"end2end": True}),
        ("yolov5n", {"dynamic": True}),
        ("yolov8n-seg", {"dynamic": True}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "plain",
)
def test_an_export_of_ultralytics(name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    _, path = exported(name, tmp_path, **settings)
    image = known_images((45, 64))[0][:1]
    options: dict[str, Any] = {"score_threshold": 0.0, "max_detections": 25}
    assert waits_elsewhere(onnx_detector(path, **options), image) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*all-zero map")
@pytest.mark.parametrize("name", ["detr", "rt-detr", "d-fine", "yolos"])
def test_an_export_of_transformers(name: str, tmp_path: Path) -> None:
    """What chooses tokens, samples maps or adds embeddings of places; for any size but one."""
    pytest.importorskip("transformers")
    from detectors.transformers_families import SOFTMAX, build

    size = (64, 96) if name == "yolos" else (96, 128)
    path = save(
        tmp_path / "it.onnx",
        Queries(build(name).detector.model).eval(),
        ["logits", "pred_boxes"],
        (torch.rand(1, 3, *size),),
        opset_version=17,
        dynamic_axes={"images": {0: "n", 2: "h", 3: "w"}} if name == "rt-detr" else None,
    )
    scores = "softmax" if name in SOFTMAX else None
    preprocess = Letterbox(size, stretch=True)
    options: dict[str, Any] = {"score_threshold": 0.0, "max_detections": 25, "scores": scores}
    detector = onnx_detector(path, size=size, preprocess=preprocess, **options)
    assert waits_elsewhere(detector, known_images()[0][:1], method="odam") == []
