from __future__ import annotations

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
