"""A photo-like image, a heat map and explanations that need no model."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor


@dataclass
class Explained:
    """What the pictures need; deliberately not the package's own class."""

    label: str
    score: float
    box: Tensor
    heat_map: Tensor
    method: str = "ssgrad-cam++"


def bump(height: int, width: int, row: float, column: float, spread: float) -> Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * spread**2))


@pytest.fixture
def picture() -> Tensor:
    """A colour ramp with a bright disc, ``(1, 3, 60, 80)``."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 60), torch.linspace(0, 1, 80), indexing="ij")
    disc = (bump(60, 80, 25, 50, 8) > 0.5).float()
    return torch.stack([0.2 + 0.5 * x, 0.3 + 0.4 * y, 0.6 - 0.4 * x]).lerp(disc, 0.35)[None]


@pytest.fixture
def heat_map() -> Tensor:
    return bump(60, 80, 25, 50, 9)


@pytest.fixture
def explained(heat_map: Tensor) -> list[Explained]:
    return [
        Explained("cat", 0.93, torch.tensor([38.0, 12.0, 64.0, 40.0]), heat_map),
        Explained("dog", 0.71, torch.tensor([5.0, 30.0, 30.0, 55.0]), bump(60, 80, 42, 15, 6)),
        Explained("cat", 0.64, torch.tensor([1.0, 1.0, 20.0, 15.0]), bump(60, 80, 8, 8, 4)),
    ]


@pytest.fixture(autouse=True)
def no_pyplot_figures() -> object:
    """No picture may stay in pyplot's registry."""
    yield
    import sys

    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []
