"""Resident memory of a benchmark run over many synthetic scenes, as a table and a picture.

    python tests/benchmarks/measure_memory.py docs/memory.png [--scenes 5000]

Runs ``captum-ssgc benchmark`` in a process of its own and reads its resident memory every few
seconds; writes ``scene,megabytes`` beside the picture, as CSV.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

METHODS = "ssgrad-cam++,ssgrad-cam,odam"
METRICS = "pointing-game,energy-pointing-game,evidence-energy"
SECONDS = 3.0


def resident_megabytes(process: int) -> float | None:
    """From Linux's /proc; ``None`` when the process has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
    return int(found[0]) / 1024 if found else None


def scenes_done(run: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in (run / "results").glob("*"))


def measure(scenes: int) -> list[tuple[int, float]]:
    """Pairs of scenes done and megabytes, until the run has ended."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [
            sys.executable, "-W", "ignore", "-m", "captum_ssgc", "benchmark",
            "--data", f"synthetic:{scenes}", "--model", "demo", "--methods", METHODS,
            "--metrics", METRICS, "--max-detections", "2", "-o", str(run),
        ]  # fmt: skip
        samples = []
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                time.sleep(SECONDS)
                used = resident_megabytes(process.pid)
                done = scenes_done(run)
                if used and done:
                    samples.append((done, used))
        if process.returncode:
            raise SystemExit(f"the run ended with {process.returncode}")
    return samples


def main() -> None:
    """Measure, write the table, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("--scenes", type=int, default=5000)
    options = parser.parse_args()
    samples = measure(options.scenes)
    with options.picture.with_suffix(".csv").open("w", newline="") as file:
        csv.writer(file).writerows([("scene", "megabytes"), *samples])
    done, used = zip(*samples, strict=True)
    figure, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
    ax.plot(done, used)
    ax.set(xlabel="scenes done", ylabel="resident memory (MB)", ylim=(0, None), xlim=(0, None))
    ax.grid(alpha=0.3)
    figure.savefig(options.picture, dpi=110)


if __name__ == "__main__":
    main()
