"""The memory that one explanation takes, in a process of its own.

python tests/benchmarks/performance_peaks.py "YOLO11n" explain 10 640 640
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import warnings
from pathlib import Path

import torch
from performance_cases import METHOD, Size, case_of

import captum_ssgc as ssgc

CPU = torch.device("cpu")
# The C library gives freed memory back at once. Else how much of it lies in holes is chance.
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536"}
_known: dict[tuple[str, str, int, Size], float] = {}


def peak_ratio(name: str, count: int, side: Size, device: torch.device) -> float:
    """Of an explanation, as a multiple of the plain forward's."""
    modes = ("explain", "plain")
    explained, plain = (peak_megabytes(name, mode, count, side, device) for mode in modes)
    return explained / plain


def peak_megabytes(name: str, mode: str, count: int, side: Size, device: torch.device) -> float:
    """Of a process of its own: its peak memory above what it held before the run.

    A run on a small image comes first, so that libraries are loaded. Of a GPU: what PyTorch takes.
    """
    key = (name, mode, count, side)
    if key not in _known:
        measure = _peak_of_gpu if device.type == "cuda" else _peak_of_process
        _known[key] = measure(*key, device)
    return _known[key]


def _peak_of_process(name: str, mode: str, count: int, side: Size, device: torch.device) -> float:
    command = [sys.executable, __file__, name, mode, *map(str, (count, *side))]
    environment = {**os.environ, **ENVIRONMENT}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout.split()[-1])


def _peak_of_gpu(name: str, mode: str, count: int, side: Size, device: torch.device) -> float:
    case = case_of(name, device, count, side)
    run = case.plain if mode == "plain" else case.explained(METHOD, count)
    with torch.no_grad():
        run()
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
    return (torch.cuda.max_memory_allocated(device) - before) / 2**20


def _print_peak(name: str, mode: str, count: int, side: Size) -> None:
    case = case_of(name, CPU, count, side)
    run = case.plain if mode == "plain" else case.explained(METHOD, count)
    ssgc.explain(case.detector, torch.rand(1, 3, 64, 64), METHOD, score_threshold=0.0, top_k=count)
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _resident("VmRSS")
    with torch.no_grad():
        run()
    print(_resident("VmHWM") - before)


def _resident(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":"))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    name, mode, count, height, width = sys.argv[1:]
    _print_peak(name, mode, int(count), (int(height), int(width)))
