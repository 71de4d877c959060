"""Yamauchi, Kera and Kawamoto, CVPR 2026: its similarity, resolution and patches against loops."""

from __future__ import annotations

import math

import pytest
import torch
from references import cosine, iou

from captum_ssgc import wrap_detector
from captum_ssgc.cli.evaluate import PRESETS as OFFERED
from captum_ssgc.detectors import BlackBoxDetector
from captum_ssgc.metrics import (
    PRESETS,
    CurveSettings,
    Preset,
    deletion,
    deletion_insertion,
    insertion,
)
from captum_ssgc.metrics._patches import patch_size, unit_ranks, units_in


def clipped(box, size):
    (height, width), (x1, y1, x2, y2) = size, box
    return [max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height)]


def similarities_of_two_stage(raw, target):
    """Every proposal of the changed image, with its box for the target's class.

    Deltas as in Faster R-CNN (Ren et al., 2015) with torchvision's weights (10, 10, 5, 5).
    """
    best, label = 0.0, int(target.labels)
    logits, deltas = raw.class_logits.tolist(), raw.box_regression.tolist()
    for (x1, y1, x2, y2), of_classes, regression in zip(raw.proposals[0].tolist(), logits, deltas):
        largest = max(of_classes)
        powers = [math.exp(logit - largest) for logit in of_classes]
        classes = [power / sum(powers) for power in powers]
        dx, dy, dw, dh = regression[4 * label : 4 * label + 4]
        x, y = (x1 + x2) / 2 + dx / 10 * (x2 - x1), (y1 + y2) / 2 + dy / 10 * (y2 - y1)
        half_width = math.exp(min(dw / 5, math.log(1000 / 16))) * (x2 - x1) / 2
        half_height = math.exp(min(dh / 5, math.log(1000 / 16))) * (y2 - y1) / 2
        box = clipped([x - half_width, y - half_height, x + half_width, y + half_height],
                      raw.image_sizes[0])  # fmt: skip
        alike = cosine(classes, target.class_scores[0].tolist())
        best = max(best, iou(box, target.boxes[0].tolist()) * alike)
    return best


def similarities_of_detr(raw, target, size):
    """Every query; the vector of a softmax ends with "no object", which detections leave out."""
    best, known = 0.0, target.class_scores[0].tolist()
    own = [*known, 1.0 - sum(known)]
    for of_classes, (x, y, w, h) in zip(
        raw.vendor.logits[0].tolist(), raw.vendor.pred_boxes[0].tolist()
    ):
        powers = [math.exp(logit) for logit in of_classes]
        classes = [power / sum(powers) for power in powers]
        box = [(x - w / 2) * size[1], (y - h / 2) * size[0], (x + w / 2) * size[1],
               (y + h / 2) * size[0]]  # fmt: skip
        overlap = iou(clipped(box, size), target.boxes[0].tolist())
        best = max(best, overlap * cosine(classes, own))
    return best


def slow_curve(detector, similarity, image, target, heat_map, steps, inserts):
    """Pixels in falling order, equal ones in reading order, black for what is not there."""
    values = heat_map.tolist()
    places = [(y, x) for y, row in enumerate(values) for x in range(len(row))]
    places.sort(key=lambda place: -values[place[0]][place[1]])
    curve = []
    for step in range(steps + 1):
        changed = torch.zeros_like(image) if inserts else image.clone()
        for y, x in places[: math.floor(len(places) * step / steps + 0.5)]:
            changed[0, :, y, x] = image[0, :, y, x] if inserts else 0.0
        with torch.no_grad():
            curve.append(similarity(detector.run(changed), target))
    return curve


def compare(detector, similarity, image, found, steps):
    heat_maps = torch.rand(
        len(found), *image.shape[-2:], generator=torch.Generator().manual_seed(1)
    )
    heat_maps = (heat_maps * 8).round()
    chosen = CurveSettings(score="s2", s2="own_class", steps=steps, ties="reading")
    seen = set()
    for measure, inserts in ((deletion, False), (insertion, True)):
        fast = measure(detector, image, found, heat_maps, chosen, perturbations_per_eval=1).scores
        for row in range(len(found)):
            slow = slow_curve(
                detector, similarity, image, found[row], heat_maps[row], steps, inserts
            )
            assert fast[row].tolist() == pytest.approx(slow, abs=1e-5)
            assert slow[-1 if inserts else 0] == pytest.approx(1.0, abs=1e-5)
            seen |= {round(value, 4) for value in slow}
    assert len(seen) > 2 * len(found)


def test_two_stage_detectors(two_stage):
    image = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(2))
    found = two_stage.detect(image)[0][:2]
    assert len(found) == 2
    compare(two_stage, similarities_of_two_stage, image, found, 4)


