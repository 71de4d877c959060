from __future__ import annotations

import pytest

from captum_ssgc.benchmark.distributed import World

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


@pytest.fixture
def world(monkeypatch):
    def from_environment(*values):
        for name, value in zip(NAMES, values):
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        return World.from_environment()

    return from_environment


def test_what_torchrun_says(world):
    assert world("1", "3", "0") == World(1, 3, 0)
    assert list(world("1", "3", "0").share(8)) == [1, 4, 7]
    assert not world("1", "3", "0").leads


@pytest.mark.parametrize("missing", range(3))
def test_without_torchrun_there_is_one_process(world, missing):
    values: list = ["1", "3", "0"]
    values[missing] = None
    assert world(*values) == World(0, 1, 0)


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("text", ["x", "", "1.5", "1e3", "0x1", "9" * 5000, "\u0663", "1\n2"])
def test_what_is_no_number_is_named(world, place, text):
    values = ["1", "3", "0"]
    values[place] = text
    with pytest.raises(ValueError, match=f"expected {NAMES[place]} as a whole number") as error:
        world(*values)
    assert len(str(error.value)) < 250


@pytest.mark.parametrize("values", ["3 3 0", "-1 3 0", "0 0 0", "0 -2 0", "0 1 -1"])
def test_numbers_that_cannot_be_are_refused(world, values):
    with pytest.raises(ValueError, match=r"RANK from 0 to WORLD_SIZE - 1 .* got RANK="):
        world(*values.split())
