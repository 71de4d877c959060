"""``captum-ssgc evaluate``: how good the heat maps of an image's detections are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from captum_ssgc.cli.each_image import ExplainedImage, add_images_parser
from captum_ssgc.cli.messages import say, table

if TYPE_CHECKING:
    from captum_ssgc.cli.map_quality import MapQuality

PRESETS = ("yamauchi2024", "drise", "odam", "vxcode2026", "vxcode2026-patches")

_DESCRIPTION = """\
Measure the heat maps of an image's detections, for one method or several.

Deletion (lower is better) and Insertion (higher is better), each with the detection's class score
(s1: of its own candidate or of the best one at its place, as the preset says) and with the best
agreement in box and class among all candidates of the changed image (s2), and whether the map's
maximum (P) and how much of its energy (eP) lies in the predicted box. The table is printed; for
every image a picture of the curves, with the changed images at a few steps, and a JSON file are
written.
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
        lambda args, folders: nullcontext(_evaluate),
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
    from captum_ssgc.cli.map_quality import measure_maps
    from captum_ssgc.cli.quality_figure import quality_figure

    preset = of.args.preset
    quality = measure_maps(of.detector, of.image, of.explanations, preset, of.args.batch_size)
    figure = quality_figure(of.path.name, quality, preset, of.args.composite)
    with of.folders.results_of(of.path.stem, str(of.path), "_evaluation") as folder:
        curves = folder.add_picture("curves", figure)
        folder.add_record({"image": str(of.path), "preset": preset, "maps": quality.records})

    def show() -> None:
        _print(of.path.name, quality)
        say(f"  -> {folder.path / curves} and {folder.name}.json\n")

    return show


def _print(name: str, quality: MapQuality) -> None:
    from captum_ssgc.cli.map_quality import COLUMNS

    lines = []
    for number, row in enumerate(quality.rows, start=1):
        for place, one in enumerate(row):
            known = [str(number), one["label"], f"{one['score']:.3f}"] if not place else [""] * 3
            figures = ["-" if one[key] is None else f"{one[key]:.3f}" for key in COLUMNS]
            lines.append([*known, one["method"] + " *" * one["empty"], *figures])
    head = ["#", "label", "score", "method", *COLUMNS]
    shown = table(head, lines, right=["#", "score", *COLUMNS])
    legend = (
        "Deletion (lower is better), Insertion; the map's maximum (P) and energy (eP) in the box"
    )
    say(f"{name}: {legend}")
    say("\n".join(f"  {line}" for line in shown.splitlines()))
    if any(one["empty"] for one in quality.records):
        say("  * the map names no pixel: these are the worst figures there are")
    if any(one[key] is None for one in quality.records for key in COLUMNS):
        say("  - cannot be divided: by this preset the detection's own score is 0")
