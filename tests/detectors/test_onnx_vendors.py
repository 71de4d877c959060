"""Files that vendors' own exporters write, against the vendors' PyTorch models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from detectors.exported import exported, save
from detectors.family import known_images
from torch import Tensor, nn

import captum_ssgc as ssgc
from captum_ssgc.detector import OUTPUTS
from captum_ssgc.detectors import BlackBoxDetector, CandidateDetector, Letterbox, onnx_detector

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
OPTIONS: dict[str, Any] = {"score_threshold": 0.0, "max_detections": 25}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*all-zero map")
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("yolov8n", {}),
        ("yolo11n", {"dynamic": True}),
        ("yolov8n-seg", {"opset": 12}),
        ("yolo26n", {"end2end": False}),
        ("yolo26n-e2e", {"end2end": True}),
        ("yolov5n", {"opset": 17}),
        ("yolov8n-pose", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "plain",
)
def test_an_export_of_ultralytics_is_its_model(name, settings, tmp_path):
    torch_detector, path = exported(name, tmp_path, **settings)
    detector = onnx_detector(path, **OPTIONS)
    image = known_images((45, 64))[0][:1]
    assert detector.label_names == torch_detector.label_names
    found, wanted = detector.detect(image)[0], torch_detector.detect(image)[0]
    assert len(wanted) == 25 or name == "yolov8n-pose"
    assert len(found) >= len(wanted) >= 5
    found = found[: len(wanted)]  # segmentation drops those with empty masks
    torch.testing.assert_close(found.scores, wanted.scores, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.boxes, wanted.boxes, rtol=0, atol=1e-2)
    for attribute in ("labels", "candidates", "levels"):
        assert getattr(found, attribute).tolist() == getattr(wanted, attribute).tolist()
    options: dict[str, Any] = {"score_threshold": 0.0, "top_k": 3}
    pairs = zip(
        ssgc.explain(detector, image, **options),
        ssgc.explain(torch_detector, image, **options),
        strict=True,
    )
    for one, other in pairs:
        away = (one.heat_map - other.heat_map).abs().max()
        assert float(away) <= 1e-2 * float(other.heat_map.max())
    assert detector.local_outputs() == OUTPUTS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("yolov8n-obb", {}),
        ("yolo26n-obb", {"end2end": False}),
        ("yolo26n-obb-e2e", {"end2end": True}),
    ],
    ids=["v8", "26", "26-end-to-end"],
)
def test_an_export_of_oriented_boxes_is_its_model(name, settings, tmp_path):
    """Its candidates are; the vendor suppresses with another IoU, of Gaussians."""
    torch_detector, path = exported(name, tmp_path, **settings)
    detector = onnx_detector(path, **OPTIONS)
    image = known_images((45, 64))[0][:1]
    with torch.no_grad():
        found, wanted = (
            one.image_candidates(one.run(image))[0] for one in (detector, torch_detector)
        )
        torch.testing.assert_close(found.scores(), wanted.scores(), rtol=0, atol=5e-4)
        rows = torch.arange(found.count)
        corners, expected = (one.corners(rows, torch.zeros_like(rows)) for one in (found, wanted))
        sides = (expected.amax(1) - expected.amin(1)).amax(
            1
        )  # turned by the last digits of an angle
        away = (corners - expected).abs().amax((1, 2))
        assert float((away / sides).max()) < 2e-3
        assert torch.equal(found.levels(rows), wanted.levels(rows))
    assert detector.detect(image)[0].corners.shape[1:] == (4, 2)


class Queries(nn.Module):
    """A transformers model as its exporters call it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        output = self.model(pixel_values=images)
        return output.logits, output.pred_boxes