def test_detr_with_its_no_object():
    transformers = pytest.importorskip("transformers")
    from detectors.transformers_families import processor_of

    torch.manual_seed(0)
    config = transformers.YolosConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        image_size=[32, 48], num_detection_tokens=5, num_labels=3,
    )  # fmt: skip
    model = transformers.YolosForObjectDetection(config).eval()
    for weight in model.parameters():
        if weight.dim() > 1 and len(weight):
            torch.nn.init.normal_(weight, std=1.5 * weight[0].numel() ** -0.5)
    processor = processor_of("Yolos", size={"shortest_edge": 32, "longest_edge": 48})
    detector = wrap_detector(model, processor=processor, score_threshold=0.0)
    image = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(2))
    found = detector.detect(image)[0][:2]
    inside = clipped(found.boxes[0].tolist(), (32, 48))
    found.boxes[0] = torch.tensor(inside)  # so that the curve starts at one
    compare(
        detector, lambda raw, target: similarities_of_detr(raw, target, (32, 48)), image,
        found[:1], 4,
    )  # fmt: skip


def test_pixels_of_the_network(two_stage):
    """The same as for a user who resizes image, detections and maps beforehand."""
    image = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(4))
    assert two_stage.geometry((16, 24)).canvas_size == (32, 64)  # 48 columns, padded
    found = two_stage.detect(image)[0][:2]
    heat_maps = torch.rand(2, 1, 16, 24, generator=torch.Generator().manual_seed(5))
    settings = CurveSettings(score="s2", s2="own_class", steps=3, resolution="network")
    at_network = deletion(two_stage, image, found, heat_maps, settings).scores
    larger = [
        torch.nn.functional.interpolate(one, (32, 48), mode="bilinear")
        for one in (image, heat_maps)
    ]
    moved = type(found)(**(vars(found) | {"boxes": found.boxes * 2, "regions": found.regions * 2,
                                          "image_size": (32, 48)}))  # fmt: skip
    settings = CurveSettings(score="s2", s2="own_class", steps=3)
    by_hand = deletion(two_stage, larger[0], moved, larger[1], settings).scores
    torch.testing.assert_close(at_network, by_hand, atol=1e-5, rtol=0)
    at_image = deletion(two_stage, image, found, heat_maps, settings).scores
    assert float((at_image - at_network).abs().max()) > 1e-4


def test_both_curves_have_one_resolution(strip):
    detector, image, found = strip
    mixed = Preset("", CurveSettings(resolution="network"), CurveSettings(), "", "", "")
    with pytest.raises(ValueError, match="one resolution for both curves"):
        deletion_insertion(detector, image, found, {"a": torch.ones(1, 2, 10)}, mixed)


def test_patches_turn_as_wholes():
    """Two rows of ten pixels in patches of 1 x 3, the last of one column: eight of them."""
    heat_map = torch.tensor([[[1.0, 1, 4, 0, 0, 0, 0, 0, 0, 9], [0, 0, 0, 1, 1, 1, 0, 0, 0, 0]]])
    patch = (1, 3)
    assert units_in((2, 10), patch) == 8
    ranks = unit_ranks(heat_map[0], torch.arange(20), patch)
    assert ranks.tolist() == [[1, 1, 1, 3, 3, 3, 4, 4, 4, 0], [5, 5, 5, 2, 2, 2, 6, 6, 6, 7]]


@pytest.mark.parametrize("patches", [3, "by_box"])
def test_curves_of_patches(make_pixel_detector, patches):
    """The object is the middle ninth of a white image; its map has a single hot pixel in it."""
    pixels = torch.zeros(1, 72, 72, dtype=torch.bool)
    pixels[0, 24:48, 24:48] = True
    detector = make_pixel_detector(torch.tensor([[24.0, 24, 48, 48]]), pixels, [0])
    image = torch.ones(1, 3, 72, 72)
    heat_map = torch.zeros(1, 72, 72)
    heat_map[0, 30, 30] = 1.0
    count = 9 if patches == 3 else 16 * 16
    settings = CurveSettings(steps=count, patches=patches, ties="reading")
    scores = deletion(detector, image, detector.detect(image)[0], heat_map, settings).scores[0]
    side = 24 if patches == 3 else round(72 / 16)
    assert float(scores[1]) == pytest.approx(1 - min(side, 24) ** 2 / 24**2)
    assert float(scores[-1]) == 0.0


@pytest.mark.parametrize(
    ("box", "number"), [((0, 0, 10, 10), 24), ((0, 0, 40, 50), 16), ((0, 0, 41, 50), 8)]
)
def test_the_number_of_patches_follows_the_box(box, number):
    expected = (max(round(100 / number), 1),) * 2
    assert patch_size("by_box", torch.tensor(box), (100, 100)) == expected


@pytest.mark.parametrize("patches", [0, -1, 1.5, "some", True])
def test_wrong_patches_are_refused(patches):
    with pytest.raises(ValueError, match="patches: expected a number of at least 1, 'by_box'"):
        CurveSettings(patches=patches)


def test_a_box_is_not_made_of_patches():
    with pytest.raises(ValueError, match="budget='image'"):
        CurveSettings(patches=4, budget="box")


def test_a_detector_without_candidates_says_so():
    box, label, score = torch.tensor([[0.0, 0.0, 5.0, 2.0]]), torch.tensor([0]), torch.tensor([0.9])
    detector = BlackBoxDetector(lambda images: [(box, score, label) for _ in images])
    image = torch.ones(1, 3, 2, 10)
    found = detector.detect(image)[0]
    with pytest.raises(ValueError, match="s2='above_threshold'"):
        deletion(detector, image, found, torch.rand(1, 2, 10), "vxcode2026")


def test_the_command_offers_every_preset():
    assert tuple(PRESETS) == OFFERED
