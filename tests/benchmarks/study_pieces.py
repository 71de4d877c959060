"""Takes SSGrad-CAM++ apart: every piece of its formula in every variant, on several detectors.

    python tests/benchmarks/study_pieces.py measure RUNS DETECTOR LAYER HALF WHAT COUNT [options]
    python tests/benchmarks/study_pieces.py write docs/study_tables.rst RUNS

DETECTOR is ``demo``, ``yolo`` (--yolo FILE), ``rtdetr`` (--rtdetr FOLDER) or ``yolox`` (--yolox
FILE --coco FOLDER --score-above 0.4); LAYER is ``levels`` (each detection's own) or the name of a
layer; HALF is ``choose`` or ``confirm``; WHAT is ``maps`` (pointing, energy, evidence), ``curves``
(all columns), ``tails`` (the same, of further orders of what a map leaves open) or ``drise``
(beside D-RISE). The halves share no image: scenes of other seeds, photos of even and of odd place
in their file. A run that was cut off goes on when it is started again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.attr import LayerMethod, _maps, register
from captum_ssgc.benchmark import BenchmarkSettings, MethodRow, report, run_benchmark
from captum_ssgc.cli.model_choice import ModelChoice
from captum_ssgc.cli.models import load_detector
from captum_ssgc.data import SceneDataset

CHOOSE, CONFIRM = 900_000, 500_000  # first seeds; the tables of results have scenes of CONFIRM
TINY = 1e-30


def pieces(
    activations: Tensor,
    gradients: Tensor,
    mask: Tensor | None = None,
    weights: str = "split",
    space: str = "abs",
    smoothing: float = 0.0,
    after: str = "none",
    amount: float = 0.0,
    reach: float = 1.0,
) -> Tensor:
    """SSGrad-CAM++ with its pieces exchanged.

    Args:
        activations: ``(N, C, h, w)``.
        gradients: ``(N, C, h, w)``.
        mask: of the instance.
        weights: of a channel's positive and negative part: ``split``, ``as_is``, ``positive``
            (that part alone) or ``net`` (what speaks for it minus what speaks against it).
        space: ``abs`` (eq. 5), ``parts`` (each part's positive gradient), ``signed`` (negative
            where the gradient speaks against the part).
        smoothing: of the space map, in cells.
        after: what is done with the map: ``none``, ``mask`` (confined to it), ``smooth`` (by
            ``reach`` cells), ``order`` (its values in the order of the map smoothed by ``reach``
            cells), ``tail`` (plus ``amount`` of the map spread by ``reach`` times the side of the
            region), ``floor`` (the space map is at least ``amount``), ``spread`` (plus ``amount``
            of the space map, spread as in ``tail``), ``content`` (as ``tail``, times the map
            without its space map).
        amount: see ``after``.
        reach: see ``after``.
    """
    part = torch.where(activations > 0, 1.0, -1.0).to(activations)  # d|A| / dA
    slope = part * gradients
    if weights == "as_is":
        each = _maps.plus_plus_weights(activations, gradients, mask) * activations
    elif weights == "net":
        above = _net(activations.clamp(min=0), gradients, mask)
        below = _net((-activations).clamp(min=0), -gradients, mask)
        each = torch.where(activations > 0, above, below) * activations.abs()
    else:
        each = _maps.split_weights(activations, gradients, mask) * activations
        if weights == "positive":
            each = torch.where(activations > 0, each, 0.0)
    if space == "abs":
        where = _maps.space_map(gradients, smoothing)
    else:
        both = [_maps.smoothed(side * gradients, smoothing) for side in (1.0, -1.0)]
        kept = both if space == "signed" else [one.clamp(min=0) for one in both]
        peaks = [one.abs().amax((-2, -1), keepdim=True).clamp(min=TINY) for one in kept]
        where = torch.where(activations > 0, kept[0] / peaks[0], kept[1] / peaks[1])
    side = 1.0 if mask is None else float(mask[0, 0].sum()) ** 0.5
    if after == "floor":
        where = where.clamp(min=0) * (1 - amount) + amount * (slope.abs().amax((-2, -1), True) > 0)
    if after == "spread":
        where = where + amount * _spread(where, reach * side)
    found = (each * where).sum(1, keepdim=True).clamp(min=0)
    if after == "mask" and mask is not None:
        found = found * mask.to(found)
    elif after == "smooth":
        found = _maps.smoothed(found, reach)
    elif after == "order":
        found = _reordered(found, _maps.smoothed(found, reach))
    elif after == "tail":
        found = found + amount * _spread(found, reach * side)
    elif after == "content":
        near = _spread(found, reach * side) * each.sum(1, keepdim=True).clamp(min=0)
        sums = [one.sum((-2, -1), keepdim=True) for one in (found, near)]
        found = found + amount * near * sums[0] / sums[1].clamp(min=TINY)
    return found


def _net(activations: Tensor, gradients: Tensor, mask: Tensor | None) -> Tensor:
    against = _maps.plus_plus_weights(activations, -gradients, mask)
    return _maps.plus_plus_weights(activations, gradients, mask) - against


def _spread(maps: Tensor, sigma: float) -> Tensor:
    """A Gaussian without end, which keeps the sum."""
    for axis in (-2, -1):
        places = torch.arange(maps.shape[axis], dtype=maps.dtype, device=maps.device)
        kernel = torch.exp(-((places[:, None] - places) ** 2) / (2 * sigma**2)).clamp(min=TINY)
        kernel = kernel / kernel.sum(0)
        maps = kernel @ maps if axis == -2 else maps @ kernel.mT
    return maps


def _reordered(values: Tensor, by: Tensor) -> Tensor:
    """The values of each map, the largest where ``by`` is largest."""
    order = by.flatten(2).argsort(-1, descending=True)
    falling = values.flatten(2).sort(-1, descending=True).values
    return torch.empty_like(falling).scatter_(-1, order, falling).view_as(values)


@register
class Pieces(LayerMethod):
    """SSGrad-CAM++ with its pieces exchanged, see :func:`pieces`."""

    name, title = "pieces", "Pieces"
    maps = staticmethod(pieces)


def row(**options: Any) -> MethodRow:
    return MethodRow("pieces", options)


PEERS = ["odam", "ssgrad-cam", "layer-cam"]
BASES = [
    {"weights": weights, "space": space}
    for weights in ("split", "as_is", "positive", "net")
    for space in ("abs", "parts", "signed")
]
SMOOTHINGS = [{"smoothing": sigma} for sigma in (0.5, 1.0, 1.5, 2.0)]
AFTER = [
    {"after": "mask"},
    {"after": "smooth", "reach": 1.0},
    {"after": "order", "reach": 1.0},
    {"after": "tail", "amount": 0.001},
    {"after": "tail", "amount": 0.01},
    {"after": "tail", "amount": 0.1},
    {"after": "tail", "amount": 0.1, "reach": 0.3},
    {"after": "spread", "amount": 0.1},
    {"after": "floor", "amount": 0.02},
]
BEST = {"weights": "net", "space": "parts", "output": "logit"}
MAPS = [
    "ssgrad-cam++",
    *PEERS,
    ("odam", {"output": "logit"}),
    ("ssgrad-cam", {"output": "logit"}),
    *[row(**base, output=output) for output in ("score", "logit") for base in BASES],
    *[row(**one) for one in (*SMOOTHINGS, *AFTER)],
    *[row(**BEST, **one) for one in (SMOOTHINGS[1], AFTER[0], *AFTER[2:6])],
]
CURVES = [
    "ssgrad-cam++",
    *PEERS[:2],
    row(smoothing=1.0),
    row(**AFTER[2]),
    row(**AFTER[4]),
    row(**BEST),
    row(**BEST, **AFTER[3]),
    row(**BEST, **AFTER[4]),
    row(**(BEST | {"weights": "as_is"}), **AFTER[4]),
]


TAILS = [
    row(**BEST, after="tail", amount=0.01, reach=0.5),
    row(**BEST, after="tail", amount=0.01, reach=2.0),
    row(**BEST, after="content", amount=0.01),
    row(**BEST, after="content", amount=0.01, reach=2.0),
]


CONFIRM_MAPS = [
    "ssgrad-cam++",
    ("ssgrad-cam++", {"output": "logit"}),
    ("ssgrad-cam++", {"smoothing": 1.0}),
    *PEERS[:2],
    ("odam", {"output": "logit"}),
    ("ssgrad-cam", {"output": "logit"}),
    "ssgrad-cam+-",
    ("ssgrad-cam+-", {"output": "logit"}),
    ("ssgrad-cam+-", {"halo": 0.0}),
]
CONFIRM_CURVES = [CONFIRM_MAPS[place] for place in (0, 2, 3, 4, 7, 8, 9)]
BESIDE_DRISE = ["ssgrad-cam++", "ssgrad-cam+-", ("d-rise", {"n_masks": 200})]
ROWS = {
    "choose": {"maps": MAPS, "curves": CURVES, "tails": TAILS},
    "confirm": {"maps": CONFIRM_MAPS, "curves": CONFIRM_CURVES, "drise": BESIDE_DRISE},
}


def detector_of(options: argparse.Namespace) -> Any:
    if options.detector == "demo":
        return ssgc.wrap_detector(demo.detector(), label_names=demo.CLASS_NAMES)
    if options.detector == "yolo":
        from ultralytics import YOLO

        return ssgc.wrap_detector(YOLO(options.yolo))
    if options.detector == "rtdetr":
        return load_detector(ModelChoice(f"transformers:{options.rtdetr}", score_threshold=0.3))
    from captum_ssgc.detectors import yolox

    return yolox(options.yolox, score_threshold=0.4, level_layers=["Mul_246", "Mul_272", "Mul_298"])


def data_of(options: argparse.Namespace, folder: Path) -> tuple[Any, Path | None]:
    """The images of the half, at most COUNT."""
    if options.detector != "yolox":
        return SceneDataset(CHOOSE if options.half == "choose" else CONFIRM, options.count), None
    content = json.loads((options.coco / "instances.json").read_text())
    first = 0 if options.half == "choose" else 1
    content["images"] = content["images"][first::2][: options.count]
    kept = {image["id"] for image in content["images"]}
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] in kept]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "instances.json"
    file.write_text(json.dumps(content))
    return file, options.coco / "images"


def measure(options: argparse.Namespace) -> None:
    folder = options.runs / "-".join(
        [options.detector, options.layer, options.half, options.what, str(options.count)]
    )
    curves = options.what != "maps"
    photos = options.detector == "yolox"
    settings = BenchmarkSettings(
        methods=ROWS[options.half][options.what],
        metrics=[
            *["deletion-insertion"] * curves,
            *("pointing-game", "energy-pointing-game"),
            *["evidence-energy"] * (not photos),
        ],
        floors=("box",),
        layer=None if options.layer == "levels" else (options.layer,),
        score_above=options.score_above,
        iou_above=0.5,
        max_detections=1 if curves else 8,
    )
    data, images = data_of(options, folder.with_name(folder.name + "-data"))
    run_benchmark(detector_of(options), data, folder, settings, images=images)
    print((folder / "table.md").read_text())


WHERE = {
    "demo": "the detector in the package, scenes",
    "yolo": "YOLO11n trained on scenes, scenes",
    "rtdetr": "RT-DETR trained on scenes, scenes",
    "yolox": "YOLOX-nano, photos of COCO",
}
HALVES = {"choose": "chosen on", "confirm": "confirmed on"}


def write(options: argparse.Namespace) -> None:
    """One table for each run, the confirmation first."""
    folders = [folder for folder in options.runs.iterdir() if (folder / "run.json").exists()]
    order = {name: place for place, name in enumerate([*WHERE, "confirm", "choose", "curves"])}

    def place(folder: Path) -> tuple[Any, ...]:
        detector, layer, half, what, _ = folder.name.split("-")
        return (order[half], order[detector], layer != "levels", what)

    folders = sorted((one for one in folders if one.name.count("-") == 4), key=place)
    lines = [line for folder in folders for line in section(folder)]
    options.output.write_text("\n".join(lines))


def section(folder: Path) -> list[str]:
    detector, layer, half, _, _ = folder.name.split("-")
    summary = report(folder)
    columns = [column for column in summary.columns if column.key != "seconds"]
    counts = summary.counts
    layer = "own level" if layer == "levels" else f"``{layer}``"
    title = (
        f"{WHERE[detector][0].upper()}{WHERE[detector][1:]}, {layer}: {HALVES[half]} "
        f"{counts['images'] - counts['failed']} images, {counts['evaluated']} detections"
    )
    lines = [f".. list-table:: {title}", "   :header-rows: 1", "", "   * -"]
    lines += [f"     - {column.title} {column.arrow}" for column in columns]
    for one in summary.rows:
        lines.append(f"   * - {one.title if one.is_floor else label(summary.settings, one.name)}")
        for column in columns:
            cell = one.cells.get(column.key)
            text = "" if cell is None else column.text(cell.mean)
            mark = " •" if cell is not None and cell.as_best else ""
            lines.append(f"     - **{text}**" if cell and cell.best else f"     - {text}{mark}")
    return [*lines, ""]


def label(settings: BenchmarkSettings, key: str) -> str:
    """What a row is, in words."""
    [found] = [one for one in settings.rows if one.key == key]
    options = dict(found.options)
    if found.method != "pieces":
        return found.title
    words = [f"weights {options.pop('weights', 'split')}", f"space {options.pop('space', 'abs')}"]
    output = options.pop("output", "score")
    after = options.pop("after", None)
    words += [f"smoothing {options.pop('smoothing'):g}"] if "smoothing" in options else []
    words += [" ".join([after, *(f"{name} {value:g}" for name, value in sorted(options.items()))])
              ] if after else []  # fmt: skip
    return ", ".join([*words, *([output] if output != "score" else [])])


def main() -> None:
    """Measure, or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("measure")
    run.set_defaults(do=measure)
    run.add_argument("runs", type=Path)
    run.add_argument("detector", choices=["demo", "yolo", "rtdetr", "yolox"])
    run.add_argument("layer")
    run.add_argument("half", choices=["choose", "confirm"])
    run.add_argument("what", choices=["maps", "curves", "tails", "drise"])
    run.add_argument("count", type=int)
    run.add_argument("--score-above", type=float, default=0.5)
    for name in ("yolo", "rtdetr", "yolox", "coco"):
        run.add_argument(f"--{name}", type=Path)
    tables = commands.add_parser("write")
    tables.set_defaults(do=write)
    tables.add_argument("output", type=Path)
    tables.add_argument("runs", type=Path)
    options = parser.parse_args()
    options.do(options)


if __name__ == "__main__":
    main()
