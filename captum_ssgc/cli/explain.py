"""``captum-ssgc explain``: pictures and numbers for the detections of your images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from captum_ssgc.cli.each_image import ExplainedImage, add_images_parser
from captum_ssgc.cli.options import model_choice

_DESCRIPTION = """\
Find the objects in images and show, for each of them, which pixels caused it.

IMAGE is a file, a folder of images or a pattern. For every image a folder is written: an overview
(the image with all boxes, and a heat map for each detection), one picture for each detection, and
a JSON file with boxes, scores, labels, layers and the share of each map's energy that lies in the
box. With several methods there is also a picture that compares them.
"""
_EPILOG = """\
examples:
  captum-ssgc explain street.jpg
  captum-ssgc explain street.jpg --method all --top-k 3 -o results
  captum-ssgc explain *.jpg --model maskrcnn_resnet50_fpn --score-threshold 0.7
  captum-ssgc explain part.png --checkpoint fine_tuned.pt --labels names.txt
  captum-ssgc explain street.jpg --model onnx:yolox_nano.onnx --labels coco.txt
  captum-ssgc explain photos 'more/*.png' --method ssgrad-cam++,odam --option smoothing=1
  captum-ssgc explain street.jpg --layer backbone.fpn.layer_blocks.0 --output left

exit codes: 0 all explained; 1 nothing detected in some image; 2 something failed. An image that
fails does not stop the others.
"""


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    add_images_parser(
        subparsers,
        "explain",
        _write_pictures,
        help="explain the detections of images",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )


def _write_pictures(of: ExplainedImage) -> Callable[[], None]:
    from captum_ssgc.cli.results import ImageResult, energy_in_boxes, print_result, write_result

    result = ImageResult(
        name=of.path.name,
        source=str(of.path),
        image=of.image,
        explanations=of.explanations,
        model=model_choice(of.args),
        output=of.args.output,
        shares={"box": energy_in_boxes(of.explanations)},
        options=of.options,
    )
    with of.folders.results_of(of.path.stem, str(of.path)) as folder:
        write_result(result, folder)
    return partial(print_result, result, folder)
