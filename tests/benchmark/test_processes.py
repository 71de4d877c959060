"""What only processes can show: being killed, and being many."""

from __future__ import annotations

import csv
import os
import random
import signal
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from captum_ssgc.benchmark import audit, report

SCRIPT = Path(__file__).with_name("tiny_run.py")
IMAGES = 5
# So long only if something hangs.
PATIENCE = 600


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def kill_until_finished(start, data, run, forward, moments):
    """Kills the run while it computes, then at the moments, whatever it does then; ends it."""
    process = start(data, run, at=(forward, signal.SIGKILL))
    process.join(PATIENCE)
    assert process.exitcode == -signal.SIGKILL
    for moment in moments:
        process = start(data, run)
        process.join(moment)
        process.kill()
        process.join()
    process = start(data, run)
    process.join(PATIENCE)
    assert process.exitcode == 0


def assert_same_and_once(run, finished, numbers_of, stored):
    assert numbers_of(report(run)) == finished.numbers
    times = Counter(record["index"] for _, record in stored(run))
    assert times == dict.fromkeys(range(IMAGES), 1)


@pytest.mark.slow
def test_a_run_that_is_killed_at_random_moments(
    start, data, finished, numbers_of, stored, tmp_path
):
    random_ = random.Random(3)
    run = tmp_path / "run"
    moments = [random_.uniform(0.05, 0.8) for _ in range(2)]
    kill_until_finished(start, data, run, finished.forwards // 2, moments)
    assert_same_and_once(run, finished, numbers_of, stored)


@pytest.mark.slow
def test_a_run_that_is_killed_many_times(start, data, finished, numbers_of, stored, tmp_path):
    random_ = random.Random(4)
    for trial in range(8):
        run = tmp_path / f"run{trial}"
        moments = [random_.uniform(0.01, 1.5) for _ in range(11)]
        kill_until_finished(start, data, run, random_.randint(1, finished.forwards), moments)
        assert_same_and_once(run, finished, numbers_of, stored)


def run_together(start, data, run, size, **options):
    port = free_port()
    processes = [
        start(data, run, rank=rank, size=size, port=port, **options) for rank in range(size)
    ]
    for process in processes:
        process.join(PATIENCE)
    assert [process.exitcode for process in processes] == [0] * size


def test_two_processes_give_what_one_gives(start, data, finished, numbers_of, stored, tmp_path):
    run = tmp_path / "run"
    run_together(start, data, run, size=2)
    assert_same_and_once(run, finished, numbers_of, stored)
    owners = {record["index"]: file for file, record in stored(run)}
    assert owners == {index: f"rank-000{index % 2}.jsonl" for index in range(IMAGES)}
    assert table_without_time(run) == table_without_time(finished.folder)


def table_without_time(run):
    """The CSV, to the last digit."""
    with (run / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in rows]


@pytest.mark.slow
def test_another_number_of_processes_goes_on(start, data, finished, numbers_of, stored, tmp_path):
    run = tmp_path / "run"
    process = start(data, run, at=(finished.forwards // 2, signal.SIGKILL))
    process.join(PATIENCE)
    assert not (run / "report.html").exists()
    run_together(start, data, run, size=3)
    assert_same_and_once(run, finished, numbers_of, stored)


@pytest.mark.slow
def test_an_audit_that_is_killed_goes_on_in_two_processes(start, tiny, data, stored, tmp_path):
    run, whole = tmp_path / "run", tmp_path / "whole"
    detector = tiny.tiny_detector()
    audit(detector, data, whole, tiny.audit_settings())
    forward = detector.model.forwards // 2
    process = start(data, run, at=(forward, signal.SIGKILL), task="audit")
    process.join(PATIENCE)
    assert process.exitcode == -signal.SIGKILL
    assert 0 < len(stored(run)) < IMAGES
    assert not (run / "audit.html").exists()
    run_together(start, data, run, size=2, task="audit")
    times = Counter(record["index"] for _, record in stored(run))
    assert times == dict.fromkeys(range(IMAGES), 1)
    for name in ("audit.json", "classes.csv", "findings.csv"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.slow
def test_torchrun(data, finished, numbers_of, stored, tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    # The package need not be installed.
    environment = os.environ | {"PYTHONPATH": str(SCRIPT.parents[2])}
    subprocess.run([*command, SCRIPT, data, run], check=True, timeout=600, env=environment)
    assert_same_and_once(run, finished, numbers_of, stored)


def test_interrupting_a_process_ends_it_cleanly(start, data, finished, stored, tmp_path):
    run = tmp_path / "run"
    process = start(data, run, at=(finished.forwards // 2, signal.SIGINT))
    process.join(PATIENCE)
    assert process.exitcode == 130
    records = [record for _, record in stored(run)]
    assert 0 < len(records) < IMAGES
    assert not any(record.get("failed") for record in records)
