"""A data set and a detector for which a whole benchmark takes a second."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import runpy
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from captum_ssgc.benchmark import run_benchmark

SCRIPT = Path(__file__).with_name("tiny_run.py")
IMAGES = 5


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As in a run; on images this small more threads only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The module ``tiny_run``: detector, data and settings."""
    spec = importlib.util.spec_from_file_location("tiny_run", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def data(tiny, tmp_path_factory) -> Path:
    """Five images of coloured squares, in the COCO format."""
    return tiny.write_data(tmp_path_factory.mktemp("data"), IMAGES)


@pytest.fixture
def own_data(tiny, tmp_path) -> Path:
    """The same in a folder that the test may spoil."""
    folder = tmp_path / "data"
    folder.mkdir()
    return tiny.write_data(folder, IMAGES)


@pytest.fixture(scope="session")
def finished(tiny, data, tmp_path_factory) -> SimpleNamespace:
    """A run that nothing interrupted; ``folder``, ``summary``, ``numbers``, ``forwards``."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    detector = tiny.tiny_detector()
    summary = run_benchmark(detector, data, folder, tiny.settings())
    return SimpleNamespace(
        folder=folder,
        summary=summary,
        numbers=everything_but_time(summary),
        forwards=detector.model.forwards,
    )


def everything_but_time(summary) -> dict:
    """All that a run gives except what depends on the clock."""
    cells = {
        (row.name, key): cell
        for row in summary.rows
        for key, cell in row.cells.items()
        if key != "seconds"
    }
    return {
        "cells": cells,
        "counts": summary.counts,
        "failures": summary.failures,
        "curves": summary.curves,
        "examples": summary.examples,
        "complete": summary.complete,
    }


@pytest.fixture
def numbers_of():
    return everything_but_time


@pytest.fixture
def stored():
    """The records in a folder, as they were written, with the file that holds each."""

    def read(folder):
        return [
            (file.name, json.loads(line))
            for file in sorted((folder / "results").glob("*.jsonl"))
            for line in file.read_text().splitlines()
        ]

    return read


@pytest.fixture(scope="session")
def start():
    """Starts the script in a process of its own, from a server that has already imported all.

    ``start(data, run, at=None, rank=None, size=None, port=None, task="benchmark")`` gives a started
    process, of a benchmark or an audit; with a pair ``at`` of numbers it sends itself a signal in
    that forward of the detector, and with a rank it finds itself in the environment that torchrun
    makes.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["captum_ssgc.benchmark.runner", "captum_ssgc.detectors.yolox"])

    warm = context.Process(target=time.sleep, args=(0,))
    warm.start()
    warm.join()

    def started(data, run, at=None, rank=None, size=None, port=None, task="benchmark"):
        arguments = [str(data), str(run), *(["--audit"] if task == "audit" else [])]
        if at is not None:
            arguments += ["--signal", *(str(int(number)) for number in at)]
        environment = {}
        if rank is not None:
            environment = {
                "RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank,
                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
            }  # fmt: skip
        given = {"ARGUMENTS": arguments, "ENVIRONMENT": environment}
        process = context.Process(target=runpy.run_path, args=(str(SCRIPT), given, "__main__"))
        process.start()
        return process

    return started
