from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from captum_ssgc import Detections


def three() -> Detections:
    boxes = torch.arange(12.0).reshape(3, 4)
    return Detections(
        boxes=boxes,
        labels=torch.tensor([2, 0, 1]),
        scores=torch.tensor([0.2, 0.9, 0.5]),
        candidates=torch.tensor([5, 4, 3]),
        regions=boxes + 1,
        levels=torch.tensor([0, 1, 0]),
        class_scores=torch.eye(3),
        image_size=(10, 20),
    )


@pytest.mark.parametrize(
    ("index", "candidates"),
    [(1, [4]), (-1, [3]), ([2, 0], [3, 5]), (slice(0, 2), [5, 4]), ([], [])],
)
def test_choosing_keeps_every_field_together(index, candidates):
    chosen = three()[index]
    assert chosen.candidates.tolist() == candidates
    assert len(chosen) == len(chosen.class_scores) == len(candidates)
    assert chosen.image_size == (10, 20)


def test_above_keeps_the_order():
    assert three().above(0.5).scores.tolist() == pytest.approx([0.9, 0.5])


def test_there_is_no_detection_beyond_the_last():
    with pytest.raises(IndexError, match="detection 3 does not exist: there are 3"):
        three()[3]


@pytest.mark.parametrize("field", ["boxes", "labels", "regions", "class_scores", "levels"])
def test_fields_that_do_not_fit_are_named(field):
    values = {name: getattr(three(), name) for name in three().__dataclass_fields__}
    values[field] = values[field].reshape(-1)[:2]
    with pytest.raises(ValueError, match="Detections"):
        Detections(**values)


@pytest.mark.parametrize("index", [torch.tensor(1), np.int64(1), torch.tensor([1])], ids=repr)
def test_one_index_of_any_kind_is_one_detection(index):
    assert three()[index].candidates.tolist() == three()[1].candidates.tolist()
    with pytest.raises(IndexError, match="detection 5 does not exist"):
        three()[torch.tensor(5)]


def test_a_copy_of_what_was_made_in_inference_mode_can_be_differentiated_with():
    with torch.inference_mode():
        chosen = three().above(0.0)
    assert chosen.scores.is_inference()
    copied = chosen.copy()
    weight = torch.ones(3, requires_grad=True)
    (weight * copied.scores).sum().backward()
    assert torch.equal(weight.grad, copied.scores)


def with_shapes() -> Detections:
    """Three detections with the corners of oriented boxes and soft masks."""
    corners = torch.arange(24.0).reshape(3, 4, 2)
    masks = torch.rand(3, 10, 20, generator=torch.Generator().manual_seed(0))
    return replace(three(), corners=corners, masks=masks)


OPTIONAL = ("corners", "masks")


def test_detections_have_neither_corners_nor_masks_unless_given():
    assert three().corners is None
    assert three().masks is None
    for made in (three()[1], three().copy(), three().to("cpu"), Detections.cat([three(), three()])):
        assert made.corners is made.masks is None


@pytest.mark.parametrize("name", OPTIONAL)
def test_corners_and_masks_stay_with_their_detections(name):
    found = with_shapes()
    everything = getattr(found, name)
    same = {
        "index": (found[1], everything[1:2]),
        "order": (found[[2, 0]], everything[[2, 0]]),
        "none": (found[[]], everything[:0]),
        "above": (found.above(0.5), everything[1:]),
        "cat": (Detections.cat([found[2], found[:1]]), everything[[2, 0]]),
        "copy": (found.copy(), everything),
        "to": (found.to("cpu"), everything),
        "pickle": (pickle.loads(pickle.dumps(found)), everything),
    }
    for way, (made, expected) in same.items():
        got = getattr(made, name)
        assert got.dtype == expected.dtype, way
        assert torch.equal(got, expected), way
    assert found.to("meta").corners.device.type == "meta"
    assert getattr(found.copy(), name).data_ptr() != everything.data_ptr()


def test_masks_may_be_of_two_values():
    found = replace(with_shapes(), masks=with_shapes().masks > 0.5)
    assert found[[1]].masks.dtype == torch.bool


@pytest.mark.parametrize("order", [1, -1])
def test_what_one_part_lacks_the_whole_lacks(order):
    parts = [with_shapes(), replace(with_shapes(), masks=None)][::order]
    joined = Detections.cat(parts)
    assert joined.masks is None
    assert joined.corners.shape == (6, 4, 2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("corners", torch.zeros(3, 8)),
        ("corners", torch.zeros(2, 4, 2)),
        ("masks", torch.ones(3, 9, 20)),
    ],
)
def test_corners_and_masks_that_do_not_fit_are_named(name, value):
    with pytest.raises(ValueError, match=f"Detections.{name}: expected shape .* or None, got"):
        replace(three(), **{name: value})
