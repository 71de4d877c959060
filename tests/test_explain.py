from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import captum_ssgc as ssgc
from captum_ssgc import NoDetectionError, explain


def test_every_detection_has_the_map_of_the_wrapper(faster_rcnn, image):
    found = explain(faster_rcnn, image, score_threshold=0.0, top_k=6)
    detector = ssgc.wrap_detector(faster_rcnn)
    detections = detector.detect(image)[0]
    wrapper = ssgc.InstanceScoreWrapper(detector, detections)
    assert len(found) == 6
    for explanation in found:
        layer = detector.layer_for(detections, explanation.index)
        expected = ssgc.SSGradCAMPlusPlus(wrapper, layer).attribute(
            image, target=explanation.index, interpolate_mode="bilinear"
        )[0, 0]
        scale = float(expected.max())
        torch.testing.assert_close(explanation.heat_map, expected, rtol=1e-3, atol=1e-4 * scale)
        assert explanation.layer == detector.layer_name(layer)
        assert explanation.score == float(detections.scores[explanation.index])
        assert torch.equal(explanation.box, detections.boxes[explanation.index])


def test_one_forward_serves_all_detections(faster_rcnn, image):
    calls = []
    handle = faster_rcnn.backbone.register_forward_hook(lambda *args: calls.append(1))
    explain(faster_rcnn, image, score_threshold=0.0)
    handle.remove()
    assert len(calls) == 1


def test_best_first_and_no_more_than_asked(faster_rcnn, image):
    scores = [e.score for e in explain(faster_rcnn, image, score_threshold=0.0, top_k=7)]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 7


def test_the_threshold_is_inclusive(blobs):
    image = torch.zeros(1, 3, 8, 8)
    image[:, 0] = 0.5
    found = explain(blobs, image, layer="fine", score_threshold=0.5, top_k=2)
    assert [e.score for e in found] == [0.5, 0.5]


@pytest.mark.filterwarnings("ignore:.*all-zero map")  # of the other level
def test_all_kinds_of_image_sources(blobs, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (16, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    tensor = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    sources = [tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(pixels), pixels, tensor]
    maps = [
        explain(blobs, source, layer="fine", score_threshold=0.1)[0].heat_map for source in sources
    ]
    assert maps[0].shape == (16, 24)
    assert all(torch.equal(one, maps[0]) for one in maps)


@pytest.mark.filterwarnings("ignore:.*all-zero map")  # of the other level
def test_label_names_are_used(blobs):
    detector = ssgc.wrap_detector(blobs, label_names=["cat", "dog"])
    image = torch.full((1, 3, 8, 8), 0.9)
    assert explain(detector, image, layer="fine")[0].label == "dog"


@pytest.mark.filterwarnings("ignore:.*all-zero map")  # at the levels that do not own it
def test_several_layers_are_joined_in_image_pixels(blobs):
    image = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    both = explain(blobs, image, layer=["fine", "coarse"], score_threshold=0.0, mask=None)
    for name in ("fine", "coarse"):
        one = explain(blobs, image, layer=name, score_threshold=0.0, mask=None, top_k=1)[0]
        assert torch.all(both[0].heat_map >= one.heat_map)


def test_energy_in_the_box_is_a_share():
    heat_map = torch.zeros(10, 10)
    heat_map[2:4, 2:4] = 1.0
    heat_map[8, 8] = 4.0
    explanation = ssgc.Explanation(
        0, "a", 0, 0.9, torch.tensor([1.6, 1.6, 5.0, 5.0]), heat_map, "ssgrad-cam++", "layer"
    )
    assert explanation.energy_in_box() == 0.5


def test_nothing_detected_says_the_highest_score(blobs):
    image = torch.full((1, 3, 8, 8), 0.4)
    with pytest.raises(
        NoDetectionError, match=r"at least 0\.5 \(the highest score is 0\.400\)"
    ) as e:
        explain(blobs, image, layer="fine")
    assert e.value.highest_score == pytest.approx(0.4)


def test_nothing_at_all_is_said(blobs):
    with pytest.raises(NoDetectionError, match="nothing at all"):
        explain(blobs, torch.zeros(1, 3, 8, 8), layer="fine")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "grad-cam+++"}, ValueError, "method: expected one of .*ssgrad-cam"),
        ({"layer": "backbone.layer9"}, ValueError, r"no layer 'backbone.layer9' .*; use one of"),
        ({"layer": torch.nn.ReLU()}, ValueError, r"no layer ReLU \(a module, but"),
        ({"output": "probability"}, ValueError, "output: expected one of score, logit"),
    ],
)
def test_bad_options_are_named(faster_rcnn, image, options, error, message):
    with pytest.raises(error, match=message):
        explain(faster_rcnn, image, score_threshold=0.0, **options)


