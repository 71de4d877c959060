"""What an explanation costs: the tables and the plot of ``docs/performance.rst``.

    python tests/benchmarks/measure_performance.py docs [--repeats 3] [--skip-growth] [--skip-peers]
    python tests/benchmarks/measure_performance.py docs --device cuda

Processor time of one thread, on a GPU the time until it is done; every row measured beside the
vendor's own forward in the same run; ratios of medians. Random weights, the demo detector excepted,
and as many detections as asked for.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from compare_speed import build, gradient_contestants
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.detectors import onnx_detector
from captum_ssgc.metrics import CurveSettings, deletion

METHOD = "ssgrad-cam++"
FIVE = ["grad-cam", "grad-cam++", "odam", "ssgrad-cam", METHOD]
DETECTION = torchvision.models.detection
Case = tuple[ssgc.Detector, Tensor, Callable[[], object]]
DEVICE = torch.device("cpu")  # --device


def of_torchvision(name: str, side: tuple[int, int], count: int) -> Case:
    """A detection model at one size, and its own forward with post-processing."""
    two_stage = "rcnn" in name
    limits = {"box_score_thresh": 0.0} if two_stage else {"score_thresh": 0.0}
    limits["box_detections_per_img" if two_stage else "detections_per_img"] = count
    if two_stage:
        limits["box_nms_thresh"] = 0.9
    if not name.startswith("ssd"):
        limits |= {"min_size": min(side), "max_size": max(side)}
    torch.manual_seed(0)
    model = getattr(DETECTION, name)(weights=None, weights_backbone=None, **limits)
    model.eval().to(DEVICE)
    image = torch.rand(1, 3, *side).to(DEVICE)
    return ssgc.wrap_detector(model), image, lambda: model(list(image))


def of_ultralytics(name: str, side: tuple[int, int], count: int) -> Case:
    from ultralytics import YOLO
    from ultralytics.utils.nms import non_max_suppression

    torch.manual_seed(0)
    model: Any = YOLO(f"{name}.yaml").model.eval().to(DEVICE)
    image = torch.rand(1, 3, *side).to(DEVICE)
    detector = ssgc.wrap_detector(model, score_threshold=0.0, max_detections=count)
    return detector, image, lambda: non_max_suppression(model(image)[0], 0.0, 0.7, max_det=count)


def of_onnx(name: str, side: tuple[int, int], count: int) -> Case:
    """What Ultralytics exports, converted again; its own forward is that of the converted graph."""
    from ultralytics import YOLO

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        model = YOLO(f"{name}.yaml")
        model.model.pt_path = str(Path(folder) / "it.pt")
        path = model.export(format="onnx", imgsz=side, simplify=False, verbose=False)
        detector = onnx_detector(path, score_threshold=0.0, max_detections=count)
    detector.model.to(DEVICE)
    image = torch.rand(1, 3, *side).to(DEVICE)
    return detector, image, lambda: detector.detect(image)


def of_transformers(name: str, side: tuple[int, int], count: int) -> Case:
    """A detector with an own ResNet, as vendors build it from its configuration."""
    import transformers

    torch.manual_seed(0)
    if name == "detr":
        config = transformers.DetrConfig(
            use_timm_backbone=False,
            use_pretrained_backbone=False,
            backbone=None,
            backbone_config=transformers.ResNetConfig(out_features=["stage4"]),
        )
        model: Any = transformers.DetrForObjectDetection(config).eval()
        size = {"shortest_edge": min(side), "longest_edge": max(side)}
        processor: Any = transformers.DetrImageProcessor(size=size)
    else:
        backbone = transformers.RTDetrResNetConfig(
            depths=[2, 2, 2, 2],
            hidden_sizes=[64, 128, 256, 512],
            layer_type="basic",
            out_features=["stage2", "stage3", "stage4"],
        )
        config = transformers.RTDetrConfig(
            backbone_config=backbone, encoder_in_channels=[128, 256, 512], decoder_layers=3
        )
        model = transformers.RTDetrForObjectDetection(config).eval()
        processor = transformers.RTDetrImageProcessor(size=dict(zip(("height", "width"), side)))
    model.to(DEVICE)
    image = torch.rand(1, 3, *side).to(DEVICE)
    detector = ssgc.wrap_detector(model, processor=processor, score_threshold=0.0)

    def plain() -> object:
        sizes = torch.tensor([side])
        outputs = model(pixel_values=image)
        return processor.post_process_object_detection(outputs, 0.0, sizes)

    return detector, image, plain


def of_demo(name: str, side: tuple[int, int], count: int) -> Case:
    model = demo.detector().to(DEVICE)
    image = demo.scene(3).image[None].to(DEVICE)
    return ssgc.wrap_detector(model), image, lambda: model(list(image))


ROWS: dict[str, tuple[Callable[[str, tuple[int, int], int], Case], str, tuple[int, int]]] = {
    "Faster R-CNN R50-FPN": (of_torchvision, "fasterrcnn_resnet50_fpn", (512, 512)),
    "Faster R-CNN MobileNet": (
        of_torchvision,
        "fasterrcnn_mobilenet_v3_large_320_fpn",
        (320, 320),
    ),
    "the demo detector": (of_demo, "demo", (320, 400)),
    "RetinaNet R50-FPN": (of_torchvision, "retinanet_resnet50_fpn", (512, 512)),
    "RetinaNet R50-FPN v2": (of_torchvision, "retinanet_resnet50_fpn_v2", (512, 512)),
    "FCOS R50-FPN": (of_torchvision, "fcos_resnet50_fpn", (512, 512)),
    "SSD300": (of_torchvision, "ssd300_vgg16", (300, 300)),
    "DETR R50": (of_transformers, "detr", (512, 512)),
    "RT-DETR R18": (of_transformers, "rtdetr", (640, 640)),
    "YOLO11n": (of_ultralytics, "yolo11n", (640, 640)),
    "YOLO11s": (of_ultralytics, "yolo11s", (640, 640)),
    "YOLO11n as an ONNX file": (of_onnx, "yolo11n", (640, 640)),
}
PERTURBED = ("Faster R-CNN MobileNet", "the demo detector", "YOLO11n")
AT_ONCE = 8  # images in one forward
GROWING = ("Faster R-CNN R50-FPN", "RetinaNet R50-FPN", "YOLO11n")
COUNTS = (1, 10, 100, 300)
SIZES = ((320, 320), (512, 512), (800, 1066), (1000, 1333))


def explained(case: Case, methods: str | list[str], count: int) -> Callable[[], object]:
    detector, image, _ = case
    return lambda: ssgc.explain(detector, image, methods, score_threshold=0.0, top_k=count)


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


def measured(name: str, side: tuple[int, int], count: int, repeats: int) -> dict[str, float]:
    make, model, _ = ROWS[name]
    case = make(model, side, count)
    runs = {
        "plain": case[2],
        "one": explained(case, METHOD, count),
        "five": explained(case, FIVE, count),
    }
    found = ratios(runs, repeats)
    found["operations"] = multiply_adds(runs["one"]) / multiply_adds(runs["plain"])
    return found


def peak_megabytes(name: str, mode: str, count: int) -> float:
    """Of processes of their own: their peak memory above what they held before the run, the median.

    A run on a small image comes first, so that libraries are loaded. Of a GPU: what PyTorch takes.
    """
    if DEVICE.type == "cuda":
        return peak_of_gpu(name, mode, count)
    command = [sys.executable, __file__, "--peak", name, mode, str(count)]
    peaks = []
    for _ in range(3):
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
        peaks.append(float(done.stdout.split()[-1]))
    return statistics.median(peaks)


def peak_of_gpu(name: str, mode: str, count: int) -> float:
    make, model, side = ROWS[name]
    case = make(model, side, count)
    run = case[2] if mode == "plain" else explained(case, METHOD, count)
    with torch.no_grad():
        run()
        torch.cuda.synchronize(DEVICE)
        torch.cuda.reset_peak_memory_stats(DEVICE)
        before = torch.cuda.memory_allocated(DEVICE)
        run()
        torch.cuda.synchronize(DEVICE)
    return (torch.cuda.max_memory_allocated(DEVICE) - before) / 2**20


def print_peak(name: str, mode: str, count: int) -> None:
    make, model, side = ROWS[name]
    case = make(model, side, count)
    run = case[2] if mode == "plain" else explained(case, METHOD, count)
    ssgc.explain(case[0], torch.rand(1, 3, 64, 64), METHOD, score_threshold=0.0, top_k=count)
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident("VmRSS")
    with torch.no_grad():
        run()
    print(resident("VmHWM") - before)


def resident(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":"))


def perturbing(repeats: int) -> str:
    """D-RISE and curves beside the detector's own forwards of as many images, as many at once."""
    rows = []
    for name in PERTURBED:
        rows.append([name, *(f"{value:.2f}" for value in perturbed(name, repeats))])
        print(rows[-1], flush=True)
    return table(["detector", "throughput of D-RISE", "overhead of Deletion"], rows)


