"""Images of other channels in pictures, and how the pictures name them."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from captum_ssgc.composites import composite_of
from captum_ssgc.report import explained_page, viewer_html
from captum_ssgc.visualization import blend, comparison_grid, overlay, overview

IMAGE = torch.rand(5, 6, 8, generator=torch.Generator().manual_seed(0)).numpy()


def vegetation(image):
    return np.clip((image[3:4] - image[0:1]) / 2 + 0.5, 0, 1)


@pytest.mark.parametrize(
    ("channels", "composite", "expected", "name"),
    [
        (3, None, [0, 1, 2], ""),
        (1, None, [0, 0, 0], "grey"),
        (2, None, [0, 0, 0], "channel 0 of 2 as grey"),
        (5, None, [0, 1, 2], "channels 0, 1, 2 of 5 as RGB"),
        (5, (4, 2, 0), [4, 2, 0], "channels 4, 2, 0 of 5 as RGB"),
        (5, [3], [3, 3, 3], "channel 3 of 5 as grey"),
        (3, (2, 1, 0), [2, 1, 0], "channels 2, 1, 0 of 3 as RGB"),
    ],
)
def test_channels_are_chosen_and_named(channels, composite, expected, name):
    made, got = composite_of(IMAGE[:channels], composite)
    np.testing.assert_array_equal(made, IMAGE[expected])
    assert got == name


def test_a_function_makes_the_picture_and_names_it():
    made, name = composite_of(IMAGE, vegetation)
    np.testing.assert_array_equal(made, np.repeat(vegetation(IMAGE), 3, 0))
    assert name == "vegetation"
    assert composite_of(IMAGE, lambda image: torch.from_numpy(image[:3]))[0].shape == (3, 6, 8)


@pytest.mark.parametrize(
    ("composite", "message"),
    [
        ((0, 1), "expected one or three channels from 0 to 4, or a function"),
        ((0, 1, 5), "expected one or three channels from 0 to 4"),
        ((0.0, 1.0, 2.0), "expected one or three channels"),
        (lambda image: image[0], r"expected a function that gives \(3, 6, 8\), got \(6, 8\)"),
    ],
)
def test_what_is_no_composite_is_refused(composite, message):
    with pytest.raises(ValueError, match=message):
        composite_of(IMAGE, composite)


def test_pictures_show_and_say_it():
    image = torch.from_numpy(np.repeat(np.repeat(IMAGE, 10, 1), 10, 2))
    one = SimpleNamespace(
        **{"label": "cat", "score": 0.9, "box": torch.tensor([5.0, 5.0, 40.0, 40.0])},
        **{"heat_map": torch.zeros(60, 80), "method": "m", "index": 0, "layer": ""},
    )
    words = "channels 4, 2, 0 of 5 as RGB"
    figures = [
        overview(image, [one], composite=(4, 2, 0)),
        comparison_grid(image, [[one]], composite=(4, 2, 0)),
        overlay(image, one.heat_map, composite=(4, 2, 0), mute=0.0),
    ]
    for figure in figures:
        assert any(words in text.get_text() for text in figure.texts)
    shown = figures[2].axes[0].images[0].get_array()
    np.testing.assert_allclose(shown[25, 25] / 255, IMAGE[[4, 2, 0], 0, 0], atol=0.2)
    page = viewer_html([explained_page("a", image, [one], composite=(4, 2, 0))])
    [photo] = json.loads(re.search(r'id="index"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    assert ["Photo", words] in photo["entries"][0]["facts"]
    assert blend(image, one.heat_map).shape == (60, 80, 3)
