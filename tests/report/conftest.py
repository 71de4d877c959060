"""Two drawn photos with boxes whose maps are known."""

from __future__ import annotations

import pytest
import torch

from captum_ssgc.report import ViewerEntry, ViewerPage


def spot(row: int, column: int, height: int = 30, width: int = 40) -> torch.Tensor:
    """A map that is 1 in one cell of a grid over the photo, and 0.5 in the next."""
    heat = torch.zeros(height, width)
    heat[row, column] = 1.0
    heat[row, column + 1] = 0.5
    return heat


@pytest.fixture
def pages() -> list[ViewerPage]:
    cat = ViewerEntry(
        box=[40.0, 40.0, 120.0, 100.0],
        label="cat",
        maps={
            ("odam", "score"): spot(7, 8),
            ("odam", "left"): spot(7, 4),
            ("d-rise", "score"): spot(8, 10),
        },
        score=0.93,
        kind="found",
        verdict="rests on the object",
        facts={"layer": "backbone.layer3"},
    )
    dog = ViewerEntry(
        box=[60.0, 60.0, 80.0, 80.0],
        label="dog",
        maps={("odam", "score"): spot(7, 7)},
        score=0.41,
        kind="wrong class",
        verdict="rests on a neighbour",
    )
    missed = ViewerEntry(
        box=torch.tensor([200.0, 150.0, 300.0, 230.0]),
        label="</script><b>&amp;\u2028\udcff",
        maps={("odam", "score"): torch.zeros(30, 40)},
        kind="missed",
        verdict="cannot say",
    )
    other = ViewerEntry([10.0, 10.0, 30.0, 30.0], "17", {("odam", "score"): spot(1, 1)}, 0.7)
    grey = torch.full((3, 240, 320), 0.5)
    return [
        ViewerPage("a.jpg", grey, [cat, dog, missed]),
        ViewerPage("b & c.jpg", grey[None], [other]),
    ]
