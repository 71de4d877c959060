"""What the commands that take image files share: their options, and one image after the other."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captum_ssgc._interrupts import raise_if_interrupted
from captum_ssgc._printable import printable
from captum_ssgc.cli.folders import ResultFolders
from captum_ssgc.cli.help_format import HelpFormatter
from captum_ssgc.cli.image_files import exists, image_files, is_folder, missing
from captum_ssgc.cli.messages import (
    DONE,
    FAILED,
    NOTHING_DETECTED,
    CommandError,
    complain,
    forwards_shown,
    one_line,
    progress,
    warnings_as_lines,
)
from captum_ssgc.cli.models import check_composite, check_layers, check_outputs, load_detector
from captum_ssgc.cli.options import (
    add_explanation_options,
    add_general_options,
    add_model_options,
    add_picture_options,
    explain_arguments,
    for_one_image,
    model_choice,
    outputs_of,
)

if TYPE_CHECKING:
    from torch import Tensor

    from captum_ssgc.detector import Detector
    from captum_ssgc.explanation import NoDetectionError
    from captum_ssgc.explanations import Explanation, Explanations


@dataclass(frozen=True)
class ExplainedImage:
    """An image file, what was found in it, and where its results go."""

    path: Path
    image: Tensor
    explanations: Explanations[Explanation]
    detector: Detector
    args: argparse.Namespace
    options: dict[str, dict[str, Any]]
    folders: ResultFolders


# Writes what a command makes of an image; what it gives back then prints it.
HandleImage = Callable[[ExplainedImage], Callable[[], None]]
# Gives what handles the images of one call, and ends with what is made of all of them.
HandleImages = Callable[[argparse.Namespace, ResultFolders], AbstractContextManager[HandleImage]]


def add_images_parser(
    subparsers: Any, name: str, handle: HandleImages, *, help: str, description: str, epilog: str
) -> argparse.ArgumentParser:
    """Add a command that explains image files and hands the explanations of each on."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=help,
        description=description,
        epilog=epilog,
        usage=f"captum-ssgc {name} IMAGE... [options]",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "images",
        metavar="IMAGE",
        nargs="+",
        help="image file, folder of images, or pattern such as 'photos/**/*.jpg'",
    )
    add_model_options(parser)
    add_explanation_options(parser)
    add_picture_options(parser)
    add_general_options(parser)
    parser.set_defaults(run=lambda args: _run(args, handle))
    return parser


def prepare_folder(root: Path) -> None:
    """Create the folder for the results.

    Raises:
        CommandError: if that is not possible.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"-o {root} cannot be used: {one_line(error)}") from error


def explanations_of(
    image: Any, detector: Detector, args: argparse.Namespace, arguments: Mapping[str, Any]
) -> Explanations[Explanation]:
    """The explanations of one image, with names that can be shown.

    Args:
        image: as :func:`captum_ssgc.explain` takes it.
        detector: the detector.
        args: the options of the command.
        arguments: what :func:`explain_arguments` made of them.

    Raises:
        NoDetectionError: if nothing is detected.
    """
    from captum_ssgc.explanation import explain

    options = for_one_image(arguments["method_options"], arguments["method"], args)
    explanations = explain(detector, image, **{**arguments, "method_options": options})
    named = [replace(one, label=printable(one.label)) for one in explanations]
    return explanations.with_entries(named)


def complain_of_nothing(error: NoDetectionError, about: str, threshold: float) -> int:
    """Say that nothing was detected, and how close it was; gives the exit code."""
    highest = error.highest_score
    if highest is None:
        text = "nothing detected, at any score"
    else:
        shown = f"{highest:.3f}" if round(highest, 3) < threshold else f"{highest:.8g}"
        text = (
            f"nothing detected: the highest score is {shown}, below the threshold of "
            f"{threshold:g} (--score-threshold)"
        )
    complain(text, about=about, kind="")
    return NOTHING_DETECTED


def _run(args: argparse.Namespace, handle: HandleImages) -> int:
    """Handle every image; the exit code is the worst of all."""
    paths = image_files(args.images)
    if not any(map(exists, paths)):
        for path in paths:
            complain(missing(path))
        return FAILED
    arguments = explain_arguments(args)
    prepare_folder(args.output_dir)
    detector = load_detector(model_choice(args))
    check_layers(detector, arguments["layer"])
    check_outputs(detector, outputs_of(arguments))
    check_composite(detector, args.composite)
    if args.model == "demo":
        known = "the demo model knows drawn scenes only (captum-ssgc demo)"
        complain(f"{known}: for photos name another", kind="note")
    folders = ResultFolders(args.output_dir)
    with handle(args, folders) as handle_image:
        one = partial(_one, handle_image, detector, args, arguments, folders)
        if len(paths) == 1:
            with forwards_shown(detector.model):
                return one(paths[0])
        return max([one(path) for path in progress(paths, "image")])


def _one(
    handle: HandleImage,
    detector: Detector,
    args: argparse.Namespace,
    arguments: Mapping[str, Any],
    folders: ResultFolders,
    path: Path,
) -> int:
    """Handle one image; whatever goes wrong with it must not stop the others."""
    from captum_ssgc.explanation import NoDetectionError
    from captum_ssgc.images import load_image

    raise_if_interrupted()
    if is_folder(path):
        complain("the folder holds no image file", about=str(path))
        return FAILED
    if not exists(path):
        complain(missing(path))
        return FAILED
    try:
        with warnings_as_lines(str(path)):
            image = load_image(path, detector.channels)
            explanations = explanations_of(image, detector, args, arguments)
            explanations.name = path.name
            options = arguments["method_options"]
            show = handle(
                ExplainedImage(path, image, explanations, detector, args, options, folders)
            )
        show()
    except NoDetectionError as error:
        return complain_of_nothing(error, str(path), args.score_threshold)
    except BrokenPipeError:
        raise
    except Exception as error:
        raise_if_interrupted()
        complain(error, about=str(path), with_traceback=args.traceback)
        return FAILED
    return DONE
