"""Each mechanism is forced on a detector made by hand."""

from __future__ import annotations

import pytest
import torch

import captum_ssgc as ssgc
from captum_ssgc.detectors import CandidateDetector

IMAGE = torch.full((1, 3, 20, 60), 0.5)
NAMES = ["cat", "dog", "owl"]


def made(*rows, **options):
    """A detector of ``(x1, x2, score of cat, of dog, of owl)``, all 20 pixels high."""
    boxes = torch.tensor([[left, 0.0, right, 20.0] for left, right, *_ in rows]).reshape(-1, 4)
    scores = torch.tensor([one[2:] for one in rows], dtype=torch.float32).reshape(-1, 3)
    calls = []

    def network(images):
        calls.append(len(images))
        count = len(images)
        return boxes.expand(count, -1, 4), scores.expand(count, -1, 3)

    detector = CandidateDetector(network, label_names=NAMES, **options)
    detector.calls = calls
    return detector


def annotated(*objects):
    boxes = torch.tensor([[left, 0.0, right, 20.0] for left, right, _ in objects]).reshape(-1, 4)
    return boxes, [name for *_, name in objects]


def only(detector, *objects, **options):
    [one] = [
        one
        for one in ssgc.diagnose(detector, IMAGE, *annotated(*objects), **options)
        if one.object_index == 0
    ]
    return one


def test_found_needs_no_mechanism():
    one = only(made((0, 20, 0.9, 0, 0)), (0, 18, "cat"))
    assert (one.kind, one.mechanism, one.detection_index) == ("found", None, 0)
    assert one.iou == pytest.approx(0.9)
    assert str(one) == "cat: found (detection 0, cat 0.900, IoU 0.90)"


def test_one_forward_serves_everything():
    detector = made((0, 20, 0.9, 0, 0), (0, 20, 0.1, 0.8, 0), (40, 60, 0.2, 0, 0))
    ssgc.diagnose(detector, IMAGE, *annotated((0, 20, "dog"), (40, 60, "cat"), (20, 40, "owl")))
    assert detector.calls == [1]


def test_under_the_threshold_by_how_much():
    one = only(made((0, 20, 0.35, 0.1, 0)), (0, 20, "cat"))
    assert (one.kind, one.mechanism) == ("missed", "under the threshold")
    assert one.under_threshold_by == pytest.approx(0.15)
    assert one.candidate.candidates.tolist() == [0]
    assert "under the threshold by 0.150" in str(one)


def test_a_score_of_zero_is_under_the_threshold_by_all_of_it():
    """No pair of a candidate and this class is left, but the candidate is there."""
    one = only(made((0, 20, 0.0, 0.3, 0)), (0, 20, "cat"))
    assert (one.mechanism, one.under_threshold_by) == ("under the threshold", 0.5)
    assert one.candidate.labels.tolist() == [0]
    assert one.candidate.scores.tolist() == [0.0]


def test_the_best_scored_of_those_placed_well_is_looked_at():
    one = only(made((0, 20, 0.2, 0, 0), (0, 11, 0.4, 0, 0), (0, 5, 0.45, 0, 0)), (0, 20, "cat"))
    assert one.candidate.candidates.tolist() == [1]
    assert one.candidate_iou == pytest.approx(0.55)
    assert one.under_threshold_by == pytest.approx(0.1)


def test_suppressed_by_a_detection_of_its_class():
    """Its candidate is well placed and scored, another of its class has the better score."""
    detector = made((0, 30, 0.9, 0, 0), (0, 20, 0.8, 0, 0), (11, 30, 0.7, 0, 0))
    one = only(detector, (0, 19, "cat"), (9, 31, "cat"))
    assert (one.kind, one.mechanism) == ("missed", "suppressed")
    assert one.candidate.candidates.tolist() == [1]
    assert (one.by_index, one.by_label) == (0, "cat")
    assert "suppressed by detection 0, cat 0.900" in str(one)


