"""Fields of a FiftyOne sample, out and in, against the package itself where it is installed."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from exchange.same_detections import SIZE, assert_same

from captum_ssgc import Detections

NAMES = ["cat", "dog", "bird", "fish"]


class Label(SimpleNamespace):
    """Stands for a label of FiftyOne: its keywords as attributes."""

    label = bounding_box = confidence = mask = None

    def get_mask(self):
        return self.mask


@pytest.fixture(params=["installed", "stand-in"])
def fiftyone(request, monkeypatch):
    if request.param == "installed":
        return pytest.importorskip("fiftyone")
    stand_in = SimpleNamespace(**dict.fromkeys(("Detection", "Detections", "Heatmap"), Label))
    monkeypatch.setitem(sys.modules, "fiftyone", stand_in)
    return stand_in


def test_fields(explained, fiftyone):
    fields = explained.to_fiftyone("odam", field="found")
    assert list(fields) == ["found", *(f"found_heat_map_{number}" for number in (1, 2, 3))]
    for row, (label, one) in enumerate(zip(fields["found"].detections, explained[1::2])):
        left, top, right, bottom = one.box.tolist()
        size = [(right - left) / 400, (bottom - top) / 320]
        assert label.bounding_box == pytest.approx([left / 400, top / 320, *size])
        assert (label.label, label.method, label.layer) == (one.label, "odam", one.layer)
        assert label.confidence == pytest.approx(one.score)
        assert label.energy_in_box == one.energy_in_box()
        assert label.detected is True
        assert label.heat_map == f"found_heat_map_{row + 1}"
        heat = fields[label.heat_map]
        assert np.array_equal(heat.map, one.heat_map)
        assert heat.range == [0.0, float(one.heat_map.max())]


def test_a_sample_takes_them(explained, tmp_path):
    fiftyone = pytest.importorskip("fiftyone")
    sample = fiftyone.Sample(filepath=str(tmp_path / "photo.png"))
    for name, label in explained.to_fiftyone().items():
        sample[name] = label
    assert len(sample["explanations"].detections) == 3
    assert sample["explanations_heat_map_2"].map.shape == (320, 400)
    assert sample["explanations"].detections[0].energy_in_box == explained[0].energy_in_box()


def test_back(detections, fiftyone):
    there = detections.to_fiftyone(NAMES)
    assert [one.label for one in there.detections] == ["bird", "cat", "bird"]
    found = Detections.from_fiftyone(there, SIZE, NAMES)
    assert_same(found, detections)
    assert torch.equal(found.masks, detections.masks >= 0.5)
    assert found.corners is None
    expected = torch.zeros(3, 4)
    expected[[0, 1, 2], [2, 0, 2]] = detections.scores
    assert torch.equal(found.class_scores, expected)
    assert Detections.from_fiftyone(there, SIZE, NAMES, 9).class_scores.shape == (3, 9)
    numbered = detections.to_fiftyone()
    assert [one.label for one in numbered.detections] == ["2", "0", "2"]
    assert_same(Detections.from_fiftyone(numbered, SIZE), detections)
    assert_same(Detections.from_fiftyone(numbered, SIZE, NAMES), detections)


def test_explanations_come_back_as_detections(explained, fiftyone):
    names = sorted({one.label for one in explained})
    found = Detections.from_fiftyone(explained.to_fiftyone()["explanations"], (320, 400), names)
    assert [names[label] for label in found.labels] == [one.label for one in explained[::2]]
    torch.testing.assert_close(found.boxes, torch.stack([one.box for one in explained[::2]]))
    assert found.scores.tolist() == pytest.approx([one.score for one in explained[::2]])


def test_nothing_found(detections, fiftyone):
    assert len(Detections.from_fiftyone(detections[:0].to_fiftyone(NAMES), SIZE, NAMES)) == 0


@pytest.mark.parametrize(
    ("box", "mask", "expected"),
    [
        ([0.1, 0.2, 0.2, 0.3], [[1]], (slice(4, 10), slice(3, 9))),
        ([0.1, 0.2, 0.2, 0.3], [[0, 255]], (slice(4, 10), slice(6, 9))),
        ([0.1, 0.2, 0.01, 0.01], [[1]], (slice(4, 5), slice(3, 4))),
        ([-0.1, 0.9, 0.3, 0.4], [[1]], (slice(18, 20), slice(0, 6))),
        ([0.99, 0.99, 0.1, 0.1], [[1]], (slice(19, 20), slice(29, 30))),
    ],
    ids=["stretched", "half", "less than a pixel", "beyond the image", "in the corner"],
)
def test_masks_fill_their_boxes(fiftyone, box, mask, expected):
    one = fiftyone.Detection(
        label="cat", bounding_box=box, confidence=0.5, mask=np.array(mask, dtype=np.uint8)
    )
    found = Detections.from_fiftyone(fiftyone.Detections(detections=[one]), SIZE, NAMES)
    pixels = torch.zeros(1, *SIZE, dtype=torch.bool)
    pixels[0][expected] = True
    assert torch.equal(found.masks, pixels)


@pytest.mark.parametrize("start", [0.25, 0.265625])
def test_masks_are_where_fiftyone_draws_them(start):
    """Also where boxes do not end between pixels; shares are such that none is rounded."""
    fiftyone = pytest.importorskip("fiftyone")
    mask = np.random.default_rng(0).integers(0, 2, (8, 16), dtype=np.uint8)
    one = fiftyone.Detection(
        label="cat", bounding_box=[start, start, 0.5, 0.5], confidence=0.5, mask=mask
    )
    found = Detections.from_fiftyone(fiftyone.Detections(detections=[one]), (16, 32), NAMES)
    drawn = one.to_segmentation(frame_size=(32, 16)).mask
    assert np.array_equal(drawn != 0, found.masks[0])


def test_masks_in_files(detections, tmp_path):
    pytest.importorskip("fiftyone")
    there = detections.to_fiftyone(NAMES)
    for number, one in enumerate(there.detections):
        one.export_mask(str(tmp_path / f"{number}.png"), update=True)
        assert one.mask is None
    found = Detections.from_fiftyone(there, SIZE, NAMES)
    assert torch.equal(found.masks, detections.masks >= 0.5)


def test_without_a_mask_of_each_there_are_none(detections, fiftyone):
    there = detections.to_fiftyone(NAMES)
    there.detections[1].mask = None
    assert Detections.from_fiftyone(there, SIZE, NAMES).masks is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"confidence": None}, r"confidence: .* explain\(model, image, boxes="),
        ({"label": None}, "label: expected those of detections"),
        ({"label": "cow"}, "with 'cow' among them, got cat, dog, bird, fish"),
        ({"label": "7"}, "labels: expected 0 to 3, got 0 to 7"),
        ({"bounding_box": None}, r"detections\[2\]: expected a bounding_box"),
        ({"bounding_box": [0.1, 0.2]}, r"detections\[2\]: expected a bounding_box .* got"),
        ({"mask": np.zeros((2, 2, 3))}, r"mask: expected one \(h, w\) .* \(2, 2, 3\)"),
    ],
    ids=["score", "no label", "unknown", "number", "3D", "half a box", "colour"],
)
def test_what_does_not_fit(detections, fiftyone, change, message):
    there = detections.to_fiftyone(NAMES)
    for name, value in change.items():
        setattr(there.detections[2], name, value)
    with pytest.raises(ValueError, match=message):
        Detections.from_fiftyone(there, SIZE, NAMES)


def test_what_is_no_detections(detections, fiftyone):
    with pytest.raises(TypeError, match=r"sample\[field\] gives them, got NoneType"):
        Detections.from_fiftyone(None, SIZE)
    there = detections.to_fiftyone(NAMES)
    with pytest.raises(ValueError, match="expected 'bird' once, got several"):
        Detections.from_fiftyone(there, SIZE, ["cat", "bird", "bird"])
    with pytest.raises(ValueError, match="with 'bird' among them, got none"):
        Detections.from_fiftyone(there, SIZE)
