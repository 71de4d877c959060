"""Roboflow's rfdetr: equal to ``predict()``, and what cannot be explained is refused."""

from __future__ import annotations

import pytest
import torch
from detectors import rfdetr_families as families
from detectors.family import scene
from detectors.test_recommended_layers import assert_layers_lead_to_scores

import captum_ssgc as ssgc
from captum_ssgc.detectors import RFDETRDetector

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(vendor_settings):
    return families.model_of("rf-detr-nano")


@pytest.mark.parametrize("name", ["rf-detr-nano", "rf-detr-seg"])
def test_detections_and_masks_are_those_of_predict(build_family, picture, name):
    family = build_family("rfdetr", name)
    batch = torch.cat([picture, scene(9)])
    for ours, theirs in zip(family.detector.detect(batch), family.on_canvas(batch), strict=True):
        assert len(ours) >= 5
        assert (ours.masks is not None) == (name == "rf-detr-seg") == ("masks" in theirs)
        for field, expected in theirs.items():
            assert torch.equal(getattr(ours, field), expected)


def test_thresholds_leave_out_what_predict_leaves_out(build_family, picture):
    segmented = build_family("rfdetr", "rf-detr-seg")
    scores = segmented.detector.detect(picture)[0].scores
    threshold = float(scores[len(scores) // 2])
    detector = ssgc.wrap_detector(families.model_of("rf-detr-seg"), score_threshold=threshold)
    found = detector.detect(picture)[0]
    assert torch.equal(found.scores, scores[scores > threshold])
    assert len(found.masks) == len(found)


def test_the_tokens_of_detections_stay_in_their_places(build_family, picture):
    detector = build_family("rfdetr", "rf-detr-nano").detector
    found = detector.detect(picture)[0]
    with torch.no_grad():
        free, kept = detector.run(scene(8)), detector.run(scene(8), [found])
    places, tokens = found.candidates % 10, found.candidates // 10
    assert not torch.equal(free.tokens[0, places], tokens), "the image must change the choice"
    assert torch.equal(kept.tokens[0, places], tokens)


def test_the_recommended_layer_runs_once_and_leads_to_the_score(build_family, picture):
    detector = build_family("rfdetr", "rf-detr-nano").detector
    assert isinstance(detector, RFDETRDetector)
    assert list(detector.target_layers()) == ["backbone.0.projector.stages.0"]
    assert_layers_lead_to_scores(detector, picture)


def test_names_are_the_models_own_where_they_fit(model, monkeypatch):
    assert ssgc.wrap_detector(model).label_names is None  # 80 of COCO for four classes
    monkeypatch.setattr(model.model, "class_names", ["ant", "bee", "cat", "dog"])
    assert ssgc.wrap_detector(model).label_names == ("ant", "bee", "cat", "dog")
    named = ssgc.wrap_detector(model, label_names=["a", "b", "c", "d"])
    assert named.label_names == ("a", "b", "c", "d")
    with pytest.raises(ValueError, match="expected 4 names"):
        ssgc.wrap_detector(model, label_names=["a", "b"])


def test_labels_of_coco_are_category_numbers():
    names = ssgc.wrap_detector(families.model_of("rf-detr-nano", num_classes=90)).label_names
    assert len(names) == 91
    assert (names[1], names[18], names[90]) == ("person", "dog", "toothbrush")


def test_a_compiled_network_is_refused(model, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(model, "_is_optimized_for_inference", True)
        with pytest.raises(ValueError, match=r"remove_optimized_model\(\)"):
            ssgc.wrap_detector(model)
    monkeypatch.setattr(model.model, "model", None)
    with pytest.raises(ValueError, match="compiled one, which has no layers"):
        ssgc.wrap_detector(model)


def test_a_keypoint_model_is_refused(model, monkeypatch):
    monkeypatch.setitem(model.model_config.__dict__, "use_grouppose_keypoints", True)
    with pytest.raises(TypeError, match="gives keypoints and scores detections by them"):
        ssgc.wrap_detector(model)


def test_another_canvas_is_refused(model, monkeypatch):
    def predict(image, **options):
        model.model.model(torch.zeros(1, 3, 96, 96))

    monkeypatch.setattr(model, "predict", predict)
    with pytest.raises(ValueError, match="makes another canvas than this adapter knows"):
        ssgc.wrap_detector(model)


def test_an_unfinished_mode_becomes_that_of_predict():
    fresh = families.model_of("rf-detr-nano")
    fresh.model.model.train()
    detector = ssgc.wrap_detector(fresh)
    detector.check_ready()