def test_suppression_by_a_detector_that_suppresses_over_all_classes():
    """The candidate is a cat for certain; nothing of its class is reported."""
    detector = made((0, 20, 0.8, 0, 0), (2, 20, 0, 0.9, 0))
    select = detector.select
    detector.select = lambda raw: [select(raw)[0][[0]]]
    one = only(detector, (0, 20, "cat"), (2, 20, "dog"))
    assert (one.kind, one.mechanism) == ("missed", "suppressed")
    assert (one.by_label, one.by_index) == ("dog", 0)


def test_another_class_of_the_same_candidate_wins():
    one = only(made((0, 20, 0.6, 0.7, 0.1)), (0, 20, "cat"))
    assert (one.kind, one.mechanism) == ("wrong class", "another class wins")
    assert (one.by_label, one.by_index) == ("dog", 0)
    assert one.candidate.labels.tolist() == [0]
    assert one.by.candidates.tolist() == one.candidate.candidates.tolist()


def test_another_class_of_another_candidate_wins():
    one = only(made((0, 20, 0.2, 0.0, 0.0), (0, 19, 0.0, 0.0, 0.9)), (0, 20, "cat"))
    assert (one.kind, one.mechanism, one.by_label) == ("wrong class", "another class wins", "owl")


def test_a_class_that_is_annotated_there_does_not_win():
    """A dog on the cat's place that is a dog is not what the cat is mistaken for."""
    detector = made((0, 20, 0.2, 0.0, 0.0), (0, 19, 0.0, 0.9, 0.0))
    one = only(detector, (0, 20, "cat"), (0, 19, "dog"))
    assert (one.kind, one.mechanism) == ("missed", "under the threshold")


def test_no_candidate_is_placed_well_enough():
    one = only(made((12, 40, 0.9, 0, 0), (15, 60, 0, 0.9, 0)), (0, 20, "cat"))
    assert (one.kind, one.mechanism) == ("badly placed", "badly placed")
    assert one.candidate_iou == pytest.approx(8 / 40)
    assert one.candidate.candidates.tolist() == [0]
    assert "the best has an IoU of 0.20" in str(one)


def test_the_object_s_own_class_comes_first_among_equally_placed():
    one = only(made((12, 40, 0.1, 0.3, 0.2)), (0, 20, "owl"))
    assert one.mechanism == "badly placed"
    assert one.candidate.labels.tolist() == [2]


@pytest.mark.parametrize("rows", [[(40, 60, 0.9, 0, 0)], [(19, 60, 0.9, 0, 0)]], ids=str)
def test_no_candidate_at_all(rows):
    one = only(made(*rows), (0, 20, "cat"))
    assert (one.kind, one.mechanism, one.candidate) == ("missed", "no candidate", None)
    assert str(one) == "cat: missed; no candidate at all"


def test_a_detection_of_two_objects_is_one_of_them():
    detector = made((0, 20, 0.9, 0, 0))
    found = ssgc.diagnose(detector, IMAGE, *annotated((0, 20, "cat"), (2, 20, "cat")))
    assert [one.kind for one in found] == ["found", "missed"]
    assert found[1].mechanism == "covered by another object's detection"
    assert "is the detection of another object" in str(found[1])


@pytest.mark.parametrize("options", [{"max_detections": 1}, {"score_threshold": 0.7}], ids=str)
def test_what_the_detector_drops_by_itself(options):
    one = only(made((0, 20, 0.6, 0, 0), (40, 60, 0.9, 0, 0), **options), (0, 20, "cat"))
    assert (one.kind, one.mechanism, one.by) == ("missed", "dropped", None)


def test_a_detection_under_the_threshold_does_not_count():
    found = ssgc.diagnose(made((0, 20, 0.4, 0, 0)), IMAGE, *annotated(), score_threshold=0.5)
    assert found == []
    one = only(made((0, 20, 0.4, 0, 0)), (0, 20, "cat"), score_threshold=0.4 - 1e-6)
    assert one.kind == "found"


