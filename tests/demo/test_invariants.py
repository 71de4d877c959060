"""Invariants (a) to (c) with trained weights, on every detection of 20 scenes."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import box_iou

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.metrics import energy_pointing_game

SEEDS = range(20_000, 20_020)
CASES = [*SEEDS[:8], *(pytest.param(seed, marks=pytest.mark.slow) for seed in SEEDS[8:])]


@pytest.fixture(scope="module")
def model():
    return demo.detector()


@pytest.mark.parametrize("seed", CASES)
def test_detections_scores_and_gradients(model, seed):
    image = demo.scene(seed).image[None]
    detector = ssgc.wrap_detector(model)
    found = detector.detect(image)[0]
    with torch.no_grad():
        vendor = model([image[0]])[0]
    assert len(found) >= 1
    assert torch.equal(found.boxes, vendor["boxes"])
    assert torch.equal(found.labels, vendor["labels"])
    assert torch.equal(found.scores, vendor["scores"])
    wrapper = ssgc.InstanceScoreWrapper(detector, found)
    with torch.no_grad():
        torch.testing.assert_close(wrapper(image)[0], found.scores, atol=2e-6, rtol=1e-5)
    cam = ssgc.SSGradCAMPlusPlus(wrapper, detector.level_layers())
    for target, maps in enumerate(zip(*cam.attribute_instances(image), strict=True)):
        level = int(found.levels[target])
        assert torch.isfinite(maps[level]).all()
        assert maps[level].max() > 0
        assert all(not other.any() for place, other in enumerate(maps) if place != level)


def test_maps_are_specific_to_their_instance(model):
    """Energy in the own box over energy in the box of a neighbour that it does not overlap."""
    detector = ssgc.wrap_detector(model)
    own, foreign = [], []
    for seed in SEEDS:
        image = demo.scene(seed).image
        found = ssgc.explain(detector, image, score_threshold=0.6)
        boxes = torch.stack([e.box for e in found])
        maps = torch.stack([e.heat_map for e in found])
        overlap = box_iou(boxes, boxes)
        for row, column in (overlap == 0).nonzero().tolist():
            own.append(energy_pointing_game(maps[row : row + 1], boxes=boxes[row : row + 1]).mean())
            other = energy_pointing_game(maps[row : row + 1], boxes=boxes[column : column + 1])
            foreign.append(other.mean())
    assert len(own) >= 40
    ratio = sum(own) / sum(foreign)
    print(f"{len(own)} pairs: {sum(own) / len(own):.3f} in the own box, ratio {ratio:.0f}")
    assert ratio > 20
