"""The dictionaries of torchmetrics, against the package itself."""

from __future__ import annotations

import pytest
import torch
from exchange.same_detections import SIZE, assert_same

from captum_ssgc import Detections


def test_out_and_back(detections):
    found = detections.to_torchmetrics()
    assert {*found} == {"boxes", "scores", "labels", "masks"}
    assert torch.equal(found["masks"], detections.masks >= 0.5)
    again = Detections.from_torchmetrics(found, SIZE)
    assert_same(again, detections)
    assert torch.equal(again.masks, found["masks"])


def test_what_torchvision_gives(detections):
    """Soft masks with a channel, and int32 labels of other makes."""
    found = {**detections.to_torchmetrics(), "masks": detections.masks[:, None]}
    found["labels"] = found["labels"].int()
    again = Detections.from_torchmetrics(found, SIZE)
    assert torch.equal(again.masks, detections.masks)
    assert again.labels.dtype == torch.int64


def test_what_is_missing(detections):
    target = {name: detections.to_torchmetrics()[name] for name in ("boxes", "labels")}
    with pytest.raises(ValueError, match=r"scores: .* got none in the dictionary; to explain"):
        Detections.from_torchmetrics(target, SIZE)
    with pytest.raises(ValueError, match="scores: expected one for each of 3 boxes, got 2"):
        Detections.from_torchmetrics({**target, "scores": torch.ones(2)}, SIZE)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"labels": torch.tensor([0.5, 1, 2])}, ValueError, "labels: expected whole numbers"),
        ({"boxes": [[0, 0, 1, 1]] * 3}, TypeError, "boxes: expected a tensor, got list"),
        ({"scores": torch.tensor([0.5, 1, 2])}, ValueError, r"scores: .* got 2.0 in row 2"),
        ({"scores": torch.full((3,), torch.nan)}, ValueError, "scores: .* got nan in row 0"),
        ({"boxes": torch.tensor([[9.0, 9, 4, 4]] * 3)}, ValueError, "ends before it begins"),
        ({"boxes": torch.tensor([[0.1, 0.1, 0.5, 0.5]] * 3)}, ValueError, "got shares of it"),
    ],
)
def test_what_cannot_be_meant(detections, change, error, message):
    with pytest.raises(error, match=message):
        Detections.from_torchmetrics(detections.to_torchmetrics() | change, SIZE)


def test_whole_pixels_become_floating_point(detections):
    boxes = torch.tensor([[1, 2, 3, 4]] * 3)
    found = Detections.from_torchmetrics(detections.to_torchmetrics() | {"boxes": boxes}, [20, 30])
    assert found.boxes.dtype == torch.float32
    assert found.image_size == (20, 30)


@pytest.mark.parametrize("size", [20, (20,), (20.0, 30.0), "20", None])
def test_what_is_no_size(detections, size):
    with pytest.raises(TypeError, match="image_size: expected height and width"):
        Detections.from_torchmetrics(detections.to_torchmetrics(), size)


def test_what_is_no_dictionary():
    for other in (None, [1]):
        with pytest.raises(TypeError, match="found: expected a dictionary"):
            Detections.from_torchmetrics(other, SIZE)
        with pytest.raises(TypeError, match=r"found: expected supervision\.Detections"):
            Detections.from_supervision(other, SIZE)


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_it_is_measured(detections, iou_type):
    """One object found, one with a box that is off, one not looked for."""
    detection = pytest.importorskip("torchmetrics.detection")
    metric = detection.MeanAveragePrecision(iou_type=iou_type)
    target = detections[:2].to_torchmetrics()
    target.pop("scores")
    target["boxes"] = target["boxes"] + torch.tensor([[0.0], [20.0]])
    target["masks"] = target["masks"].clone()
    target["masks"][1] = False
    target["masks"][1, :2] = True
    metric.update([detections.to_torchmetrics()], [target])
    found = metric.compute()
    assert float(found["map_50"]) == pytest.approx(0.5)  # mean of classes 2 (found) and 0 (not)