def perturbed(name: str, repeats: int) -> tuple[float, float]:
    """Images in a second as a share of the detector's own, and what a curve takes beyond it."""
    make, model, side = ROWS[name]
    detector, image, _ = make(model, side, 4)
    found = detector.detect(image)[0][:4]
    maps = torch.rand(len(found), *image.shape[-2:], device=DEVICE)
    drise = ssgc.DRISE(ssgc.InstanceScoreWrapper(detector, found))
    points = CurveSettings(steps=8)  # seven changed images, and both ends once for all four maps
    options = {"perturbations_per_eval": AT_ONCE}
    count = 30

    def own() -> None:
        for start in range(0, count, AT_ONCE):
            detector.run(image.expand(min(AT_ONCE, count - start), -1, -1, -1))

    runs = {
        "own": own,
        "drise": lambda: drise.attribute_instances(image, n_masks=count, **options),
        "curve": lambda: deletion(detector, image, found, maps, points, **options),
    }
    measured = ratios(runs, repeats)
    return 1 / measured["drise"], measured["curve"] - 1


def table(header: list[str], rows: list[list[str]]) -> str:
    out = [".. list-table::", "   :header-rows: 1", ""]
    for row in [header, *rows]:
        out += [f"   {'*' if not place else ' '} - {cell}" for place, cell in enumerate(row)]
    return "\n".join([*out, ""])


