"""The adapters for Ultralytics: the letterbox, the heads, what is refused."""

from __future__ import annotations

import copy
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from detectors.family import scene

import captum_ssgc as ssgc
from captum_ssgc.detectors import YoloDetector, _ultralytics


@pytest.fixture(scope="module")
def yolo8(build_family) -> YoloDetector:
    """Also the place where Ultralytics is imported, with its settings out of the way."""
    return build_family("ultralytics", "yolov8n").detector


SIZES = [(75, 101), (101, 75), (96, 128), (45, 64), (300, 41), (3, 200), (97, 97)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(
    ("side", "fill"), [((128, 128), False), ((64, 96), False), ((96, 96), True)]
)
def test_the_canvas_is_the_vendors_letterbox(yolo8, size, side, fill):
    from ultralytics.data.augment import LetterBox

    pixels = (scene(2, size)[0] * 255).round().to(torch.uint8)
    letterbox = LetterBox(side, auto=not fill, scale_fill=fill, stride=32)
    theirs = torch.from_numpy(letterbox(image=pixels.permute(1, 2, 0).numpy())).permute(2, 0, 1)
    ours, geometry = _ultralytics.PredictCanvas(side, 32, fill)(pixels[None] / 255)
    torch.testing.assert_close(ours[0], theirs / 255, atol=2 / 255, rtol=0.0)
    assert geometry.canvas_size == tuple(theirs.shape[-2:])
    assert all(entry % 32 == 0 for entry in geometry.canvas_size)


def one_scale_back(geometry, boxes):
    """Ultralytics 8.3's way from the canvas to the image.

    The image was resized to whole pixels, by a scale for each axis then, and lies in the middle of
    what these leave; this takes the one scale from before the rounding, and what that leaves.
    """
    pairs = list(zip(geometry.canvas_size, geometry.image_size))
    scale = min(canvas / image for canvas, image in pairs)
    top, left = (round((canvas - image * scale) / 2 - 0.1) for canvas, image in pairs)
    return (boxes - torch.tensor([left, top] * 2)) / scale


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("side", [(128, 128), (64, 96)], ids=str)
def test_boxes_come_back_by_the_scales_of_the_canvas(yolo8, size, side):
    """In Ultralytics 8.3 by one scale, at most a pixel of the canvas beside it."""
    from detectors.ultralytics_families import scaled_back
    from ultralytics.utils.ops import scale_boxes

    def both_ways(geometry, boxes):
        theirs = scale_boxes(geometry.canvas_size, boxes.clone(), geometry.image_size)
        return theirs, geometry.boxes_to_image(boxes)

    flat = _ultralytics.PredictCanvas((128, 128), 32).geometry((3, 200))
    inside = torch.tensor([[0.0, 0.0, 1.0, 1.0]]) + flat.offset[0]
    one_scale = not torch.allclose(*both_ways(flat, inside))

    geometry = _ultralytics.PredictCanvas(side, 32).geometry(size)
    boxes = torch.rand(50, 4, generator=torch.Generator().manual_seed(4)) * max(side)
    theirs, exact = both_ways(geometry, boxes)
    expected = one_scale_back(geometry, boxes) if one_scale else exact
    limits = torch.tensor([size[1], size[0]] * 2)
    torch.testing.assert_close(theirs, torch.minimum(expected.clamp(min=0.0), limits))

    image = torch.tensor([[0.0, 0.0, size[1], size[0]]])
    off = (scaled_back(image, geometry) - image).abs() * min(geometry.scale)
    assert off.max() <= (1.0 if one_scale else 0.0) + 1e-4


def test_the_canvas_size_is_the_arguments_the_users_or_the_trainings(yolo8):
    model = SimpleNamespace(args={"imgsz": 320}, stride=torch.tensor([8.0, 16.0, 32.0]))
    size = _ultralytics.canvas_size
    assert size(model, 96, {"imgsz": 64}) == (96, 96)
    assert size(model, (64, 128), {}) == (64, 128)
    assert size(model, 100, {}) == (128, 128)
    assert size(model, None, {"imgsz": 64}) == (64, 64)
    assert size(model, None, {}) == (320, 320)
    assert size(SimpleNamespace(args=SimpleNamespace(imgsz=64), stride=model.stride), None, {}) == (
        64,
        64,
    )
    assert size(SimpleNamespace(stride=model.stride), None, {}) == (640, 640)


def test_a_bare_network_is_wrapped_like_its_yolo_object(yolo8, picture):
    bare = ssgc.wrap_detector(yolo8.model, image_size=128, score_threshold=0.0, max_detections=25)
    assert isinstance(bare, YoloDetector)
    assert torch.equal(bare.detect(picture)[0].boxes, yolo8.detect(picture)[0].boxes)
    assert bare.label_names == tuple(map(str, range(80)))


def test_thresholds_are_the_vendors(yolo8, picture):
    def detect(**settings: Any) -> ssgc.Detections:
        return ssgc.wrap_detector(yolo8.model, image_size=128, **settings).detect(picture)[0]

    default = detect()
    assert (default.scores > 0.25).all()
    few = detect(score_threshold=0.7)
    assert torch.equal(few.boxes, default.boxes[default.scores > 0.7])
    assert 2 < len(few) < len(default)
    assert torch.equal(detect(max_detections=2).boxes, default.boxes[:2])
    assert len(detect(iou_threshold=0.3)) < len(default)
    assert len(detect(agnostic=True)) < len(default)


@pytest.mark.parametrize("name", ["yolov8n", "yolo26n", "yolo26n-e2e"])
def test_a_fused_model_is_wrapped_as_well(build_family, picture, name):
    detector = build_family("ultralytics", name).detector
    fused = copy.deepcopy(detector.model).fuse(verbose=False)
    again = ssgc.wrap_detector(fused, image_size=128, score_threshold=0.0, max_detections=25)
    expected, found = detector.detect(picture)[0], again.detect(picture)[0]
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-3, rtol=1e-3)
    pixels = picture.clone().requires_grad_()
    score = ssgc.InstanceScoreWrapper(again, found, "logit")(pixels)[0, 0]
    assert torch.autograd.grad(score, pixels)[0].abs().max() > 0


