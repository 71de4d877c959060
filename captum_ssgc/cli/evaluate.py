"""``captum-ssgc evaluate``: how good the heat maps of an image's detections are."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from captum_ssgc.cli.each_image import ExplainedImage, add_images_parser
from captum_ssgc.cli.messages import say, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from captum_ssgc.detections import Detections
    from captum_ssgc.metrics import DeletionInsertion

PRESETS = ("yamauchi2024", "drise", "odam")
_CURVES = {"Del s1": "s1", "Del s2": "s2", "Ins s1": "s1", "Ins s2": "s2"}
_SHOWN = (0.1, 0.3, 0.6)

_DESCRIPTION = """\
Measure the heat maps of an image's detections, for one method or several.

Deletion (lower is better) and Insertion (higher is better), each with the score of the detection's
own candidate (s1) and with the best match among the outputs of the changed image (s2), and whether
the map's maximum (P) and how much of its energy (eP) lies in the predicted box. The table is
printed; for every image a picture of the curves, with the changed images at a few steps, and a JSON
file are written.
"""
_EPILOG = """\
examples:
  captum-ssgc evaluate street.jpg
  captum-ssgc evaluate street.jpg --method odam,ssgrad-cam++ --top-k 3
  captum-ssgc evaluate photo.jpg --model onnx:yolox_nano.onnx --preset odam

exit codes: 0 all measured; 1 nothing detected in some image; 2 something failed.
"""


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = add_images_parser(
        subparsers,
        "evaluate",
        _evaluate,
        help="measure the heat maps of images",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument_group("measurement").add_argument(
        "--preset",
        choices=PRESETS,
        default=PRESETS[0],
        help="whose settings of Deletion and Insertion, one of %(choices)s (default: %(default)s)",
    )


def _evaluate(of: ExplainedImage) -> Callable[[], None]:
    evaluation = _measure(of)
    folder = of.folders.folder_for(f"{of.path.stem}_evaluation", str(of.path))
    names = [f"{folder.name}_curves.png", f"{folder.name}.json"]
    _picture(of, evaluation).savefig(folder / names[0])
    record = {"image": str(of.path), "preset": of.args.preset, "files": names}
    measured = evaluation.measured
    rows = [one for of_detection in zip(*measured, strict=True) for one in of_detection]
    (folder / names[1]).write_text(json.dumps({**record, "maps": rows}, indent=2) + "\n")

    def show() -> None:
        _print(of.path.name, measured)
        say(f"  -> {folder / names[0]} and {names[1]}\n")

    return show


@dataclass(frozen=True)
class _Evaluation:
    """What was measured of one image.

    Args:
        detections: ``K`` of them.
        maps: for each method ``(K, H, W)``.
        curves: for each method.
        measured: for each method a row of figures for every detection.
    """

    detections: Detections
    maps: dict[str, Tensor]
    curves: dict[str, DeletionInsertion]
    measured: list[list[dict[str, Any]]]


def _measure(of: ExplainedImage) -> _Evaluation:
    import torch

    from captum_ssgc.metrics import deletion_insertion, energy_pointing_game, pointing_game

    found = of.explanations
    methods = list(dict.fromkeys(one.method for one in found))
    by_method = {name: [one for one in found if one.method == name] for name in methods}
    image = of.image.to(found[0].heat_map.device)
    detections = of.detector.detect(image)[0][[one.index for one in by_method[methods[0]]]]
    maps = {name: torch.stack([one.heat_map for one in ones]) for name, ones in by_method.items()}
    curves = deletion_insertion(of.detector, image, detections, maps, of.args.preset)
    measured = []
    for name, ones in by_method.items():
        both = (curves[name].deletion, curves[name].insertion)
        figures = {
            column: both[column.startswith("Ins")][score].area.tolist()
            for column, score in _CURVES.items()
        }
        boxes = detections.boxes
        figures["P"] = pointing_game(maps[name], boxes=boxes).values.tolist()
        figures["eP"] = energy_pointing_game(maps[name], boxes=boxes).values.tolist()
        measured.append(
            [
                {
                    "label": one.label,
                    "score": one.score,
                    "method": name,
                    **{column: values[row] for column, values in figures.items()},
                }
                for row, one in enumerate(ones)
            ]
        )
    return _Evaluation(detections, maps, curves, measured)


def _picture(of: ExplainedImage, evaluation: _Evaluation) -> Figure:
    """Deletion and Insertion with s1, the mean over the detections, one line for each method.

    The images above the curves are those of the first detection and the last method.
    """
    from matplotlib.figure import Figure

    from captum_ssgc.metrics import deletion_images, insertion_images, preset_named
    from captum_ssgc.visualization import curves as draw

    preset = preset_named(of.args.preset)
    count, method = len(evaluation.detections), list(evaluation.maps)[-1]
    mean = f"mean of {count} detections" if count > 1 else "1 detection"
    shown = f"images: {of.explanations[0].label}, {method}"
    figure = Figure(figsize=(11.5, 5.4), layout="constrained")
    figure.suptitle(f"{of.path.name} · {mean} · {shown}", x=0.01, ha="left", fontweight="bold")
    left, right = figure.subplots(1, 2)
    for ax, name, settings, images_at in (
        (left, "deletion", preset.deletion, deletion_images),
        (right, "insertion", preset.insertion, insertion_images),
    ):
        chosen = {method: getattr(both, name)["s1"] for method, both in evaluation.curves.items()}
        fractions = next(iter(chosen.values())).fractions.cpu()
        steps = [round(settings.steps * fraction) for fraction in _SHOWN]
        first = evaluation.detections[:1]
        images = images_at(of.image, first, evaluation.maps[method][:1], settings, steps)[0]
        removes = name == "deletion"
        draw(
            fractions,
            {method: one.scores.nanmean(0).cpu() for method, one in chosen.items()},
            ax=ax,
            thumbnails=[(float(fractions[step]), image) for step, image in zip(steps, images)],
            title=f"{name.capitalize()} (s1, {'lower' if removes else 'higher'} is better)",
            x_label=f"share of the {settings.budget}'s pixels {'removed' if removes else 'added'}",
            y_label="share of the initial score" if settings.normalize else "score",
        )
    return figure


def _print(name: str, measured: Sequence[Sequence[dict[str, Any]]]) -> None:
    columns = [*_CURVES, "P", "eP"]
    rows = []
    for number, of_detection in enumerate(zip(*measured, strict=True), start=1):
        for place, one in enumerate(of_detection):
            known = [str(number), one["label"], f"{one['score']:.3f}"] if not place else [""] * 3
            rows.append([*known, one["method"], *(f"{one[column]:.3f}" for column in columns)])
    shown = table(["#", "label", "score", "method", *columns], rows, right=["#", "score", *columns])
    say(f"{name}: Deletion lower, all others higher is better")
    say("\n".join(f"  {line}" for line in shown.splitlines()))
