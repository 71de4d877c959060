"""What is enough, and what is lost without, drawn."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from captum_ssgc.visualization import minimal_grid


def detection(label: str = "cat") -> Any:
    return SimpleNamespace(
        label=label,
        score=0.93,
        box=torch.tensor([4.0, 4.0, 20.0, 16.0]),
        heat_map=torch.ones(24, 32),
    )


def sets_of(count: int) -> Any:
    left = (torch.arange(32) < 8).expand(count, 24, 32)
    return SimpleNamespace(
        keeping=left,
        keeping_scores=torch.full((count,), 0.61),
        losing=left,
        losing_scores=torch.full((count,), 0.04),
    )


def test_panels_show_what_the_detector_saw() -> None:
    figure = minimal_grid(torch.ones(3, 24, 32), [detection()], sets_of(1), title="a title")
    image, enough, lost = figure.axes
    assert [panel.get_title(loc="left") for panel in figure.axes] == [
        "image", "is enough", "is lost without",
    ]  # fmt: skip
    for panel, visible in ((image, (True, True)), (enough, (True, False)), (lost, (False, True))):
        pixels = np.asarray(panel.images[0].get_array())
        width = pixels.shape[1]
        found = [pixels[:, : width // 5].mean(), pixels[:, width // 3 :].mean()]
        assert found == pytest.approx([255.0 * one for one in visible], abs=3)


def test_scores_and_areas_are_written() -> None:
    figure = minimal_grid(torch.ones(3, 24, 32), [detection(), detection("dog")], sets_of(2))
    texts = [text.get_text() for panel in figure.axes for text in panel.texts]
    assert texts.count("score 0.61 with 25% of the image") == 2
    assert texts.count("score 0.04 without 25% of the image") == 2
    assert any("dog" in text for text in texts)


def test_other_numbers_are_refused() -> None:
    image = torch.ones(3, 24, 32)
    with pytest.raises(ValueError, match="sets: expected those of each of 2 detections, got 1"):
        minimal_grid(image, [detection(), detection("dog")], sets_of(1))
    with pytest.raises(ValueError, match="expected at least one, got none"):
        minimal_grid(image, [], sets_of(0))
