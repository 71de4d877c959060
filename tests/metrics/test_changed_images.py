"""The images along a curve are those that the curve was measured on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from captum_ssgc.metrics import (
    CurveSettings,
    deletion,
    deletion_images,
    insertion,
    insertion_images,
    preset_named,
)

SETTINGS = {
    "black": CurveSettings(),
    "mean": CurveSettings(baseline="mean", steps=7),
    "blur": CurveSettings(baseline="blur", blur_sigma=1.0),
    "noise": CurveSettings(baseline="noise"),
    "box": CurveSettings(budget="box", ties="reading", steps=5),
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize(
    ("measure", "show"),
    [(deletion, deletion_images), (insertion, insertion_images)],
    ids=["deletion", "insertion"],
)
def test_the_detector_scores_them_as_the_curve_says(pair, measure, show, settings):
    detector, image, found = pair
    images = torch.cat([image, image.flip(-1)])
    both = [found, replace(found[:1], boxes=found.boxes[1:])]
    maps = torch.rand(3, 6, 8, generator=torch.Generator().manual_seed(5)).round(decimals=1)
    maps[2] = 0.0

    def generator():
        return torch.Generator().manual_seed(7)

    curve = measure(detector, images, both, maps, settings, generator=generator())
    steps = range(settings.steps + 1)
    shown = show(images, both, maps, settings, steps, generator=generator())
    assert shown.shape == (3, settings.steps + 1, 3, 6, 8)
    for row, (one, column) in enumerate([(both[0], 0), (both[0], 1), (both[1], 0)]):
        torch.testing.assert_close(detector.score(shown[row], one)[:, column], curve.scores[row])
    assert torch.equal(shown[2], shown[2, :1].expand_as(shown[2]))  # an empty map turns nothing
    if measure is deletion:
        torch.testing.assert_close(shown[:, 0], images[[0, 0, 1]])
    elif settings.budget == "image":
        torch.testing.assert_close(shown[:2, -1], images[[0, 0]])


def test_steps_are_those_asked_for(pair):
    _, image, found = pair
    maps = torch.rand(2, 6, 8, generator=torch.Generator().manual_seed(5))
    all_steps = deletion_images(image, found, maps, "drise", range(225))
    some = deletion_images(image, found, maps, preset_named("drise").deletion, [224, 17])
    torch.testing.assert_close(some, all_steps[:, [224, 17]])
    assert deletion_images(image, found[:0], maps[:0], steps=[1]).shape == (0, 1, 3, 6, 8)


@pytest.mark.parametrize("step", [-1, 11])
def test_a_step_beyond_the_curve_is_an_error(pair, step):
    _, image, found = pair
    with pytest.raises(IndexError, match=rf"steps: expected points 0 to 10, got \[{step}\]"):
        insertion_images(image, found, torch.rand(2, 6, 8), steps=[step])
