"""``captum-ssgc explain``: pictures and numbers for the detections of your images."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from captum_ssgc.cli.each_image import ExplainedImage, HandleImage, add_images_parser
from captum_ssgc.cli.figures_file import write_figures
from captum_ssgc.cli.folders import ResultFolders
from captum_ssgc.cli.messages import say
from captum_ssgc.cli.options import model_choice
from captum_ssgc.cli.reliance_texts import reliance_of

if TYPE_CHECKING:
    from captum_ssgc.report import PackedPage

PAGE, TABLE = "heat_maps.html", "heat_maps.csv"

_DESCRIPTION = """\
Find the objects in images and show, for each of them, which pixels caused it.

IMAGE is a file, a folder of images or a pattern. For every image a folder is written: an overview
(the image with all boxes, and a heat map for each detection), one picture for each detection, and
a JSON file with boxes, scores, labels, layers and the share of each map's energy that lies in the
box. With several methods there is also a picture that compares them. --html adds one page for all
images, in which a reader chooses a box and sees its maps; it needs no network. --csv adds one table
of the figures of all images. --save-maps adds a file of the raw maps for each image, which NumPy
and captum_ssgc.Explanations.load_maps read.
--reliance says what each detection rests on: the object, its surroundings or a neighbour.
"""
_EPILOG = """\
examples:
  captum-ssgc explain street.jpg
  captum-ssgc explain street.jpg --method all --top-k 3 -o results
  captum-ssgc explain *.jpg --model maskrcnn_resnet50_fpn --score-threshold 0.7
  captum-ssgc explain part.png --checkpoint fine_tuned.pt --labels names.txt
  captum-ssgc explain street.jpg --model onnx:yolox_nano.onnx --labels coco.txt
  captum-ssgc explain street.jpg --method refined-cam --top-k 3 --minimal
  captum-ssgc explain photos 'more/*.png' --method ssgrad-cam++,odam --option smoothing=1
  captum-ssgc explain photos --html --csv --save-maps --reliance
  captum-ssgc explain street.jpg --layer backbone.fpn.layer_blocks.0 --output left
  captum-ssgc explain street.jpg --output contrast:car

exit codes: 0 all explained; 1 nothing detected in some image; 2 something failed. An image that
fails does not stop the others.
"""


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = add_images_parser(
        subparsers,
        "explain",
        _handle_images,
        help="explain the detections of images",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument_group("further questions").add_argument(
        "--reliance",
        action="store_true",
        help="also try what each detection rests on: its score with its box alone, and without it "
        "(6 more forwards for each)",
    )
    files = parser.add_argument_group("more files")
    files.add_argument(
        "--html", action="store_true", help=f"also write DIR/{PAGE}, one page for all images"
    )
    files.add_argument(
        "--csv",
        action="store_true",
        help=f"also write DIR/{TABLE}, the figures of the JSON files as a table of all images",
    )
    files.add_argument(
        "--minimal",
        action="store_true",
        help="also draw the smallest part of the image that keeps each detection and the smallest "
        "whose loss loses it, by the first method's map and at most 200 forwards for each",
    )
    files.add_argument(
        "--save-maps",
        action="store_true",
        help="also write each image's raw maps, with boxes and names, as NAME_maps.npz",
    )


@dataclass(frozen=True)
class _OfAll:
    """What the files of all images are made of."""

    pages: list[PackedPage] = field(default_factory=list)
    records: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@contextmanager
def _handle_images(args: argparse.Namespace, folders: ResultFolders) -> Iterator[HandleImage]:
    """Write the pictures of each image, and the files of all of them that are wanted."""
    of_all = _OfAll()
    for name, wanted in ((PAGE, args.html), (TABLE, args.csv)):
        if wanted:
            folders.keep_free(name)
    yield partial(_write_pictures, of_all)
    if of_all.pages:
        from captum_ssgc.report import save_html

        save_html(folders.root / PAGE, of_all.pages)
        say(f"-> {folders.root / PAGE}")
    if args.csv and of_all.records:
        write_figures(folders.root / TABLE, of_all.records)
        say(f"-> {folders.root / TABLE}")


def _write_pictures(of_all: _OfAll, of: ExplainedImage) -> Callable[[], None]:
    from captum_ssgc.cli.minimal import minimal_of
    from captum_ssgc.cli.results import (
        ImageResult,
        energy_in_boxes,
        energy_in_masks,
        print_result,
        write_result,
    )

    relies = reliance_of(of) if of.args.reliance else {}
    result = ImageResult(
        name=of.path.name,
        source=str(of.path),
        image=of.image,
        explanations=of.explanations,
        model=model_choice(of.args),
        output=of.args.output,
        shares={"box": energy_in_boxes(of.explanations), **energy_in_masks(of.explanations)},
        options=of.options,
        reliance=relies,
        composite=of.args.composite,
    )
    minimal = minimal_of(of.detector, of.image, of.explanations) if of.args.minimal else None
    with of.folders.results_of(of.path.stem, str(of.path)) as folder:
        record = write_result(result, folder, raw_maps=of.args.save_maps, minimal=minimal)
    of_all.records.append((folder.name, record))
    if of.args.html:
        from captum_ssgc.report import explained_page, pack

        page = explained_page(
            result.name, of.image, of.explanations, result.output, result.composite, relies
        )
        of_all.pages.append(pack(page))
    return partial(print_result, result, folder)
