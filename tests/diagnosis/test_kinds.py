"""TIDE's kinds, against the package that its authors published and by hand."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from captum_ssgc.diagnosis import kinds_of

NO_CROWD = torch.zeros(0, dtype=torch.bool)
OF_TIDE = {
    "Cls": "wrong class",
    "Loc": "badly placed",
    "Both": "both",
    "Dupe": "duplicate",
    "Bkg": "background",
    "Miss": "missed",
}


def boxes_near(places, generator, spread):
    noise = (torch.rand(len(places), 4, generator=generator) - 0.5) * spread
    moved = places + noise
    return torch.cat([moved[:, :2], torch.maximum(moved[:, 2:], moved[:, :2] + 2)], 1)


def random_image(seed):
    """Objects that overlap one another, detections at all distances from them, equal scores."""
    generator = torch.Generator().manual_seed(seed)
    count, objects = seed % 23, seed % 7
    corners = torch.rand(objects, 2, generator=generator) * 40
    sides = 10 + torch.rand(objects, 2, generator=generator) * 30
    annotated = torch.cat([corners, corners + sides], 1)
    spots = torch.randint(max(objects, 1), (count,), generator=generator)
    base = annotated[spots] if objects else torch.tensor([[5.0, 5, 30, 30]]).repeat(count, 1)
    boxes = boxes_near(base, generator, [4.0, 20.0, 60.0][seed % 3])
    labels = torch.randint(3, (count,), generator=generator)
    scores = torch.randint(1, 9, (count,), generator=generator) / 10
    of_objects = torch.randint(3, (objects,), generator=generator)
    crowd = torch.rand(objects, generator=generator) < (0.3 if seed % 2 else 0.0)
    return (boxes, labels, scores), (annotated, of_objects), crowd


def xywh(box):
    x, y, right, bottom = box.double().tolist()
    return [x, y, right - x, bottom - y]


@pytest.mark.filterwarnings("ignore")  # of the package and of what it imports
def test_equal_to_the_published_package():
    tidecv = pytest.importorskip("tidecv", exc_type=ImportError)
    images = [random_image(seed) for seed in range(300)]
    truth, found = tidecv.Data("truth"), tidecv.Data("found")
    for number, ((boxes, labels, scores), annotated, crowd) in enumerate(images):
        truth.add_image(number, str(number))
        for box, label, in_crowd in zip(*annotated, crowd.tolist(), strict=True):
            add = truth.add_ignore_region if in_crowd else truth.add_ground_truth
            add(number, int(label), xywh(box))
        for box, label, score in zip(boxes, labels.tolist(), scores.tolist(), strict=True):
            found.add_detection(number, label, score, xywh(box))
    run = tidecv.TIDE().evaluate(truth, found, pos_threshold=0.5, mode=tidecv.TIDE.BOX)
    errors = {error.pred["_id"]: error for error in run.errors if hasattr(error, "pred")}
    missed = {error.gt["_id"] for error in run.error_dict[tidecv.MissedError]}

    seen = Counter()
    for number, (detected, annotated, crowd) in enumerate(images):
        kinds = kinds_of(detected, annotated, crowd)
        theirs = []
        for row, number_of_it in enumerate(found.images[number]["anns"]):
            excused = found.annotations[number_of_it]["used"] is None
            error = errors.get(number_of_it)
            kind = "found" if error is None else OF_TIDE[error.short_name]
            theirs.append("ignored" if excused and row not in kinds.detections_of else kind)
        assert kinds.detections == theirs, number
        of_objects = [place in missed for place in truth.images[number]["anns"]]
        assert [kind == "missed" for kind in kinds.objects] == of_objects, number
        seen.update(kinds.detections + kinds.objects)
    assert set(seen) == {"found", "ignored", *OF_TIDE.values()}
    assert min(seen.values()) >= 20


def kinds(detections, objects, crowd=None):
    """``(x1, x2, label, score)`` and ``(x1, x2, label)``, all of the same height."""
    boxes = torch.tensor([[left, 0.0, right, 10.0] for left, right, *_ in detections])
    annotated = torch.tensor([[left, 0.0, right, 10.0] for left, right, _ in objects])
    crowd = torch.zeros(len(objects)).bool() if crowd is None else torch.tensor(crowd)
    return kinds_of(
        (
            boxes.reshape(-1, 4),
            torch.tensor([one[2] for one in detections], dtype=torch.int64),
            torch.tensor([one[3] for one in detections]),
        ),
        (annotated.reshape(-1, 4), torch.tensor([one[2] for one in objects], dtype=torch.int64)),
        crowd,
    )


@pytest.mark.parametrize(
    ("detection", "kind", "of_object"),
    [
        ((0, 10, 1, 0.9), "found", "found"),
        ((0, 5, 1, 0.9), "found", "found"),  # an IoU of 0.5 is enough
        ((0, 4, 1, 0.9), "badly placed", "badly placed"),
        ((0, 1, 1, 0.9), "badly placed", "badly placed"),  # an IoU of 0.1 is not background
        ((0, 10, 0, 0.9), "wrong class", "wrong class"),
        ((0, 4, 0, 0.9), "both", "missed"),
        ((0, 1, 0, 0.9), "background", "missed"),
        ((10, 20, 1, 0.9), "background", "missed"),
    ],
)
def test_one_detection_and_one_object(detection, kind, of_object):
    got = kinds([detection], [(0, 10, 1)])
    assert got.detections == [kind]
    assert got.objects == [of_object]
    assert got.detections_of == [None if of_object == "missed" else 0]


def test_the_better_score_takes_the_object_and_the_first_of_equals():
    got = kinds([(0, 9, 1, 0.5), (0, 8, 1, 0.9), (0, 10, 1, 0.9)], [(0, 10, 1)])
    assert got.detections == ["duplicate", "found", "duplicate"]
    assert got.detections_of == [1]
    assert got.objects_of == [0, 0, 0]


def test_an_object_is_of_the_best_scored_detection_that_points_to_it():
    got = kinds([(0, 4, 1, 0.6), (0, 10, 0, 0.8), (0, 3, 1, 0.7)], [(0, 10, 1)])
    assert got.detections == ["badly placed", "wrong class", "badly placed"]
    assert got.objects == ["wrong class"]
    assert got.detections_of == [1]


def test_a_crowd_takes_no_detection_and_excuses_those_of_its_class_inside():
    got = kinds([(2, 6, 1, 0.9), (2, 6, 0, 0.8), (8, 18, 1, 0.7)], [(0, 10, 1)], [True])
    assert got.detections == ["ignored", "background", "background"]
    assert got.objects == ["ignored"]
    assert got.detections_of == [None]


def test_no_detections_and_no_objects():
    assert kinds([], [(0, 10, 1)]).objects == ["missed"]
    assert kinds([(0, 10, 1, 0.9)], []).detections == ["background"]
    nothing = kinds([], [])
    assert nothing.detections == nothing.objects == []
