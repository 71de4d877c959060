from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import captum_ssgc as ssgc
from captum_ssgc.detectors import BlackBoxDetector, Letterbox
from captum_ssgc.metrics import deletion

IMAGE = torch.zeros(1, 3, 20, 30)
BOXES = [[0, 0, 9, 9], [5, 5, 20, 15]]
IMAGE[..., 4:12, 6:18] = 0.8


def brightness(image: np.ndarray) -> Any:
    """One box whose score is its brightness, and one that is never sure; lists, no arrays."""
    score = float(image[4:12, 6:18].mean()) / 255
    return [[6, 4, 18, 12], [0.0, 0.0, 3.0, 3.0]], [score, 0.03], [2, 0]


def as_list(images: Tensor) -> list[Any]:
    return [brightness((255 * one.permute(1, 2, 0)).round().byte().numpy()) for one in images]


def as_dicts(images: Tensor) -> list[Any]:
    names = ("boxes", "scores", "labels")
    return [dict(zip(names, map(torch.tensor, report), strict=True)) for report in as_list(images)]


def as_tensors(images: Tensor) -> Any:
    return tuple(torch.stack(list(map(torch.tensor, parts))) for parts in zip(*as_list(images)))


def as_arrays(images: Tensor) -> Any:
    return tuple(np.stack([np.array(one) for one in parts]) for parts in zip(*as_list(images)))


@pytest.mark.parametrize("batch_size", [None, 1, 2])
@pytest.mark.parametrize("report", [brightness, as_list, as_dicts, as_tensors, as_arrays])
def test_reports_of_any_make_are_detections(report, batch_size):
    takes = "array" if report is brightness else "batch"
    detector = BlackBoxDetector(report, takes=takes, batch_size=batch_size, label_names=["a"] * 3)
    images = torch.cat([IMAGE, IMAGE / 2, IMAGE * 0])
    found = detector.detect(images)
    assert [one.labels.tolist() for one in found] == [[2], [2], []]
    assert [one.scores.tolist() for one in found][:2] == [
        pytest.approx([0.8], abs=1e-6), pytest.approx([0.4], abs=1e-6),
    ]  # fmt: skip
    assert found[0].boxes.tolist() == [[6, 4, 18, 12]]
    assert found[0].class_scores.tolist()[0] == pytest.approx([0, 0, 0.8, 0.2], abs=1e-6)


def test_the_wrapper_finds_the_same_object_again():
    detector = BlackBoxDetector(brightness, takes="array", score_threshold=0.0)
    found = detector.detect(IMAGE)[0]
    wrapper = ssgc.InstanceScoreWrapper(detector, found)
    values = wrapper(torch.cat([IMAGE, IMAGE / 2]))
    torch.testing.assert_close(values, torch.tensor([[0.8, 0.03], [0.4, 0.03]]))
    logits = ssgc.InstanceScoreWrapper(detector, found, "logit")(IMAGE)
    torch.testing.assert_close(logits.sigmoid(), values[:1])
    with pytest.raises(ValueError, match="no candidate whose box"):
        ssgc.InstanceScoreWrapper(detector, found, "left")(IMAGE)


def test_what_is_elsewhere_or_of_another_label_is_not_it():
    reports = iter([
        ([[0, 0, 10, 10]], [0.9], [1]),
        ([[0, 0, 10, 10], [0, 6, 10, 16]], [0.8, 0.7], [0, 1]),
        ([[0, 1, 10, 11], [0, 0, 10, 10]], [0.6, 0.5], [1, 1]),
        ([], [], []),
    ])  # fmt: skip
    detector = BlackBoxDetector(lambda image: next(reports), takes="array")
    wrapper = ssgc.InstanceScoreWrapper(detector, detector.detect(IMAGE)[0])
    assert [float(wrapper(IMAGE)) for _ in range(3)] == pytest.approx([0.0, 0.5, 0.0])


def test_boxes_come_back_from_the_canvas():
    detector = BlackBoxDetector(
        lambda canvas: [([[0, 0, 60, 40]], [0.5], [0])] * len(canvas),
        preprocess=Letterbox((60, 60)),
    )
    assert detector.detect(IMAGE)[0].boxes.tolist() == [[0, 0, 30, 20]]
    assert detector.geometry((20, 30)).scale == (2.0, 2.0)


