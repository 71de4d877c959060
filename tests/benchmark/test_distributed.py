from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

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


def test_each_hears_what_all_say_as_often_as_they_talk(monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MASTER_PORT", str(probe.getsockname()[1]))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    worlds = [World(rank, 3) for rank in range(3)]
    with ThreadPoolExecutor(3) as pool:
        for said in (["", "\u00e9 \udcff", "x" * 5000], ["1", "2", ""]):
            heard = [pool.submit(world.gather, text) for world, text in zip(worlds, said)]
            assert [one.result(60) for one in heard] == [said] * 3
    assert World().gather("alone") == ["alone"]