def test_a_model_in_training_mode_is_refused(blobs):
    blobs.train()
    with pytest.raises(ValueError, match="training mode"):
        explain(blobs, torch.zeros(1, 3, 8, 8), layer="fine")


@pytest.mark.parametrize("method", ["odam", "d-rise"])
def test_a_threshold_below_the_detectors_own_says_so(blobs, method):
    image = torch.zeros(1, 3, 8, 8)
    image[:, 0] = 0.5
    strict = ssgc.wrap_detector(blobs, score_threshold=0.9)
    options = {"layer": "fine"} if method == "odam" else {}
    with pytest.raises(NoDetectionError, match="a threshold of its own") as caught:
        explain(strict, image, method, score_threshold=0.1, **options)
    assert caught.value.highest_score == pytest.approx(0.5)
    with pytest.raises(NoDetectionError, match="lower score_threshold") as caught:
        explain(strict, image, method, score_threshold=0.8, **options)
    assert caught.value.highest_score == pytest.approx(0.5)


def test_a_layer_of_another_level_is_named_with_the_right_one(faster_rcnn, image):
    """Of the image's detections some may belong to it, so it is no error."""
    detector = ssgc.wrap_detector(faster_rcnn)
    levels = detector.detect(image)[0].levels
    other = int(levels[0]) + 1
    with pytest.warns(UserWarning, match=f"is pyramid level {other}, but the score of this"):
        explain(detector, image, layer=detector.level_layers()[other], score_threshold=0.0, top_k=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"top_k": 0}, "top_k: expected at least 1"), ({"layer": []}, "layer: expected at least one")],
    ids=["top_k", "layer"],
)
def test_nothing_asked_for_is_an_error(faster_rcnn, image, options, message):
    with pytest.raises(ValueError, match=message):
        explain(faster_rcnn, image, score_threshold=0.0, **options)


def test_detections_chosen_in_inference_mode(faster_rcnn, image):
    detector = ssgc.wrap_detector(faster_rcnn)
    with torch.inference_mode():
        found = detector.detect(image)[0].above(0.0)
    wrapper = ssgc.InstanceScoreWrapper(detector, found)
    wrapper(image.clone().requires_grad_())[0, 0].backward()


@pytest.mark.filterwarnings("ignore:.*all-zero map")  # of the other level
def test_names_of_one_call_leave_the_callers_detector_alone(blobs):
    detector = ssgc.wrap_detector(blobs, label_names=["green", "red"])
    image = torch.ones(1, 3, 8, 8)
    options = {"layer": "fine", "score_threshold": 0.0}
    named = explain(detector, image, label_names={0: "leaf", 1: "brick"}, **options)
    assert {one.label for one in named} <= {"leaf", "brick"}
    assert detector.label_names == ("green", "red")
    assert {one.label for one in explain(detector, image, **options)} <= {"green", "red"}
    with pytest.raises(ValueError, match="label_names: expected 2 names"):
        explain(detector, image, label_names=["one", "two", "three", "four"], **options)


def test_coco_names_by_name(faster_rcnn, image):
    with pytest.raises(ValueError, match="label_names: expected 7 names"):
        explain(faster_rcnn, image, score_threshold=0.0, label_names="coco")
    many = torch.zeros(1, 1, 80)
    many[0, 0, 16] = 0.9

    def dog(images):
        boxes = torch.tensor([[[0.0, 0.0, 6.0, 6.0]]])
        return boxes.expand(len(images), 1, 4), many.expand(len(images), 1, 80)

    options = {"method_options": {"d-rise": {"n_masks": 4}}, "label_names": "coco"}
    (found,) = explain(dog, torch.ones(1, 3, 8, 8), "d-rise", **options)
    assert found.label == "dog"