def main_table(repeats: int) -> str:
    rows = []
    for name, (_, _, side) in ROWS.items():
        found = measured(name, side, 10, repeats)
        memory = peak_megabytes(name, "explain", 10) / peak_megabytes(name, "plain", 10)
        rows.append(
            [
                f"{name}, {side[0]} x {side[1]}",
                *(f"{found[key]:.2f}" for key in ("one", "five", "operations")),
                f"{memory:.2f}",
            ]
        )
        print(rows[-1], flush=True)
    header = ["detector, image", "SSGrad-CAM++", "five methods", "multiply-adds", "peak memory"]
    return table(header, rows)


def growth(folder: Path, repeats: int) -> str:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    rows = []
    for name in GROWING:
        by_count = [measured(name, ROWS[name][2], count, repeats)["one"] for count in COUNTS]
        left.plot(COUNTS, by_count, marker="o", label=name)
        rows.append([name, *(f"{value:.2f}" for value in by_count)])
        print(rows[-1], flush=True)
    sides = SIZES[:3]
    name = "Faster R-CNN R50-FPN"
    by_size = [measured(name, side, 10, 1)["one"] for side in sides]
    right.plot(
        [f"{h} x {w}" for h, w in sides], by_size, marker="o", label=f"{name}, 10 detections"
    )
    print(by_size, flush=True)
    for axes, label in ((left, "detections"), (right, "image")):
        axes.set(xlabel=label, ylabel="times the detector's own forward", ylim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend()
    left.set_xscale("log")
    suffix = "" if DEVICE.type == "cpu" else f"_{DEVICE.type}"
    figure.savefig(folder / f"performance{suffix}.png", dpi=110)
    sizes = [[f"{h} x {w}" for h, w in sides], [f"{value:.2f}" for value in by_size]]
    return (
        table(["detections", *map(str, COUNTS)], rows)
        + "\n"
        + table([f"{name}, 10 detections", *sizes[0]], [["SSGrad-CAM++", *sizes[1]]])
    )


def peers(repeats: int) -> str:
    model, image = build(10)
    runs = gradient_contestants(model, image)
    forward = "the model's own forward"
    ordered = {forward: runs[forward], **{k: v for k, v in runs.items() if k != forward}}
    found = ratios({name: _with_gradients(run) for name, run in ordered.items()}, repeats)
    rows = [[name, f"{value:.2f}"] for name, value in found.items()]
    print(rows, flush=True)
    return table(["ten detections of a Faster R-CNN R50-FPN, 320 x 416", "forwards"], rows)


def _with_gradients(run: Callable[[], object]) -> Callable[[], object]:
    def call() -> object:
        with torch.enable_grad():
            return run()

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--skip-growth", action="store_true")
    parser.add_argument("--skip-peers", action="store_true")
    parser.add_argument("--skip-perturbing", action="store_true")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--peak", nargs=3, metavar=("ROW", "MODE", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    global DEVICE
    DEVICE = torch.device(options.device)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if options.peak:
        print_peak(options.peak[0], options.peak[1], int(options.peak[2]))
        return
    parts = [main_table(options.repeats)]
    if not options.skip_growth:
        parts.append(growth(options.folder, max(options.repeats - 1, 1)))
    if not options.skip_peers:
        parts.append(peers(options.repeats))
    if not options.skip_perturbing:
        parts.append(perturbing(options.repeats))
    name = "performance_tables" if DEVICE.type == "cpu" else f"performance_{DEVICE.type}"
    (options.folder / f"{name}.rst").write_text("\n".join(parts))


if __name__ == "__main__":
    main()
