"""Files of detectors, read on the host and sent to a GPU, find and explain what they do here."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch
from detectors.exported import (
    SIZE,
    Written,
    centres,
    corners,
    exported,
    from_shapes,
    pyramid,
    rows,
    save,
    scores,
)
from detectors.family import known_images
from detectors.test_families_gpu import maps_of, moved, shapes
from detectors.test_torchscript import save as save_script

import captum_ssgc as ssgc
from captum_ssgc.detectors import Letterbox, onnx_detector, torchscript_detector

pytestmark = pytest.mark.gpu
OPTIONS: dict[str, Any] = {"score_threshold": 0.0, "max_detections": 25}
AS_IT_IS = Letterbox(SIZE, stretch=True)


def assert_same_detections(detector, image, device):
    """Returns the detector on the device, and what is found here."""
    expected = detector.detect(image)[0]
    there = moved(detector, device)
    found = there.detect(image.to(device))[0]
    assert len(found) == len(expected) > 1
    assert found.boxes.device.type == found.scores.device.type == device.type
    torch.testing.assert_close(found.scores.cpu(), expected.scores, rtol=1e-3, atol=1e-4)
    wrapper = ssgc.InstanceScoreWrapper(there, expected.to(device))
    again = wrapper(image.to(device))[0].detach().cpu()
    torch.testing.assert_close(again, expected.scores, rtol=1e-3, atol=1e-4)
    return there, expected


@pytest.mark.filterwarnings("ignore:.*all-zero map")
@pytest.mark.parametrize("kind", ["yolo11n", "yolo11n-dynamic", "boxes-scores"])
def test_an_onnx_file(kind, tmp_path, accelerator):
    pytest.importorskip("onnx")
    options = {**OPTIONS, "check": importlib.util.find_spec("onnxruntime") is not None}
    if kind == "boxes-scores":
        axes = {"images": {0: "n", 2: "h", 3: "w"}}
        module = Written(pyramid(), from_shapes).eval()
        path = save(tmp_path / "it.onnx", module, ["boxes", "scores"], dynamic_axes=axes)
        detector = onnx_detector(path, size=SIZE, preprocess=AS_IT_IS, **options)
    else:
        _, path = exported("yolo11n", tmp_path, dynamic=kind.endswith("dynamic"))
        detector = onnx_detector(path, **options)
    image = known_images((45, 64))[0][:1]
    there, found = assert_same_detections(detector, image, accelerator)
    expected = shapes(maps_of(detector, image, found[:3]))
    made = maps_of(there, image.to(accelerator), found[:3].to(accelerator))
    assert made.device.type == accelerator.type
    torch.testing.assert_close(shapes(made.cpu()), expected, rtol=0.0, atol=0.01)


@pytest.mark.parametrize("kind", ["candidates", "reports"])
def test_a_torchscript_file(kind, tmp_path, accelerator):
    """Its trace keeps cells and the host's name; layers cannot be read, so D-RISE explains it."""

    def layout(maps):
        raw = rows(maps)
        best = scores(raw)
        best = best + 0.0 * torch.arange(best.shape[1], device=best.device)[:, None]
        if kind == "candidates":
            return torch.cat([centres(raw), best], -1).mT
        values, order = best[0].amax(-1).sort(descending=True)
        return corners(centres(raw))[0][order[:9]], values[:9], torch.zeros_like(order[:9])

    path = save_script(tmp_path / "it.torchscript", Written(pyramid(), layout))
    detector = torchscript_detector(path, SIZE, preprocess=AS_IT_IS, score_threshold=0.0)
    image = known_images((45, 64))[0][:1]
    there, _ = assert_same_detections(detector, image, accelerator)
    maps = []
    for one in (detector, there):
        chosen = {"n_masks": 16, "generator": torch.Generator().manual_seed(0)}
        options = {"method_options": {"d-rise": chosen}, "score_threshold": 0.0, "top_k": 1}
        maps += ssgc.explain(one, image, "d-rise", **options)
    expected, made = maps
    torch.testing.assert_close(made.box.cpu(), expected.box, rtol=0.0, atol=0.01)
    assert made.heat_map.device.type == accelerator.type
    torch.testing.assert_close(made.heat_map.cpu(), expected.heat_map, rtol=0.0, atol=1e-3)
