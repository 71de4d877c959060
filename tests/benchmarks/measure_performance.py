"""What an explanation costs: the tables and the plot of ``docs/performance.rst``.

    python tests/benchmarks/measure_performance.py docs [--repeats 3] [--skip-growth] ...
    python tests/benchmarks/measure_performance.py docs --device cuda

Processor time of one thread, on a GPU the time until it is done; every row measured beside the
vendor's own forward in the same run; ratios of medians. What needs a trained detector and photos
looks for them in the folder ``CAPTUM_SSGC_DATA``, other packages come with the extra ``[compare]``;
what is not there is left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from performance_cases import (
    DATA,
    DETECTIONS,
    GROWING,
    HAS_DATA,
    METHOD,
    PERTURBED,
    ROWS,
    Size,
    case_of,
)
from performance_peaks import peak_ratio
from performance_peers import FIVE, SIZE, faster_rcnn, gradient_runs, mask_runs
from performance_share import shares
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

import captum_ssgc as ssgc
from captum_ssgc.metrics import CurveSettings, deletion

DEVICE = torch.device("cpu")  # --device
COUNTS = (1, 10, 100, 300)
SIZES = ((320, 320), (512, 512), (800, 1066), (1000, 1333))
AT_ONCE = {"cpu": (8,), "cuda": (8, 32)}  # changed images in one forward
PARTS = ("detectors", "growth", "peers", "perturbing", "share")
# The C library keeps what is freed. Else a batch of eight images spends a third of its time on
# getting memory anew, and how much of it is chance.
KEEPING = {"MALLOC_TRIM_THRESHOLD_": str(2**34), "MALLOC_MMAP_MAX_": "0"}


def now() -> float:
    """Seconds of the processor, or those until a GPU has done all that was asked of it."""
    if DEVICE.type != "cuda":
        return time.process_time()
    torch.cuda.synchronize(DEVICE)
    return time.perf_counter()


def ratios(contestants: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Time of each, as a multiple of the first's: ratios of medians, taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for repeat in range(repeats + 1):
        for name, run in contestants.items():
            start = now()
            with torch.no_grad():
                run()
            if repeat:
                seconds[name].append(now() - start)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    first = next(iter(medians.values()))
    return {name: median / first for name, median in medians.items()}


class Operations(TorchDispatchMode):
    """Counts the operations of convolutions and matrix products, backward ones too.

    PyTorch's own counter sets hooks on modules, which ``torch.autograd.grad`` cannot bear.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=result)
        return result


def multiply_adds(run: Callable[[], object]) -> int:
    with torch.no_grad(), Operations() as counter:
        run()
    return counter.total


def table(title: str, header: list[str], rows: list[list[str]]) -> str:
    out = [f".. list-table:: {title}", "   :header-rows: 1", ""]
    for row in [header, *rows]:
        out += [f"   {'*' if not place else ' '} - {cell}" for place, cell in enumerate(row)]
    return "\n".join([*out, ""])


def written(values: Iterable[float]) -> list[str]:
    return [f"{value:.2f}" for value in values]


def by_detector(repeats: int) -> list[str]:
    """Ten detections of every detector: time, operations and memory."""
    rows = []
    for name, (_, _, side) in ROWS.items():
        case = case_of(name, DEVICE, DETECTIONS)
        one, five = (case.explained(methods, DETECTIONS) for methods in (METHOD, FIVE))
        found = ratios({"plain": case.plain, "one": one, "five": five}, repeats)
        operations = multiply_adds(one) / multiply_adds(case.plain)
        memory = peak_ratio(name, DETECTIONS, side, DEVICE)
        figures = written([found["one"], found["five"], operations, memory])
        rows.append([f"{name}, {sized(side)}", *figures])
        print(rows[-1], flush=True)
    header = ["detector, image", "SSGrad-CAM++", "five methods", "multiply-adds", "peak memory"]
    return [table("Ten detections, in forwards of the detector", header, rows)]


def sized(side: Size) -> str:
    return f"{side[0]} x {side[1]}"


def growth(folder: Path, repeats: int) -> list[str]:
    """Time and memory over the number of detections, and over the size of the image."""
    figure, panels = plt.subplots(2, 2, figsize=(12, 8.5), layout="constrained", sharey="row")
    sides = [sized(side) for side in SIZES]
    tables = []
    for column, (label, ticks) in enumerate((("detections", COUNTS), ("image", sides))):
        found: dict[str, tuple[list[float], list[float]]] = {}
        for name in GROWING:
            if label == "detections":
                points = [(count, ROWS[name][2]) for count in COUNTS]
            else:
                points = [(DETECTIONS, side) for side in SIZES]
            found[name] = (
                [seconds_ratio(name, *point, repeats) for point in points],
                [peak_ratio(name, *point, DEVICE) for point in points],
            )
            print(label, name, *map(written, found[name]), flush=True)
        for row, kind in enumerate(("time", "peak memory")):
            axes = panels[row, column]
            for name in GROWING:
                axes.plot(ticks, found[name][row], marker="o", label=name)
            axes.set(xlabel=label, ylabel=f"{kind}, in forwards")
            axes.grid(alpha=0.3)
            axes.legend()
            lines = [[name, *written(found[name][row])] for name in GROWING]
            title = f"{kind.capitalize()}, in forwards of the detector, by {label}"
            tables.append(table(title, [label, *map(str, ticks)], lines))
    for axes in panels[:, 0]:
        axes.set_xscale("log")
        axes.set_xticks(COUNTS, map(str, COUNTS))
        axes.minorticks_off()
        axes.set_ylim(0, None)  # of both in the row, when all is drawn
    suffix = "" if DEVICE.type == "cpu" else f"_{DEVICE.type}"
    figure.savefig(folder / f"performance{suffix}.png", dpi=110)
    return tables


