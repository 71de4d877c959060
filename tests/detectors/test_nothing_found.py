"""An image with nothing in it is an ordinary image."""

from __future__ import annotations

import pytest
import torch
import torchvision
from detectors.family import scene

import captum_ssgc as ssgc
from captum_ssgc.detectors import CandidateDetector

BLACK = torch.zeros(1, 3, 75, 101)
SIZES = {"weights": None, "weights_backbone": None, "num_classes": 4}


def two_stage():
    model = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_fpn(
        **SIZES, min_size=96, max_size=200, box_score_thresh=0.0, rpn_score_thresh=0.9
    )
    return ssgc.wrap_detector(model.eval())


def one_stage():
    model = torchvision.models.detection.ssdlite320_mobilenet_v3_large(**SIZES, score_thresh=0.999)
    return ssgc.wrap_detector(model.eval())


def no_rows():
    return CandidateDetector(lambda x: (torch.zeros(len(x), 0, 4), torch.zeros(len(x), 0, 4)))


def nothing_above():
    return CandidateDetector(lambda x: (torch.ones(len(x), 3, 4), torch.zeros(len(x), 3, 4)))


@pytest.fixture(params=[two_stage, one_stage, no_rows, nothing_above], ids=lambda f: f.__name__)
def detector(request):
    torch.manual_seed(0)
    return request.param()


def test_nothing_is_found_and_scored(detector):
    for images in (BLACK, torch.cat([BLACK, BLACK])):
        found = detector.detect(images)
        assert [len(one) for one in found] == [0] * len(images)
        assert {one.class_scores.shape for one in found} == {(0, 4)}
        for output in ("score", "logit", "left"):
            with torch.no_grad():
                assert detector.score(images, found, output).shape == (len(images), 0)
    with torch.no_grad():
        raw = detector.run(BLACK)
    assert [len(one) for one in detector.candidates_above(raw, 0.9)] == [0]


@pytest.mark.parametrize("empty", [0, 1])
def test_one_image_of_a_batch_has_no_proposals(faster_rcnn, empty):
    """Deletion and D-RISE show a model images with nothing left in them."""

    def remove(module, args, output):
        proposals, losses = output
        return [p[:0] if image == empty else p for image, p in enumerate(proposals)], losses

    detector = ssgc.wrap_detector(faster_rcnn)
    batch = torch.cat([scene(3), scene(3)])
    expected = detector.detect(batch)[1 - empty]
    handle = faster_rcnn.rpn.register_forward_hook(remove)
    try:
        found = detector.detect(batch)
        with torch.no_grad():
            above = detector.candidates_above(detector.run(batch), 0.0)
    finally:
        handle.remove()
    assert len(found[empty]) == len(above[empty]) == 0
    assert len(found[1 - empty]) == len(expected) >= 5
    torch.testing.assert_close(found[1 - empty].boxes, expected.boxes)
    with torch.no_grad():
        scores = detector.score(batch, found)
    torch.testing.assert_close(scores[1 - empty], found[1 - empty].scores, atol=2e-6, rtol=1e-5)
    assert torch.isnan(scores[empty]).all()