def test_detections_that_belong_to_none_follow_the_objects_best_first():
    detector = made(
        (0, 20, 0.6, 0, 0), (0, 20, 0, 0.8, 0), (40, 60, 0, 0, 0.9), (4, 20, 0.55, 0, 0),
        iou_threshold=0.9,
    )  # fmt: skip
    found = ssgc.diagnose(detector, IMAGE, *annotated((0, 20, "cat")))
    assert [(one.kind, one.label, one.object_index) for one in found] == [
        ("found", "cat", 0),
        ("background", "owl", None),
        ("wrong class", "dog", None),
        ("duplicate", "cat", None),
    ]
    assert [one.detection_index for one in found] == [2, 0, 1, 3]
    assert found[2].iou == 1.0
    assert found[1].iou is None


def test_an_image_without_candidates_or_annotations():
    empty = made()
    assert ssgc.diagnose(empty, IMAGE, *annotated()) == []
    assert only(empty, (0, 20, "cat")).mechanism == "no candidate"
    [one] = ssgc.diagnose(made((0, 20, 0.9, 0, 0)), IMAGE, torch.zeros(0), [])
    assert one.kind == "background"


def test_crowds_are_neither_missed_nor_false():
    detector = made((5, 15, 0.9, 0, 0))
    found = ssgc.diagnose(detector, IMAGE, *annotated((0, 40, "cat")), crowd=torch.tensor([True]))
    assert [(one.kind, one.mechanism) for one in found] == [("ignored", None), ("ignored", None)]


def test_labels_are_names_or_indices():
    detector, (boxes, _) = made((0, 20, 0, 0.9, 0)), annotated((0, 20, "dog"))
    for labels in (["dog"], [1], torch.tensor([1])):
        [one] = ssgc.diagnose(detector, IMAGE, boxes.tolist(), labels)
        assert (one.kind, one.label, one.label_index) == ("found", "dog", 1)


@pytest.mark.parametrize(
    ("boxes", "labels", "options", "error", "message"),
    [
        ({0: 1}, [1], {}, TypeError, "boxes: expected a tensor"),
        ([["0", 0, "x", 1]], [1], {}, TypeError, "in numbers for each box"),
        (torch.zeros(1, 3), [1], {}, ValueError, r"boxes: expected shape \(G, 4\), got \(1, 3\)"),
        (torch.tensor([[5.0, 5, 2, 2]]), [1], {}, ValueError, "box_convert"),
        (torch.tensor([[0.1, 0.2, 0.5, 0.5]]), [1], {}, ValueError, "got shares of it: multiply"),
        (torch.tensor([[900.0, 0, 999, 9]]), [1], {}, ValueError, "row 0, which lies outside"),
        (torch.zeros(1, 4), [1, 2], {}, ValueError, "one for each of 1 boxes, got 2"),
        (torch.zeros(1, 4), ["cow"], {}, ValueError, "knows no 'cow'; expected one of cat, dog"),
        (torch.zeros(1, 4), [3], {}, ValueError, "labels: expected 0 to 2"),
        (torch.zeros(1, 4), [1.5], {}, TypeError, "class indices or names, got 1.5"),
        (torch.zeros(1, 4), [1], {"crowd": torch.zeros(2).bool()}, ValueError, "crowd: expected"),
        (torch.zeros(1, 4), [1], {"crowd": [True]}, TypeError, "crowd: expected a bool"),
        (torch.zeros(1, 4), [1], {"background_iou": 0.6}, ValueError, "background_iou: expected"),
        (torch.zeros(1, 4), [1], {"score_threshold": "x"}, TypeError, "score_threshold: expected"),
        (torch.zeros(1, 4), [1], {"foreground_iou": 2}, ValueError, r"in \[0, 1\]"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(boxes, labels, options, error, message):
    with pytest.raises(error, match=message):
        ssgc.diagnose(made((0, 20, 0.9, 0, 0)), IMAGE, boxes, labels, **options)