def seconds_ratio(name: str, count: int, side: Size, repeats: int) -> float:
    case = case_of(name, DEVICE, count, side)
    runs = {"plain": case.plain, "one": case.explained(METHOD, count)}
    return ratios(runs, repeats)["one"]


def peers(repeats: int) -> list[str]:
    """Other packages on the same detector, in turns with this one."""
    model, image = faster_rcnn(DEVICE)
    forward: dict[str, Callable[[], object]] = {
        "the model's own forward": lambda: model(list(image))
    }
    found = ratios(forward | gradient_runs(model, image), repeats)
    found |= ratios(forward | mask_runs(model, image), 1)
    rows = [[name, *written([value])] for name, value in found.items()]
    print(rows, flush=True)
    what = f"{DETECTIONS} detections of a Faster R-CNN R50-FPN, {sized(SIZE)}"
    return [table("Other packages", [what, "forwards"], rows)]


def perturbing(repeats: int) -> list[str]:
    """D-RISE and curves beside the detector's own forwards of as many images, as many at once."""
    if DEVICE.type == "cpu" and KEEPING.items() - os.environ.items():
        return _keeping_memory("perturbing", repeats)
    rows, several = [], AT_ONCE[DEVICE.type]
    for name in PERTURBED:
        found = [value for at_once in several for value in perturbed(name, at_once, repeats)]
        rows.append([name, *written(found)])
        print(rows[-1], flush=True)
    header = ["detector"]
    for at_once in several:
        header += [
            f"throughput of D-RISE, {at_once} at once",
            f"overhead of Deletion, {at_once} at once",
        ]
    return [table("Changed images, beside forwards of as many", header, rows)]


def _keeping_memory(part: str, repeats: int) -> list[str]:
    """The tables of one part, from a process that keeps what memory it has."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, folder, "--repeats", str(repeats)]
        command += [f"--skip-{other}" for other in PARTS if other != part]
        subprocess.run(command, check=True, env={**os.environ, **KEEPING})
        return [Path(folder, "performance_tables.rst").read_text()]


def perturbed(name: str, at_once: int, repeats: int) -> tuple[float, float]:
    """Images in a second as a share of the detector's own, and what a curve takes beyond it."""
    case = case_of(name, DEVICE, 4)
    detector, image = case.detector, case.image
    found = detector.detect(image)[0][:4]
    maps = torch.rand(len(found), *image.shape[-2:], device=DEVICE)
    drise = ssgc.DRISE(ssgc.InstanceScoreWrapper(detector, found))
    points = CurveSettings(steps=at_once)
    count = len(found) * (at_once - 1) + 2  # both ends once for all maps
    options = {"perturbations_per_eval": at_once}

    def own() -> None:
        for start in range(0, count, at_once):
            detector.run(image.expand(min(at_once, count - start), -1, -1, -1))

    runs: dict[str, Callable[[], object]] = {
        "own": own,
        "drise": lambda: drise.attribute_instances(image, n_masks=count, **options),
        "curve": lambda: deletion(detector, image, found, maps, points, **options),
    }
    measured = ratios(runs, repeats)
    return 1 / measured["drise"], measured["curve"] - 1


def share() -> list[str]:
    header = ["benchmark of two methods and the floors", "detections", "own share"]
    return [table("What is neither forward nor backward", header, shares(DEVICE, now))]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs"))
    parser.add_argument("--repeats", type=int, default=3)
    for part in PARTS:
        parser.add_argument(f"--skip-{part}", action="store_true", help="leave its tables out")
    parser.add_argument("--device", default="cpu", choices=sorted(AT_ONCE))
    options = parser.parse_args()
    global DEVICE
    DEVICE = torch.device(options.device)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if not HAS_DATA:
        print(f"YOLOX-nano is left out: no such file and photos in {DATA}", flush=True)
    repeats = options.repeats
    parts: list[str] = []
    if not options.skip_detectors:
        parts += by_detector(repeats)
    if not options.skip_growth:
        parts += growth(options.folder, max(repeats - 2, 1))
    if not options.skip_peers:
        parts += peers(repeats)
    if not options.skip_perturbing:
        parts += perturbing(repeats)
    if not options.skip_share:
        parts += share()
    name = "performance_tables" if DEVICE.type == "cpu" else f"performance_{DEVICE.type}"
    (options.folder / f"{name}.rst").write_text("\n".join(parts))


if __name__ == "__main__":
    main()
