from __future__ import annotations

import pytest
import torch
import torchvision

import captum_ssgc as ssgc
from captum_ssgc.benchmark.matching import chosen, label_map, matched


def detector(label_names=None):
    return ssgc.wrap_detector(lambda images: None, label_names=label_names)


def torchvision_detector(classes):
    model = torchvision.models.detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=classes
    )
    return ssgc.wrap_detector(model.eval())


def detections(boxes, labels, scores):
    count = len(boxes)
    return ssgc.Detections(
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor(labels),
        scores=torch.tensor(scores),
        candidates=torch.arange(count),
        regions=torch.zeros(count, 4),
        levels=torch.zeros(count, dtype=torch.int64),
        class_scores=torch.zeros(count, 3),
        image_size=(100, 100),
    )


def test_names_come_before_numbers():
    names = ["tennis-racket", "Traffic light", "cat"]
    categories = {1: "cat", 7: "dog", 10: "traffic light", 43: "tennis racket"}
    found = label_map(categories, detector(names), 3)
    assert found.rule == "by name"
    assert found.labels == {1: 2, 10: 1, 43: 0}
    assert found.of(torch.tensor([43, 7, 1])).tolist() == [0, -1, 2]


@pytest.mark.parametrize("names", [None, ["chat", "chien"]], ids=["no names", "other names"])
def test_as_many_labels_as_categories_go_by_position(names):
    found = label_map({90: "dog", 3: "cat"}, detector(names), 2)
    assert found.rule.startswith("by position")
    assert found.labels == {3: 0, 90: 1}


def test_labels_that_cover_the_ids_are_ids():
    found = label_map({1: "person", 90: "toothbrush"}, detector(), 91)
    assert found.rule.startswith("by id")
    assert found.labels == {1: 1, 90: 90}


def test_labels_that_fit_in_no_way_are_refused():
    with pytest.raises(ValueError, match=r"5 labels and the 2 categories .*label_names"):
        label_map({1: "cat", 90: "dog"}, detector(), 5)


@pytest.mark.parametrize(
    ("categories", "classes", "labels"),
    [
        ({1: "person", 90: "toothbrush"}, 91, {1: 1, 90: 90}),
        ({1: "cat", 2: "dog"}, 3, {1: 1, 2: 2}),
        ({4: "cat", 9: "dog"}, 3, {4: 1, 9: 2}),
    ],
    ids=["COCO", "own, numbered as labels", "own, numbered otherwise"],
)
def test_torchvision_counts_the_background(categories, classes, labels):
    assert label_map(categories, torchvision_detector(classes), classes).labels == labels


@pytest.mark.parametrize("classes", [6, 7, 91])
def test_category_0_is_never_the_background(classes):
    categories = {number: f"thing {number}" for number in range(6)}
    with pytest.raises(ValueError, match=r"category 0 .*'thing 0', would be the background"):
        label_map(categories, torchvision_detector(classes), classes)
    named = torchvision_detector(7)
    named.label_names = ("__background__", *categories.values())
    assert label_map(categories, named, 7).labels == {n: n + 1 for n in range(6)}
    assert label_map(categories, detector(), 6).labels == {n: n for n in range(6)}


def test_detections_above_the_threshold_best_first():
    found = detections([[0, 0, 1, 1]] * 4, [0] * 4, [0.6, 0.9, 0.61, 0.95])
    assert chosen(found, 0.6, None) == [3, 1, 2]
    assert chosen(found, 0.6, 2) == [3, 1]
    assert chosen(found, 0.99, None) == []


SQUARE = [10.0, 10.0, 20.0, 20.0]
NEAR = [10.0, 10.0, 20.0, 18.0]  # IoU with SQUARE: 0.8


def match(found, boxes, labels, crowd=None, iou_above=0.7):
    crowd = torch.tensor(crowd or [False] * len(boxes), dtype=torch.bool)
    boxes = torch.tensor(boxes).reshape(-1, 4)
    return matched(found, boxes, torch.tensor(labels, dtype=torch.int64), crowd, iou_above)


def test_an_annotation_belongs_to_the_best_detection_only():
    found = detections([NEAR, SQUARE], [1, 1], [0.9, 0.8])
    assert match(found, [SQUARE], [1]) == [0, None]


def test_a_detection_takes_the_free_annotation_that_it_overlaps_most():
    found = detections([SQUARE, SQUARE, SQUARE], [1, 1, 1], [0.9, 0.8, 0.7])
    assert match(found, [NEAR, SQUARE], [1, 1]) == [1, 0, None]


def test_classes_must_agree():
    assert match(detections([SQUARE], [1], [0.9]), [SQUARE, NEAR], [2, 1]) == [1]
    assert match(detections([SQUARE], [1], [0.9]), [SQUARE], [-1]) == [None]


def test_crowds_are_never_matched():
    found = detections([SQUARE, SQUARE], [1, 1], [0.9, 0.8])
    assert match(found, [SQUARE, NEAR], [1, 1], crowd=[True, False]) == [1, None]


@pytest.mark.parametrize(("iou_above", "expected"), [(0.79, [0]), (0.8, [None])])
def test_the_overlap_must_be_above_the_threshold(iou_above, expected):
    found = detections([NEAR], [1], [0.9])
    assert match(found, [SQUARE], [1], iou_above=iou_above) == expected


def test_nothing_to_match():
    assert match(detections([SQUARE], [1], [0.9]), [], []) == [None]
    assert match(detections([], [], []), [SQUARE], [1]) == []
