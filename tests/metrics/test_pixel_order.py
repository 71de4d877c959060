"""In which order the pixels turn."""

from __future__ import annotations

import pytest
import torch

from captum_ssgc.metrics._pixel_order import pixel_ranks, tied_order

GENERATOR = torch.Generator().manual_seed(3)
NOISE = torch.randn(7, 9, generator=GENERATOR)
MAPS = {
    "noise": NOISE,
    "positive": NOISE.abs(),
    "negative": -NOISE.abs(),
    "ties": NOISE.round(),
    "both zeros": torch.where(NOISE > 0, torch.tensor(0.0), torch.tensor(-0.0)),
    "tiny": NOISE.sign() * 1e-45,
    "huge": torch.where(NOISE > 0.5, torch.tensor(3e38), NOISE * 2e38),
    "flat": torch.zeros(7, 9),
}


@pytest.mark.parametrize("ties", ["random", "reading"])
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MAPS)
def test_pixels_turn_from_the_highest_and_tied_ones_in_their_order(name, precision, ties):
    heat_map = MAPS[name].to(precision)
    order = tied_order(heat_map, ties, torch.Generator().manual_seed(1))
    values, places = heat_map.flatten().tolist(), order.tolist()
    expected = sorted(places, key=lambda pixel: -values[pixel])  # stable, and -0.0 == 0.0
    ranks = pixel_ranks(heat_map, order)
    assert ranks.shape == heat_map.shape
    assert ranks.flatten().argsort().tolist() == expected