def test_scores_of_all_classes():
    scores = torch.tensor([[0.1, 0.7], [0.6, 0.3]])
    boxes = torch.tensor([[0.0, 0, 5, 5], [5, 5, 9, 9]])
    found = BlackBoxDetector(lambda images: [(boxes, scores, None)]).detect(IMAGE)[0]
    assert found.labels.tolist() == [1, 0]
    torch.testing.assert_close(found.scores, torch.tensor([0.7, 0.6]))
    torch.testing.assert_close(found.class_scores, scores)


def test_drise_and_curves_need_no_more():
    detector = BlackBoxDetector(brightness, takes="array")
    options = {"n_masks": 300, "grid": (4, 6), "generator": torch.Generator().manual_seed(0)}
    [entry] = ssgc.explain(detector, IMAGE, "d-rise", method_options={"d-rise": options})
    inside = entry.heat_map[4:12, 6:18].mean()
    assert inside > 1.05 * entry.heat_map.mean()
    curves = deletion(detector, IMAGE, detector.detect(IMAGE)[0], entry.heat_map[None])
    assert 0.0 < float(curves.area[0]) < 0.75


def test_gradient_methods_are_refused_with_what_is_left():
    detector = BlackBoxDetector(brightness, takes="array")
    with pytest.raises(ValueError, match=r"method='d-rise'"):
        ssgc.explain(detector, IMAGE)
    with pytest.raises(
        ValueError, match=r"only the reports.*are known: .*left: a method that only"
    ):
        detector.check_differentiable()


@pytest.mark.parametrize(
    ("report", "error", "message"),
    [
        ([([[0, 0, 1, 1]], [0.5, 0.5], [0])], ValueError, "as many boxes as scores and labels"),
        ([([[0, 0, 1, 1]], [0.5], [7])], ValueError, "labels: expected 0 to 4, got 7 to 7"),
        ([([[0, 0, 1, 1]], [0.5], None)], TypeError, "boxes, scores and labels, got None"),
        ("text", TypeError, "must return a list of 1 reports"),
        ([], TypeError, "must return a list of 1 reports"),
        ([None], TypeError, r"\[\] where there is nothing; got None"),
        ([(BOXES, [0.5, 0.6])], TypeError, r"expected boxes \(K, 4\), scores"),
        ([{"bbox": BOXES}], TypeError, "got a dictionary with bbox"),
        ([np.zeros((3, 6))], TypeError, r"got ndarray of shape \(3, 6\)"),
        ([(BOXES, [50, 60], [1, 2])], ValueError, "in .0, 1., got 50 to 60; divide percentages"),
        ([(BOXES, [0.5, math.nan], [1, 2])], ValueError, "scores: expected probabilities"),
        ([(BOXES, [0.5, 1.0], [0.5, 1.0])], ValueError, "labels: expected whole numbers, got 0.5"),
        ([(BOXES, [0.5, 0.6], ["cat", "emu"])], ValueError, "names of label_names, got 'cat'"),
        ([([[0, 0, 1, 1, 0.5]], [0.5], [0])], ValueError, r"boxes: .* got shape \(1, 5\)"),
        ([([[0, 0, math.nan, 1]], [0.5], [0])], ValueError, "boxes: expected finite"),
        ([([[10, 10, 4, 4]], [0.5], [0])], ValueError, "end before they begin"),
        ([([[0.1, 0.1, 0.4, 0.4]], [0.5], [0])], ValueError, "are they shares"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_a_function_may_not_return(report, error, message):
    detector = BlackBoxDetector(lambda images: report, class_count=5)
    with pytest.raises(error, match=message):
        detector.detect(IMAGE)


def test_reports_of_three_images_in_a_tuple_are_reports():
    reports = ((BOXES, [0.5, 0.6], [1, 2]), [], (BOXES[:1], [0.7], [3]))
    found = BlackBoxDetector(lambda images: reports).detect(IMAGE.repeat(3, 1, 1, 1))
    assert [one.labels.tolist() for one in found] == [[1, 2], [], [3]]


def test_labels_may_be_names():
    report = [(BOXES, [torch.tensor(0.5), 0.6], ["emu", "cat"])]
    detector = BlackBoxDetector(lambda images: report, label_names=["cat", "dog", "emu"])
    assert detector.detect(IMAGE)[0].labels.tolist() == [2, 0]


def test_arguments_are_checked():
    with pytest.raises(TypeError, match="expected a callable, got int"):
        BlackBoxDetector(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="takes: expected 'batch' or 'array', got 'file'"):
        BlackBoxDetector(brightness, takes="file")  # type: ignore[arg-type]
