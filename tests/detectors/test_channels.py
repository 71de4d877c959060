"""Models of one and of four channels: thermal, and RGB with depth."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from detectors.family import calibrate, scene, spread
from torch import nn

import captum_ssgc as ssgc
from captum_ssgc._channels import first_channels
from captum_ssgc.detectors import CandidateDetector, Letterbox
from captum_ssgc.metrics import deletion_insertion

SIZE = (45, 64)


def image_of(channels: int) -> torch.Tensor:
    """A smooth image ``(1, channels, *SIZE)``."""
    return torch.cat([scene(3, SIZE), scene(9, SIZE)], 1)[:, :channels].contiguous()


def torchvision_model(channels: int) -> ssgc.Detector:
    """As people do it: another first convolution, and means and deviations of all channels."""
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn as build

    model = build(
        weights=None,
        weights_backbone=None,
        num_classes=4,
        box_score_thresh=0.0,
        box_detections_per_img=6,
        rpn_post_nms_top_n_test=20,
        min_size=64,
        max_size=96,
    )
    first = model.backbone.body["0"][0]
    model.backbone.body["0"][0] = nn.Conv2d(channels, first.out_channels, 3, 2, 1, bias=False)
    model.transform.image_mean = [0.45] * channels
    model.transform.image_std = [0.22] * channels
    model.eval()
    calibrate(model, lambda: model([image_of(channels)[0]]))
    with torch.no_grad():
        model.roi_heads.box_predictor.cls_score.weight.normal_(0.0, 0.5)
    return ssgc.wrap_detector(model)


def ultralytics_model(channels: int) -> ssgc.Detector:
    pytest.importorskip("ultralytics")
    from ultralytics.nn.tasks import DetectionModel

    model = DetectionModel("yolov8n.yaml", ch=channels, nc=4, verbose=False).eval()
    options = {"image_size": 64, "score_threshold": 0.0, "max_detections": 6}
    detector = ssgc.wrap_detector(model, **options)
    canvas = detector.preprocess(image_of(channels))[0]
    calibrate(model, lambda: model(canvas))
    spread([level[-1] for level in model.model[-1].cv3], lambda: model(canvas))
    return detector


def transformers_model(channels: int) -> ssgc.Detector:
    transformers = pytest.importorskip("transformers")
    from detectors.transformers_families import processor_of

    config = transformers.YolosConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=[64, 96],
        patch_size=16,
        num_channels=channels,
        num_detection_tokens=6,
        num_labels=4,
    )
    processor = processor_of(
        "Yolos",
        size={"height": 64, "width": 96},
        image_mean=[0.45] * channels,
        image_std=[0.22] * channels,
        do_pad=False,
    )
    model = transformers.YolosForObjectDetection(config).eval()
    return ssgc.wrap_detector(model, processor, score_threshold=0.0)


class Brightness(nn.Module):
    """Two boxes, each scored by the brightness of what one channel shows there."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU())

    def forward(self, canvas):
        maps = self.features(canvas)
        height, width = canvas.shape[-2:]
        boxes = [[0, 0, width / 2, height], [width / 2, 0, width, height]]
        boxes = canvas.new_tensor(boxes).expand(len(canvas), 2, 4)
        halves = [half.mean((1, 2, 3)) for half in maps.chunk(2, -1)]
        return boxes, torch.stack(halves, 1).sigmoid()[..., None]


def own_model(channels: int) -> ssgc.Detector:
    return CandidateDetector(
        Brightness(channels).eval(),
        preprocess=Letterbox((64, 64)),
        level_layers=["features"],
    )


VENDORS = {
    "own": own_model,
    "torchvision": torchvision_model,
    "ultralytics": ultralytics_model,
    "transformers": transformers_model,
}


