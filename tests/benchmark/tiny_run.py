"""A run that takes a second: coloured squares, a detector of their colours, and a main.

Run as a script, also by torchrun, where a test needs processes that it can kill or count.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from captum_ssgc.benchmark import AuditSettings, BenchmarkSettings, Summary, audit, run_benchmark
from captum_ssgc.detectors import CandidateDetector

CELL = 16
COLORS = np.array([[230, 30, 30], [30, 230, 30], [30, 30, 230]])
NAMES = ("red", "green", "blue")


class Tiny(nn.Module):
    """One candidate per cell of 16 pixels, scored by how red, green or blue it is.

    Args:
        broken: raise for images whose top left pixel is white.
        signals: what the process sends itself, by the number of the forward that it comes in.
    """

    def __init__(self, broken: bool = False, signals: dict[int, int] | None = None) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.AvgPool2d(4))
        self.broken, self.signals, self.forwards = broken, signals or {}, 0
        with torch.no_grad():
            self.features[0].weight.copy_((1.5 * torch.eye(3) - 0.5)[:, :, None, None])
            self.features[0].bias.zero_()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if self.broken and bool((images[:, :, 0, 0] == 1.0).all()):
            raise RuntimeError("the detector does not like this <image> & says so")
        self.forwards += 1
        if self.forwards in self.signals:
            os.kill(os.getpid(), self.signals[self.forwards])
        cells = F.avg_pool2d(self.features(images), 4)
        scores = cells.flatten(2).transpose(1, 2)
        rows, columns = cells.shape[-2:]
        along = [torch.arange(length, device=cells.device) for length in (rows, columns)]
        y, x = torch.meshgrid(*along, indexing="ij")
        corners = torch.stack([x, y, x + 1, y + 1], -1).reshape(-1, 4).float() * CELL
        return corners.expand(len(images), -1, -1), scores


def tiny_detector(
    broken: bool = False,
    signals: dict[int, int] | None = None,
    label_names: tuple[str, ...] | None = NAMES,
) -> CandidateDetector:
    model = Tiny(broken, signals).eval()
    return CandidateDetector(
        model,
        level_layers=[model.features],
        score_threshold=0.1,
        label_names=label_names,
    )


def means_of(summary: Summary) -> dict[tuple[str, str], float]:
    """The mean of every row and column but the times."""
    return {
        (row.name, key): cell.mean
        for row in summary.rows
        for key, cell in row.cells.items()
        if key != "seconds"
    }


def write_data(folder: Path, images: int, seed: int = 0) -> Path:
    """A COCO-format data set of noisy squares: polygons, run-length codes and a crowd."""
    random = np.random.default_rng(seed)
    entries, annotations = [], []
    for number in range(images):
        rows, columns = (3, 4) if number % 2 else (4, 3)
        pixels = random.integers(60, 90, (rows * CELL, columns * CELL, 3))
        cells = random.permutation(rows * columns)[: 1 + number % 3]
        for place, cell in enumerate(cells):
            y, x = (int(at) * CELL for at in divmod(cell, columns))
            color = int(random.integers(3))
            noise = random.integers(-25, 26, (CELL, CELL, 3))
            pixels[y : y + CELL, x : x + CELL] = COLORS[color] + noise
            corners = [x, y, x + CELL, y, x + CELL, y + CELL, x, y + CELL]
            mask = np.zeros(pixels.shape[:2], dtype=int)
            mask[y : y + CELL, x : x + CELL] = 1
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": 10 + color,
                "bbox": [x, y, CELL, CELL], "area": CELL * CELL, "iscrowd": int(place == 2),
                "segmentation": run_lengths(mask) if place else [corners],
            })  # fmt: skip
        name = f"image_{number:03}.png"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name)
        size = {"height": rows * CELL, "width": columns * CELL}
        entries.append({"id": number, "file_name": name, **size})
    categories = [{"id": 10 + place, "name": name} for place, name in enumerate(NAMES)]
    file = folder / "instances.json"
    content = {"images": entries, "annotations": annotations, "categories": categories}
    file.write_text(json.dumps(content))
    return file


def run_lengths(mask: np.ndarray) -> dict[str, object]:
    """COCO's uncompressed code: lengths of runs of 0 and 1 in turn, column by column."""
    counts, value = [0], 0
    for pixel in mask.T.ravel().tolist():
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return {"size": list(mask.shape), "counts": counts}


def settings(**changes: object) -> BenchmarkSettings:
    """Fast, but with everything in it."""
    options = {
        "methods": ("d-rise", "odam", "ssgrad-cam++"),
        "floors": ("noise", "box"),
        "drise_masks": 12,
        "drise_grid": (3, 3),
        "batch_size": 64,
    }
    return BenchmarkSettings(**(options | changes))


def audit_settings() -> AuditSettings:
    """Of an audit that is fast."""
    return AuditSettings(method="odam", fills="zero")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--signal", nargs=2, type=int, metavar=("FORWARD", "NUMBER"))
    parser.add_argument("--audit", action="store_true")
    given = parser.parse_args(globals().get("ARGUMENTS"))
    os.environ.update({k: str(v) for k, v in globals().get("ENVIRONMENT", {}).items()})
    # Whoever runs the tests in the background may have had it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        signals = dict([given.signal] if given.signal else [])
        detector = tiny_detector(signals=signals)
        if given.audit:
            audit(detector, given.data, given.run, audit_settings())
        else:
            run_benchmark(detector, given.data, given.run, settings())
    except KeyboardInterrupt:
        sys.exit(130)