def test_the_head_is_used_as_it_is_set(build_family, picture):
    one_to_one = build_family("ultralytics", "yolo26n-e2e").detector
    from detectors.ultralytics_families import choose_head

    model = copy.deepcopy(one_to_one.model)
    detector = ssgc.wrap_detector(model, image_size=128, score_threshold=0.0, max_detections=25)
    assert torch.equal(detector.detect(picture)[0].boxes, one_to_one.detect(picture)[0].boxes)
    choose_head(model, one_to_one=False)
    assert not torch.equal(detector.detect(picture)[0].boxes, one_to_one.detect(picture)[0].boxes)


def test_anchors_made_in_inference_mode_are_made_anew(yolo8, picture):
    canvas, _ = yolo8.preprocess(picture)
    head = yolo8.model.model[-1]
    head.shape = None
    with torch.inference_mode():
        yolo8.model(canvas)
    assert head.anchors.is_inference()
    found = yolo8.detect(picture)[0]
    pixels = picture.clone().requires_grad_()
    left = ssgc.InstanceScoreWrapper(yolo8, found, "left")(pixels)[0, 0]
    assert torch.autograd.grad(left, pixels)[0].abs().max() > 0


def test_models_without_boxes_are_refused(yolo8):
    from ultralytics import YOLO

    with pytest.raises(TypeError, match="the head Classify, which gives no boxes"):
        ssgc.wrap_detector(YOLO("yolov8n-cls.yaml"))


def test_an_exported_model_is_refused(yolo8):
    exported = SimpleNamespace(overrides={}, model="yolov8n.onnx")
    with pytest.raises(TypeError, match=r"got the export yolov8n\.onnx: .*onnx_detector"):
        YoloDetector(exported)


def test_a_missing_extra_says_what_to_install(yolo8, monkeypatch):
    monkeypatch.setitem(sys.modules, "ultralytics.utils", None)
    with pytest.raises(ImportError, match=r"AGPL-3.0.*pip install 'captum-ssgc\[ultralytics\]'"):
        _ultralytics.vendor.__wrapped__()


@pytest.mark.slow
def test_importing_the_adapters_imports_no_vendor():
    code = (
        "import sys, captum_ssgc.detectors.ultralytics_yolo, captum_ssgc.detectors\n"
        "captum_ssgc.detectors.wrap_detector(lambda images: images)\n"
        "sys.exit(any(name in sys.modules for name in ('ultralytics', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_the_best_measured_layer_of_rt_detr_comes_first(build_family, picture):
    """The finest, as in the RT-DETR of transformers."""
    detector = build_family("ultralytics", "rtdetr-resnet50").detector
    levels = detector.model.model[-1].f
    best = detector.layer_for(detector.detect(picture)[0], 0)
    assert best is detector.model.model[levels[0]]
    assert len(detector.target_layers()) == len(levels) + 1


def test_an_activation_that_another_model_trains_with_changes_no_way(build_family):
    """Models of Ultralytics share one, and a new one begins in training."""
    detector = build_family("ultralytics", "yolo11n").detector
    outputs = detector.local_outputs()
    assert outputs
    shared = detector._head.cv3[0][0][0].act
    shared.train()
    try:
        assert detector.local_outputs() == outputs
        detector.detect(scene(3))
    finally:
        shared.eval()
