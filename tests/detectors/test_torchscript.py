from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from detectors.exported import SIZE, Written, centres, pyramid, rows, scores, truth
from detectors.test_onnx_detector import AS_IT_IS, OPTIONS, assert_same, expected, yolov8, yolox
from torch import Tensor, nn

import captum_ssgc as ssgc
from captum_ssgc.detectors import BlackBoxDetector, torchscript_detector


def save(path: Path, module: nn.Module, config: dict[str, Any] | None = None) -> Path:
    extra = {} if config is None else {"config.txt": json.dumps(config)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.trace(module.eval(), torch.zeros(1, 3, *SIZE))
        script.save(str(path), _extra_files=extra)
    return path


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand(2, 3, 48, 80, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("layout", [yolov8, yolox])
def test_a_script_is_read_as_an_onnx_file_is(layout, image, tmp_path):
    path = save(tmp_path / "it.torchscript", Written(pyramid(), layout))
    detector = torchscript_detector(path, SIZE, **OPTIONS)
    for found, wanted in zip(
        detector.detect(image), expected(pyramid()).detect(image), strict=True
    ):
        assert_same(found, wanted)
    wrapper = ssgc.InstanceScoreWrapper(detector, detector.detect(image)[0])
    pixels = image[:1].clone().requires_grad_()
    wrapper(pixels)[0, 0].backward()
    assert float(pixels.grad.abs().max()) > 0.0
    with pytest.raises(ValueError, match=r"TorchScript, whose layers.*a method that only runs"):
        detector.check_differentiable()


def test_ultralytics_writes_size_and_names(image, tmp_path):
    config = {"imgsz": list(SIZE), "names": {"0": "cat", "1": "dog", "2": "hen"}}
    path = save(tmp_path / "it.torchscript", Written(pyramid(), yolov8), config)
    detector = torchscript_detector(path)
    assert detector.label_name(1) == "dog"
    assert detector.geometry((10, 10)).canvas_size == SIZE
    with pytest.raises(ValueError, match=r"label_names: expected 3 names.*got 2"):
        torchscript_detector(path, label_names=["a", "b"])


def reports(maps: list[Tensor]) -> Any:
    best = scores(rows(maps)).amax(-1)[0]
    kept = best.argsort(descending=True)[:9]
    return truth(maps).boxes[0][kept], best[kept], torch.zeros(9, dtype=torch.int64)


def test_reports_are_a_black_box(image, tmp_path):
    path = save(tmp_path / "it.torchscript", Written(pyramid(), reports))
    detector = torchscript_detector(path, SIZE, preprocess=AS_IT_IS, score_threshold=0.0)
    assert isinstance(detector, BlackBoxDetector)
    wanted = truth(pyramid()(AS_IT_IS(image[:1])[0])).class_scores[0].amax(-1)
    torch.testing.assert_close(detector.detect(image)[0].scores, wanted.sort().values.flip(0)[:9])


def test_the_files_own_canvas_is_made(image, tmp_path):
    """Ultralytics pads, and its RT-DETR stretches; what a file reports lies on that canvas."""
    config = {"imgsz": list(SIZE), "stride": 32, "names": {"0": "cat", "1": "dog", "2": "hen"}}
    for description, same_scale in (("YOLO11n model", True), ("RTDETR-l model", False)):
        config["description"] = description
        path = save(tmp_path / "it.torchscript", Written(pyramid(), reports), config)
        geometry = torchscript_detector(path).geometry((32, 96))
        scales = geometry.scale
        assert (float(scales[0]) == float(scales[1])) is same_scale


def test_oriented_boxes_are_read_by_the_files_task(image, tmp_path):
    def oriented(maps: Any) -> Any:
        raw = rows(maps)
        angles = torch.full_like(raw[..., :1], 0.3)
        return torch.cat([centres(raw), scores(raw), angles], -1).mT

    names = {str(label): f"class {label}" for label in range(3)}
    config = {"imgsz": list(SIZE), "stride": 32, "names": names, "task": "obb"}
    path = save(tmp_path / "it.torchscript", Written(pyramid(), oriented), config)
    detector = torchscript_detector(path, score_threshold=0.0)
    assert detector.description.startswith("obb: ")
    assert detector.detect(image)[0].corners is not None


def test_bad_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        torchscript_detector(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("no script")
    with pytest.raises(ValueError, match="is not a TorchScript file"):
        torchscript_detector(tmp_path / "text.pt", 64)
    path = save(tmp_path / "it.torchscript", Written(pyramid(), yolov8))
    with pytest.raises(ValueError, match=r"size: it.torchscript does not say it"):
        torchscript_detector(path)
    path = save(tmp_path / "other.torchscript", nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten()))
    with pytest.raises(ValueError, match="no known layout"):
        torchscript_detector(path, SIZE)
