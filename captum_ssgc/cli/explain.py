"""``captum-ssgc explain``: pictures and numbers for the detections of your images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captum_ssgc.cli.folders import ResultFolders
from captum_ssgc.cli.help_format import HelpFormatter
from captum_ssgc.cli.messages import (
    DONE,
    EXPECTED_ERRORS,
    FAILED,
    NOTHING_DETECTED,
    CommandError,
    complain,
    one_line,
    progress,
    warnings_as_lines,
)
from captum_ssgc.cli.models import check_layers, load_detector
from captum_ssgc.cli.options import (
    add_explanation_options,
    add_general_options,
    add_model_options,
    explain_arguments,
    method_options,
    model_choice,
)

if TYPE_CHECKING:
    from captum_ssgc.detector import Detector
    from captum_ssgc.explanation import Explanation, NoDetectionError

_DESCRIPTION = """\
Find the objects in images and show, for each of them, which pixels caused it.

For every image a folder is written: an overview (the image with all boxes, and a heat map for
each detection), one picture for each detection, and a JSON file with boxes, scores, labels,
layers and the share of each map's energy that lies in the box. With several methods there is
also a picture that compares them.
"""
_EPILOG = """\
examples:
  captum-ssgc explain street.jpg
  captum-ssgc explain street.jpg --method all --top-k 3 -o results
  captum-ssgc explain *.jpg --model maskrcnn_resnet50_fpn --score-threshold 0.7
  captum-ssgc explain part.png --checkpoint fine_tuned.pt --labels names.txt
  captum-ssgc explain street.jpg --model onnx:yolox_nano.onnx --labels coco.txt
  captum-ssgc explain street.jpg --layer backbone.fpn.layer_blocks.0 --output left

exit codes: 0 all explained; 1 nothing detected in some image; 2 something failed. An image that
fails does not stop the others.
"""


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "explain",
        help="explain the detections of images",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        usage="captum-ssgc explain IMAGE... [options]",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="image file")
    add_model_options(parser)
    add_explanation_options(parser)
    add_general_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Explain every image; the exit code is the worst of all."""
    if not any(path.exists() for path in args.images):
        for path in args.images:
            complain(f"image file {path} does not exist.")
        return FAILED
    arguments = explain_arguments(args)
    prepare_folder(args.output_dir)
    detector = load_detector(model_choice(args))
    check_layers(detector, arguments["layer"])
    folders = ResultFolders(args.output_dir)
    return max(
        [_explain_one(path, detector, args, folders) for path in progress(args.images, "image")]
    )


def prepare_folder(root: Path) -> None:
    """Create the folder for the results.

    Raises:
        CommandError: if that is not possible.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"-o {root} cannot be used: {one_line(error)}") from error


def explanations_of(image: Any, detector: Detector, args: argparse.Namespace) -> list[Explanation]:
    """The explanations of one image, as the options ask for.

    Raises:
        NoDetectionError: if nothing is detected.
    """
    from captum_ssgc.explanation import explain

    arguments = explain_arguments(args)
    options = method_options(args, arguments["method"])
    return explain(detector, image, **arguments, method_options=options)


def complain_of_nothing(error: NoDetectionError, about: str, threshold: float) -> int:
    """Say that nothing was detected, and how close it was; gives the exit code."""
    highest = error.highest_score
    if highest is None:
        text = "nothing detected, at any score"
    else:
        text = (
            f"nothing detected: the highest score is {highest:.3f}, below the threshold of "
            f"{threshold:g} (--score-threshold)"
        )
    complain(text, about=about, kind="")
    return NOTHING_DETECTED


def _explain_one(
    path: Path, detector: Detector, args: argparse.Namespace, folders: ResultFolders
) -> int:
    from captum_ssgc.cli.results import ImageResult, energy_in_boxes, print_result, write_result
    from captum_ssgc.explanation import NoDetectionError
    from captum_ssgc.images import load_image

    try:
        with warnings_as_lines(str(path)):
            image = load_image(path)
            found = explanations_of(image, detector, args)
            result = ImageResult(
                name=path.name,
                source=str(path),
                image=image,
                explanations=found,
                model=model_choice(args),
                output=args.output,
                shares={"box": energy_in_boxes(found)},
            )
            folder = folders.folder_for(path.stem, str(path))
            files = write_result(result, folder)
    except NoDetectionError as error:
        return complain_of_nothing(error, str(path), args.score_threshold)
    except EXPECTED_ERRORS as error:
        complain(error, about=str(path), with_traceback=args.traceback)
        return FAILED
    print_result(result, folder, files)
    return DONE
