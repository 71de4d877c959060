"""The batched curves against plain loops written from the definition (Yamauchi 2024, eq. 11)."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from captum_ssgc import InstanceScoreWrapper
from captum_ssgc.detectors import CandidateDetector
from captum_ssgc.metrics import CurveSettings, deletion_insertion


def order_of(heat_map):
    """Places (y, x) in falling order; equal values in reading order."""
    values = heat_map.tolist()
    places = [(y, x) for y, row in enumerate(values) for x in range(len(row))]
    return sorted(places, key=lambda place: -values[place[0]][place[1]])


def iou_of(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared
    return shared / union


def cosine_of(one, other):
    product = sum(a * b for a, b in zip(one, other))
    return product / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))


def s1_of_candidates(rows, target):
    """Best score of the class above 0.05 in a box with an IoU of at least a half."""
    best = 0.0
    for box, label, scores in rows:
        overlap = iou_of(box, target.boxes[0].tolist())
        if label == int(target.labels) and scores[label] > 0.05 and overlap >= 0.5:
            best = max(best, scores[label])
    return best


def s2_of_candidates(rows, target):
    """``max_j IoU(B_t, B_j) cos(P_t, P_j)`` over candidates with a score above 0.05."""
    best = 0.0
    for box, label, scores in rows:
        if scores[label] > 0.05:
            overlap = iou_of(box, target.boxes[0].tolist())
            best = max(best, overlap * cosine_of(scores, target.class_scores[0].tolist()))
    return best


def clipped(box, size):
    (height, width), (x1, y1, x2, y2) = size, box
    return [max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height)]


def rows_of_own(raw):
    """Every box, label and class scores, of a detector whose canvas is the image."""
    boxes, scores = raw.candidates.boxes[0].tolist(), raw.candidates.class_scores[0].tolist()
    return [
        (clipped(box, raw.geometry.image_size), label, classes)
        for box, classes in zip(boxes, scores)
        for label in range(len(classes))
    ]


def rows_of_two_stage(raw):
    """Each proposal has one box per class; class 0 is the background. Here the canvas is the image.

    The deltas of Faster R-CNN (Ren et al., 2015), with torchvision's weights (10, 10, 5, 5).
    """
    rows = []
    logits, deltas = raw.class_logits.tolist(), raw.box_regression.tolist()
    for proposal, of_classes, regression in zip(raw.proposals[0].tolist(), logits, deltas):
        total = sum(math.exp(logit) for logit in of_classes)
        classes = [math.exp(logit) / total for logit in of_classes]
        x1, y1, x2, y2 = proposal
        for label in range(1, len(classes)):
            dx, dy, dw, dh = regression[4 * label : 4 * label + 4]
            x = (x1 + x2) / 2 + dx / 10 * (x2 - x1)
            y = (y1 + y2) / 2 + dy / 10 * (y2 - y1)
            half_width = math.exp(min(dw / 5, math.log(1000 / 16))) * (x2 - x1) / 2
            half_height = math.exp(min(dh / 5, math.log(1000 / 16))) * (y2 - y1) / 2
            box = [x - half_width, y - half_height, x + half_width, y + half_height]
            rows.append((clipped(box, raw.geometry.image_size), label, classes))
    return rows


def slow_curve(detector, rows_of, image, target, heat_map, fill, steps, inserts, read):
    places = order_of(heat_map)
    curve = []
    for step in range(steps + 1):
        first, then = (image, torch.full_like(image, fill))[:: -1 if inserts else 1]
        changed = first.clone()
        turned = places[: math.floor(len(places) * step / steps + 0.5)]
        y, x = [y for y, _ in turned], [x for _, x in turned]
        changed[0, :, y, x] = then[0, :, y, x]
        with torch.no_grad():
            if read == "candidate":
                curve.append(float(InstanceScoreWrapper(detector, target)(changed)))
            else:
                rows = rows_of(detector.run(changed))
                curve.append((s1_of_candidates if read == "s1" else s2_of_candidates)(rows, target))
    return curve


def area_of(curve):
    return sum((a + b) / 2 for a, b in pairwise(curve)) / (len(curve) - 1)


@pytest.fixture
def moving_detector():
    """Twelve cells, three classes; boxes and scores of a cell change with its pixels."""
    generator = torch.Generator().manual_seed(5)
    to_classes = torch.randn(3, 3, generator=generator)
    y, x = torch.meshgrid(torch.arange(3) * 6.0 + 3.0, torch.arange(4) * 6.0 + 3.0, indexing="ij")
    centres = torch.stack([x, y], -1).reshape(-1, 2)

    def network(images):
        cells = torch.nn.functional.adaptive_avg_pool2d(images, (3, 4)).flatten(2).mT
        half = 2.5 + 3.0 * cells[..., :2]
        scores = (4.0 * (cells - 0.45) @ to_classes.T).sigmoid() * cells.amax(-1, keepdim=True)
        return torch.cat([centres - half, centres + half], -1), scores

    return CandidateDetector(network, score_threshold=0.02, iou_threshold=0.6)


def compare(detector, rows_of, image, found, steps, fill, tolerance):
    """The slow values of each reading, once they are known to be the fast ones."""
    heat_maps = torch.rand(
        len(found), *image.shape[-2:], generator=torch.Generator().manual_seed(1)
    )
    heat_maps = (heat_maps * 8).round()
    curves = {}
    for match in ("candidate", "iou"):
        chosen = CurveSettings(steps=steps, baseline=fill, match=match, ties="reading")
        result = deletion_insertion(
            detector,
            image,
            found,
            {"a": heat_maps},
            chosen,
            perturbations_per_eval=1 if tolerance > 1e-6 else 16,
        )["a"]
        for kind in ("deletion", "insertion"):
            curves["candidate" if match == "candidate" else "s1", kind] = getattr(result, kind)[
                "s1"
            ]
            curves["s2", kind] = getattr(result, kind)["s2"]
    values = {}
    for read in ("candidate", "s1", "s2"):
        values[read] = []
        for kind in ("deletion", "insertion"):
            fast = curves[read, kind]
            for row in range(len(found)):
                slow = slow_curve(
                    detector,
                    rows_of,
                    image,
                    found[row],
                    heat_maps[row],
                    fill,
                    steps,
                    kind == "insertion",
                    read,
                )
                assert fast.scores[row].tolist() == pytest.approx(slow, abs=tolerance)
                assert float(fast.area[row]) == pytest.approx(area_of(slow), abs=tolerance)
                values[read] += slow
    return values


def test_a_detector_whose_boxes_move(moving_detector):
    image = torch.rand(1, 3, 18, 24, generator=torch.Generator().manual_seed(2))
    found = moving_detector.detect(image)[0]
    assert len(found) >= 5
    assert len(found.labels.unique()) >= 2
    for read, values in compare(moving_detector, rows_of_own, image, found, 7, 0.02, 1e-6).items():
        assert len({round(value, 4) for value in values}) > 20
        assert (min(values) == 0.0) is (read != "candidate")


def test_a_detector_whose_candidates_depend_on_the_image(two_stage):
    image = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(2))
    found = two_stage.detect(image)[0]
    assert len(found) >= 5
    values = compare(two_stage, rows_of_two_stage, image, found[:2], 4, 0.4, 1e-5)
    for read, different in (("candidate", 12), ("s1", 3), ("s2", 12)):
        assert len({round(value, 4) for value in values[read]}) > different
