"""Exact lookup of reported detections among the candidates."""

from __future__ import annotations

from itertools import chain

import pytest
import torch

from captum_ssgc.detectors import _rows
from captum_ssgc.detectors._rows import levels_of, reported_rows, rows_above

SCORES = torch.tensor([[0.9, 0.2], [0.5, 0.9], [0.5, 0.1], [0.9, 0.3], [0.5, 0.1]])
BOXES = torch.tensor(
    [[0, 0, 4, 4], [1, 1, 5, 5], [2, 2, 9, 9], [0, 0, 4, 4], [3, 2, 9, 9]], dtype=torch.float32
)


def rows_of(labels, scores, boxes):
    reported = {
        "labels": torch.tensor(labels),
        "scores": torch.tensor(scores),
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
    }
    return reported_rows(SCORES, reported, lambda rows, labels: BOXES[rows], "Vendor").tolist()


def test_score_label_and_box_decide():
    assert rows_of([1, 0, 0], [0.9, 0.5, 0.5], [BOXES[1].tolist()] + [BOXES[2].tolist()] * 2) == [
        1,
        2,
        2,
    ]
    assert rows_of([0], [0.5], BOXES[4].tolist()) == [4]


def test_of_duplicates_the_first_row_wins():
    assert rows_of([0], [0.9], BOXES[3].tolist()) == [0]


def test_no_detection_gives_no_row():
    assert rows_of([], [], []) == []


def test_a_few_roundings_in_a_box_are_accepted():
    assert rows_of([0], [0.5], [2.0, 2.0, 9.0, 9.00001]) == [2]


@pytest.mark.parametrize(
    ("label", "score", "box"),
    [(0, 0.51, [2, 2, 9, 9]), (1, 0.5, [2, 2, 9, 9]), (0, 0.5, [2, 2, 9, 9.01])],
    ids=["score", "label", "box"],
)
def test_what_is_no_candidate_is_refused(label, score, box):
    with pytest.raises(ValueError, match=r"1 of 2 detections were not found.*as Vendor does"):
        rows_of([0, label], [0.5, score], [BOXES[2].tolist(), box])


def test_a_level_begins_where_the_one_before_ends():
    rows = torch.tensor([0, 5, 6, 7, 8, 9])
    assert levels_of(rows, [6, 2, 2]).tolist() == [0, 0, 1, 1, 2, 2]


def test_rows_above_a_threshold_best_first():
    rows, labels, counts = rows_above(SCORES, 0.2, 0, [5])
    assert rows.tolist() == [0, 1, 3, 1, 2, 4, 3]
    assert labels.tolist() == [0, 1, 0, 0, 0, 0, 1]
    assert counts == [7]
    rows, labels, counts = rows_above(SCORES, 0.2, 1, [5])
    assert (rows.tolist(), labels.tolist(), counts) == ([1, 3], [1, 1], [2])
    assert rows_above(SCORES, 0.9, 0, [5])[0].tolist() == []


@pytest.mark.parametrize("sizes", [[5], [2, 3], [0, 4, 0, 1], [5, 0], [1] * 5])
@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.6, 0.95])
def test_rows_of_several_images_are_those_of_each(sizes, threshold, monkeypatch):
    monkeypatch.setattr(_rows, "MOST_CANDIDATES", 3)
    rows, labels, counts = rows_above(SCORES, threshold, 0, sizes)
    expected, start = [], 0
    for size in sizes:
        own = rows_above(SCORES[start : start + size], threshold, 0, [size])
        expected.append(list(zip((own[0] + start).tolist(), own[1].tolist(), strict=True)))
        start += size
    assert counts == [len(part) for part in expected]
    assert max(counts) <= 3
    assert list(zip(rows.tolist(), labels.tolist(), strict=True)) == [*chain(*expected)]


def test_rows_above_are_ten_thousand_at_most():
    scores = torch.linspace(0.1, 1.0, 2 * 10_001).reshape(-1, 2)
    rows, labels, counts = rows_above(scores, 0.0, 0, [10_001])
    assert counts == [10_000]
    assert torch.equal(scores[rows, labels], scores.flatten().flip(0)[:10_000])