CHEAP = [("transformers", 4)]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((vendor, channels), id=f"{vendor}-{channels}", marks=marks)
        for vendor in VENDORS
        for channels in (1, 4)
        for marks in [[] if vendor == "own" or (vendor, channels) in CHEAP else [pytest.mark.slow]]
    ],
)
def case(request, vendor_settings):
    vendor, channels = request.param
    torch.manual_seed(2)
    with np.printoptions():
        made = VENDORS[vendor](channels)
    torch.set_printoptions(profile="default")
    return SimpleNamespace(detector=made, channels=channels, image=image_of(channels))


def test_the_first_convolution_says_how_many(case):
    assert case.detector.channels == case.channels


def test_what_is_detected_is_what_is_scored_and_explained(case):
    found = case.detector.detect(case.image)[0]
    assert len(found) >= 2
    wrapper = ssgc.InstanceScoreWrapper(case.detector, found)
    with torch.no_grad():
        scores = wrapper(case.image)[0]
    torch.testing.assert_close(scores, found.scores, atol=2e-6, rtol=1e-5)
    explained = ssgc.explain(
        case.detector, case.image, ["odam", "d-rise"], score_threshold=0.0, top_k=2,
        output="logit", method_options={"d-rise": {"n_masks": 4, "grid": (2, 2)}},
    )  # fmt: skip
    for one in explained:
        assert one.heat_map.shape == SIZE
    assert max(float(one.heat_map.max()) for one in explained) > 0
    assert explained.overview().axes


def test_pixels_of_all_channels_are_removed(case):
    found = case.detector.detect(case.image)[0][:1]
    maps = {"ramp": torch.linspace(1, 2, SIZE[0] * SIZE[1]).reshape(1, *SIZE)}
    [curves] = deletion_insertion(case.detector, case.image, found, maps, "yamauchi2024").values()
    assert torch.isfinite(curves.deletion["s1"].scores).all()
    assert curves.insertion["s1"].scores.shape[1] == 11


@pytest.mark.parametrize("wrong", [2, 3, 5])
def test_another_number_of_channels_is_refused(case, wrong):
    shape = f"expected shape \\(N, {case.channels}, H, W\\), got \\(1, {wrong}, 45, 64\\)"
    message = f"{shape}: the model takes {case.channels} channels"
    found = case.detector.detect(case.image)[0]
    images = image_of(wrong)
    with pytest.raises(ValueError, match=message):
        case.detector.detect(images)
    with pytest.raises(ValueError, match=message):
        ssgc.InstanceScoreWrapper(case.detector, found)(images)


def test_channels_may_be_stated():
    def network(canvas):
        boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0]]).expand(len(canvas), 1, 4)
        return boxes, canvas[:, 4].mean((1, 2)).reshape(-1, 1, 1)

    detector = ssgc.wrap_detector(network, channels=5)
    assert detector.channels == 5
    assert detector.detect(image_of(5))[0].scores > 0.05
    with pytest.raises(ValueError, match=r"\(N, 5, H, W\), got \(1, 3, 45, 64\)"):
        detector.detect(image_of(3))
    detector.channels = 6
    assert len(detector.detect(image_of(6))) == 1
    with pytest.raises(ValueError, match="channels: expected at least 1, got 0"):
        detector.channels = 0


def test_a_function_may_make_other_channels_of_rgb():
    """A network of one channel behind a function that takes RGB, as before."""
    network = Brightness(1).eval()
    detector = ssgc.wrap_detector(lambda images: network(images.mean(1, keepdim=True)))
    assert detector.detect(image_of(3))[0].scores.shape == (2,)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (nn.Conv2d(7, 8, 3), 7),
        (nn.Sequential(nn.ReLU(), nn.Conv2d(13, 8, 3), nn.Conv2d(8, 8, 1)), 13),
        (nn.Conv2d(12, 8, 3), None),  # a folded RGB image, or 12 channels
        (nn.Conv2d(256, 8, 3), None),  # the first of its kind, not of the network
        (nn.Linear(3, 3), None),
    ],
    ids=["seven", "thirteen", "folded", "deep", "none"],
)
def test_what_a_model_says_of_its_channels(model, expected):
    assert first_channels(model) == expected
