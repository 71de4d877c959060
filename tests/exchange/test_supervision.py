"""``supervision.Detections``, out and in, against the package itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from exchange.same_detections import SIZE, assert_same

from captum_ssgc import Detections

sv = pytest.importorskip("supervision")
NAMES = ["cat", "dog", "bird", "fish"]


def test_out(detections):
    maps = torch.rand(3, *SIZE)
    found = detections.to_supervision(NAMES, maps)
    assert np.array_equal(found.xyxy, detections.boxes.numpy())
    assert found.class_id.tolist() == [2, 0, 2]
    assert found.confidence.tolist() == detections.scores.tolist()
    assert found.data["class_name"].tolist() == ["bird", "cat", "bird"]
    assert np.array_equal(found.data["heat_map"], maps.numpy())
    assert np.array_equal(found.data[sv.config.ORIENTED_BOX_COORDINATES], detections.corners)
    assert np.array_equal(found.mask, detections.masks.numpy() >= 0.5)


def test_maps_follow_their_detections(detections):
    maps = torch.rand(3, 1, *SIZE)
    found = detections.to_supervision(heat_maps=maps)
    assert np.array_equal(found[1:].data["heat_map"], maps[1:, 0])
    assert np.array_equal(found[found.class_id == 0].data["heat_map"], maps[1:2, 0])
    merged = sv.Detections.merge([found[2], found[0]])
    assert np.array_equal(merged.data["heat_map"], maps[[2, 0], 0])


def test_it_can_be_drawn(detections):
    found = detections.to_supervision(NAMES)
    scene = np.zeros((*SIZE, 3), dtype=np.uint8)
    for annotator in (sv.BoxAnnotator(), sv.OrientedBoxAnnotator(), sv.MaskAnnotator()):
        assert annotator.annotate(scene.copy(), found).any()


def test_back(detections):
    found = Detections.from_supervision(detections.to_supervision(NAMES), SIZE, class_count=4)
    assert_same(found, detections)
    assert torch.equal(found.corners, detections.corners)
    assert torch.equal(found.masks, detections.masks >= 0.5)
    expected = torch.zeros(3, 4)
    expected[[0, 1, 2], [2, 0, 2]] = detections.scores
    assert torch.equal(found.class_scores, expected)
    assert Detections.from_supervision(detections.to_supervision(), SIZE).class_scores.shape[1] == 3


def test_nothing_found(detections):
    none = replace(detections[:0], corners=None, masks=None)
    assert_same(Detections.from_supervision(none.to_supervision(NAMES), SIZE), none)
    empty = sv.Detections.empty()
    assert len(Detections.from_supervision(empty, SIZE)) == 0


def test_what_does_not_fit(detections):
    found = detections.to_supervision()
    with pytest.raises(ValueError, match=r"confidence: .* got none in supervision\.Detections"):
        Detections.from_supervision(replace(found, confidence=None), SIZE)
    with pytest.raises(ValueError, match=r"class_id: .* explain\(model, image, boxes="):
        Detections.from_supervision(replace(found, class_id=None), SIZE)
    with pytest.raises(ValueError, match="labels: expected 0 to 1, got 0 to 2"):
        Detections.from_supervision(found, SIZE, class_count=2)
    with pytest.raises(ValueError, match="heat_map: expected one for each of 3 boxes, got 2"):
        detections.to_supervision(heat_maps=torch.rand(2, *SIZE))
    with pytest.raises(ValueError, match=r"Detections.masks: expected shape \(3, 9, 9\)"):
        Detections.from_supervision(found, (9, 9))


def test_explanations(explained):
    found = explained.to_supervision()
    first = explained[::2]
    assert len(found) == 3
    assert np.array_equal(found.xyxy, torch.stack([one.box for one in first]))
    assert found.class_id.tolist() == [one.label_index for one in first]
    assert found.data["class_name"].tolist() == [one.label for one in first]
    assert found.data["method"].tolist() == ["ssgrad-cam++"] * 3
    assert found.data["energy_in_box"].tolist() == [one.energy_in_box() for one in first]
    assert np.array_equal(found.data["heat_map"], torch.stack([one.heat_map for one in first]))
    odam = explained.to_supervision("odam")
    assert np.array_equal(odam.data["heat_map"][2], explained[5].heat_map)
    with pytest.raises(ValueError, match=r"ssgrad-cam\+\+, odam, got 'd-rise'"):
        explained.to_supervision("d-rise")
    assert explained[:0].to_supervision().data["heat_map"].shape == (0, 320, 400)
