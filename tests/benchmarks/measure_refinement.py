"""Measures what Refined CAM reaches with how many forwards, beside its prior and D-RISE.

    python tests/benchmarks/measure_refinement.py docs/refinement.json docs/refinement.png \
        [--scenes 300] [--yolox FILE --coco FOLDER] [--forwards 0 30 100] [--masks 1000]
    python tests/benchmarks/measure_refinement.py docs/refinement.json docs/refinement.png --draw

One detection above 0.6 of each image, drawn at random. The settings of the method were chosen on
images of even numbers, so that ``--half odd`` is what may be shown. Figures are written after
each image. ``--draw`` only draws what was measured before; ``--masks 0`` leaves D-RISE out.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.detector import Detector
from captum_ssgc.metrics import deletion_insertion, energy_pointing_game, pointing_game
from captum_ssgc.visualization import METHOD_COLORS

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

COLUMNS = {
    "del_s1": "Deletion s1 ↓",
    "ins_s1": "Insertion s1 ↑",
    "del_s2": "Deletion s2 ↓",
    "ins_s2": "Insertion s2 ↑",
}
FIRST_SCENE = 1000
Case = tuple[Detector, Tensor, ssgc.Detections]


def chosen(detector: Detector, image: Tensor, number: int) -> ssgc.Detections | None:
    found = detector.detect(image)[0]
    rows = [
        row for row in found.scores.argsort(descending=True).tolist() if found.scores[row] > 0.6
    ]
    if not rows:
        return None
    generator = torch.Generator().manual_seed(number)
    return found[[rows[int(torch.randperm(len(rows), generator=generator)[0])]]]


def numbered(count: int, half: str) -> range:
    return {"odd": range(1, count, 2), "even": range(0, count, 2), "all": range(count)}[half]


def scenes(options: argparse.Namespace) -> Iterator[Case]:
    detector = ssgc.wrap_detector(demo.detector(), label_names=demo.CLASS_NAMES)
    for number in numbered(options.scenes, options.half):
        image = demo.scene(FIRST_SCENE + number).image[None]
        found = chosen(detector, image, number)
        if found is not None:
            yield detector, image, found


def photos(options: argparse.Namespace) -> Iterator[Case]:
    from captum_ssgc.detectors import yolox

    detector = yolox(options.yolox, score_threshold=0.4)
    files = sorted((options.coco / "images").iterdir())
    for number in numbered(len(files), options.half):
        image = ssgc.load_image(files[number])
        found = chosen(detector, image, number)
        if found is not None:
            yield detector, image, found


def heat_maps(
    case: Case, options: argparse.Namespace
) -> tuple[dict[str, Tensor], dict[str, float]]:
    detector, image, found = case
    wrapper = ssgc.InstanceScoreWrapper(detector, found)
    prior = ssgc.SSGradCAMPlusPlus(wrapper, detector.level_layers())
    refined = ssgc.RefinedCAM(wrapper)
    makers: dict[str, Callable[[], Tensor]] = {
        "ssgrad-cam++": lambda: prior.attribute_instances(image, fuse_layers="max")
    }
    for forwards in options.forwards:
        makers[f"refined-cam {forwards}"] = lambda forwards=forwards: refined.attribute_instances(
            image, forwards=forwards, perturbations_per_eval=16
        )
    if options.masks:
        makers["d-rise"] = lambda: ssgc.DRISE(wrapper).attribute_instances(
            image, n_masks=options.masks, perturbations_per_eval=16,
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
    maps, seconds = {}, {}
    for name, make in makers.items():
        start = time.process_time()
        maps[name] = make().detach()[:, 0]
        seconds[name] = time.process_time() - start
    return maps, seconds


def measured(
    cases: Iterator[Case], options: argparse.Namespace, store: Callable[[Any], None]
) -> None:
    """Hands on the means so far after every image."""
    sums: dict[str, dict[str, float]] = {}
    for count, case in enumerate(cases, start=1):
        maps, seconds = heat_maps(case, options)
        curves = deletion_insertion(*case, maps, generator=torch.Generator().manual_seed(0))
        for name, both in curves.items():
            row = {
                **{f"del_{score}": one.mean() for score, one in both.deletion.items()},
                **{f"ins_{score}": one.mean() for score, one in both.insertion.items()},
                "p_b": pointing_game(maps[name], boxes=case[2].boxes).mean(),
                "ep_b": energy_pointing_game(maps[name], boxes=case[2].boxes).mean(),
                "cpu_seconds": seconds[name],
            }
            known = sums.setdefault(name, dict.fromkeys(row, 0.0))
            sums[name] = {column: known[column] + value for column, value in row.items()}
        means = {
            name: {column: round(value / count, 4) for column, value in row.items()}
            for name, row in sums.items()
        }
        store({"detections": count, "half": options.half, "means": means})
        print(count, json.dumps(means), flush=True)


def drawn(results: dict[str, Any]) -> Figure:
    """Each column against the forwards, one line for each set of images."""
    figure = Figure((12, 3.4), layout="constrained")
    for ax, (column, title) in zip(figure.subplots(1, 4), COLUMNS.items(), strict=True):
        for (name, result), style in zip(results.items(), ("-", "--")):
            means = result["means"]
            refined = {
                int(key.split()[1]): row[column]
                for key, row in means.items()
                if key.startswith("refined-cam")
            }
            label = f"Refined CAM, {name} ({result['detections']})"
            color = METHOD_COLORS["refined-cam"]
            ax.plot(*zip(*sorted(refined.items())), style, color=color, marker="o", label=label)
            for method in ("ssgrad-cam++", "d-rise"):
                if method in means:
                    label = f"{method}, {name}"
                    ax.axhline(
                        means[method][column], ls=style, color=METHOD_COLORS[method], label=label
                    )
        ax.set_title(title)
        ax.set_xlabel("forwards for each detection")
        ax.spines[["top", "right"]].set_visible(False)
    figure.legend(
        *ax.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
    )
    return figure


def main() -> None:
    """Measure, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figures", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--yolox", type=Path)
    parser.add_argument("--coco", type=Path)
    parser.add_argument("--forwards", type=int, nargs="+", default=[0, 30, 100])
    parser.add_argument("--masks", type=int, default=1000)
    parser.add_argument("--half", choices=("odd", "even", "all"), default="odd")
    parser.add_argument("--draw", action="store_true")
    options = parser.parse_args()
    results: dict[str, Any] = {}

    def store(name: str, result: Any) -> None:
        results[name] = result
        options.figures.write_text(json.dumps(results, indent=1) + "\n")

    if options.draw:
        results = json.loads(options.figures.read_text())
    else:
        measured(scenes(options), options, lambda result: store("scenes", result))
        if options.yolox:
            measured(photos(options), options, lambda result: store("photos", result))
    drawn(results).savefig(options.picture, dpi=100)


if __name__ == "__main__":
    main()