@pytest.mark.filterwarnings("ignore:.*all-zero map")
@pytest.mark.parametrize(
    ("name", "size", "dynamic"),
    [
        ("detr", (96, 128), False),
        *(
            pytest.param(name, size, dynamic, marks=pytest.mark.slow)
            for name, size, dynamic in (
                ("rt-detr", (96, 128), False),
                ("rt-detr", (96, 128), True),
                ("rt-detr-v2", (96, 128), False),
                ("d-fine", (96, 128), False),
                ("yolos", (64, 96), False),
                ("conditional-detr", (96, 128), False),
            )
        ),
    ],
)
def test_an_export_of_transformers_is_its_model(name, size, dynamic, tmp_path):
    pytest.importorskip("transformers")
    from detectors.transformers_families import SOFTMAX, build

    model = Queries(build(name).detector.model).eval()
    path = save(
        tmp_path / "it.onnx",
        model,
        ["logits", "pred_boxes"],
        (torch.rand(1, 3, *size),),
        opset_version=17,
        dynamic_axes={"images": {0: "n", 2: "h", 3: "w"}} if dynamic else None,
    )
    letterbox = Letterbox(size, stretch=True)
    scores = "softmax" if name in SOFTMAX else None
    detector = onnx_detector(path, size=size, scores=scores, preprocess=letterbox, **OPTIONS)
    assert isinstance(detector, CandidateDetector)
    image = known_images()[0][:1]
    candidates = detector.run(image).candidates
    with torch.no_grad():
        logits, boxes = model(letterbox(image)[0])
    expected = logits.softmax(-1)[..., :-1] if name in SOFTMAX else logits.sigmoid()
    torch.testing.assert_close(candidates.class_scores, expected, rtol=0, atol=1e-3)
    centre, sides = boxes.split(2, -1)
    corners = torch.cat([centre - sides / 2, centre + sides / 2], -1)
    pixels = torch.tensor([size[1], size[0]] * 2)
    torch.testing.assert_close(candidates.boxes / pixels, corners, rtol=0, atol=1e-3)
    found = detector.detect(image)[0]
    wrapper = ssgc.InstanceScoreWrapper(detector, found)
    with torch.no_grad():  # another image must not move the queries of the first
        again = wrapper(torch.cat([image.flip(-1), image]))
    torch.testing.assert_close(again[1], found.scores, rtol=0, atol=1e-5)
    assert bool((again[0] != again[1]).all())
    assert detector.target_layers()
    [entry] = ssgc.explain(detector, image, score_threshold=0.0, top_k=1, method="odam")
    assert bool(entry.heat_map.isfinite().all())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ssdlite", "retinanet"])
def test_exports_of_torchvision(name, tmp_path):
    """SSD decodes all anchors before it selects; RetinaNet only those that it selected."""
    from torchvision.models import detection

    torch.manual_seed(0)
    if name == "ssdlite":
        model = detection.ssdlite320_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=5, score_thresh=0.0
        ).eval()
        size = (320, 320)
    else:
        model = detection.retinanet_resnet50_fpn(
            weights=None, weights_backbone=None, num_classes=5, score_thresh=0.0, min_size=96,
            max_size=160,
        ).eval()  # fmt: skip
        size = (96, 128)
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    names = ["boxes", "scores", "labels"]
    path = save(tmp_path / "it.onnx", model, names, ([image[0]],), opset_version=16)  # type: ignore[arg-type]
    detector = onnx_detector(path, score_threshold=0.0, max_detections=300)
    assert isinstance(detector, CandidateDetector if name == "ssdlite" else BlackBoxDetector)
    with torch.no_grad():
        [wanted] = model([image[0]])
    if name == "ssdlite":
        candidates = detector.run(image).candidates
        assert len(detector.level_layers()) == 6
        for box, score, label in zip(*(wanted[key] for key in names), strict=True):
            same = (candidates.boxes[0] - box).abs().amax(-1) < 1e-2
            away = (candidates.class_scores[0, :, label] - score).abs()[same]
            assert float(away.min()) < 1e-4
        assert float(candidates.class_scores[..., 0].max()) == 0.0
    else:
        found = detector.detect(image)[0]
        torch.testing.assert_close(found.scores, wanted["scores"], rtol=0, atol=1e-5)
        torch.testing.assert_close(found.boxes, wanted["boxes"], rtol=0, atol=1e-2)
