"""Options that several commands share."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from captum_ssgc.cli.messages import CommandError, on_screen, one_line
from captum_ssgc.cli.method_options import (
    DEFAULT_METHOD,
    NAMES,
    ListMethods,
    choose_methods,
)
from captum_ssgc.cli.model_choice import DEFAULT_MODEL, ModelChoice

_DRISE_MASKS = 1000
_BATCH_SIZE = 8
_OUTPUTS = "score, logit, left, top, right, bottom"
# Every command shows the first of two words, and understands the other one as well.
_ALIASES = {
    "--iou-threshold": "--iou-above",
    "--masks": "--drise-masks",
    "--method": "--methods",
    "--top-k": "--max-detections",
    "--score-threshold": "--score-above",
}


def add_option(group: argparse._ArgumentGroup, flag: str, **keywords: Any) -> None:
    """``group.add_argument``, with the other word for the same thing where there is one."""
    action = group.add_argument(flag, **keywords)
    if flag in _ALIASES:
        hidden = {"dest": action.dest, "default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
        group.add_argument(_ALIASES[flag], **{**keywords, **hidden})


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """``--model``, ``--weights``, ``--checkpoint``, ``--labels``, ``--text``, ``--device``."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        metavar="NAME",
        default=DEFAULT_MODEL,
        help="a torchvision detection model (NAME or torchvision:NAME), onnx:FILE, "
        "torchscript:FILE, transformers:FOLDER_OR_NAME, ultralytics:FILE (which can run code: load "
        "only what you trust), or demo for the small detector in the box (default: %(default)s)",
    )
    group.add_argument(
        "--weights",
        metavar="NAME",
        help="torchvision's weights: DEFAULT (used when nothing is given; downloaded once), "
        "another name such as COCO_V1, or none for random weights",
    )
    group.add_argument(
        "--checkpoint",
        metavar="FILE",
        type=path,
        help="a state dict to load instead, also one wrapped by a training script or Lightning, or "
        "that of a whole model; the number of classes is read from it",
    )
    group.add_argument(
        "--labels",
        metavar="FILE",
        help="class names: a text file with one per line, a JSON or YAML file with a list or with "
        "names by label, or coco; a background's name may be left out",
    )
    group.add_argument(
        "--text",
        metavar="PHRASE[,PHRASE...]",
        action="append",
        help="what a zero-shot detector of transformers (Grounding DINO, OWL, OMDet-Turbo) looks "
        "for; may be given several times",
    )
    _add_device(group)
    _add_onnx(
        parser.add_argument_group(
            "ONNX and TorchScript files, where their layout is not recognised"
        )
    )


def _add_onnx(group: argparse._ArgumentGroup) -> None:
    """What :func:`captum_ssgc.detectors.onnx_detector` may be told."""
    group.add_argument(
        "--layout",
        metavar="NAME",
        help="yolov8, obb, yolov5, yolox, boxes-scores or heads (default: the first that fits)",
    )
    group.add_argument(
        "--boxes",
        metavar="HOW",
        help="xyxy, cxcywh or xywh; for maps of heads grid, dfl or anchors",
    )
    group.add_argument(
        "--scores", metavar="HOW", help="what is still to be done: sigmoid, softmax or none"
    )
    group.add_argument(
        "--canvas",
        metavar="N[,N]",
        type=_sides,
        help="height and width of the canvas in pixels, where the file leaves it open",
    )


def _sides(text: str) -> tuple[int, int]:
    sides = [_count(side.strip()) for side in text.split(",")]
    if len(sides) > 2:
        raise argparse.ArgumentTypeError(f"expected one number or two, got {text}")
    return sides[0], sides[-1]


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """``--device``, for commands that have their own model."""
    _add_device(parser.add_argument_group("model"))


def add_explanation_options(parser: argparse.ArgumentParser, threshold: float = 0.5) -> None:
    """What to explain, and how."""
    group = parser.add_argument_group("explanation")
    add_method_options(group, DEFAULT_METHOD, "the first is the one in the overview")
    group.add_argument(
        "--layer",
        metavar="NAME[,NAME...]",
        help="module to attribute; several are joined by their maximum (default: the layer that "
        "the detector recommends for each detection)",
    )
    group.add_argument(
        "--output",
        metavar="WHAT",
        default="score",
        help=f"what is explained, one of {_OUTPUTS} (a box edge), one of these negated, or "
        "contrast:NAME, why not the class NAME (or index) (default: %(default)s)",
    )
    group.add_argument(
        "--mask",
        metavar="WHERE",
        default="region",
        help="where the methods that use a mask look: region (what the score was computed from), "
        "box, mask (of a model that gives masks) or none (default: %(default)s)",
    )
    add_option(
        group,
        "--score-threshold",
        metavar="S",
        type=_share,
        default=threshold,
        help="leave out detections with a lower score (default: %(default)s)",
    )
    add_option(
        group,
        "--top-k",
        metavar="K",
        type=_count,
        default=10,
        help="explain at most the K best detections (default: %(default)s)",
    )
    add_option(
        group,
        "--masks",
        dest="drise_masks",
        metavar="N",
        type=_count,
        default=_DRISE_MASKS,
        help="masked images for d-rise, which runs the model on each (default: %(default)s)",
    )
    group.add_argument(
        "--batch-size",
        metavar="N",
        type=_count,
        default=_BATCH_SIZE,
        help="changed images in one forward, where many are run; fewer need less memory (default: "
        "%(default)s)",
    )


def add_picture_options(parser: argparse.ArgumentParser) -> None:
    """What pictures show of an image."""
    parser.add_argument_group("pictures").add_argument(
        "--composite",
        metavar="N[,N,N]",
        type=_channels,
        help="which channels are shown of an image, counted from 0: one, as grey, or three, as "
        "red, green and blue; the pictures say so (default: RGB as it is, the first three of more "
        "channels, the first of fewer)",
    )


def add_method_options(
    group: argparse._ArgumentGroup, default: object, more: str, dest: str = "method"
) -> None:
    """Which methods, with which options."""
    add_option(
        group,
        "--method",
        dest=dest,
        metavar="NAME[,NAME...]",
        default=default,
        help=f"one or more of {NAMES}, or all; {more}; options may stand in brackets, "
        "'odam[smoothing=1]' (default: %(default)s)",
    )
    group.add_argument(
        "--option",
        metavar="[METHOD.]NAME=VALUE",
        action="append",
        help="an option of one method, or of all the chosen ones that take it, such as "
        "smoothing=1 or odam.smoothing=1; may be given several times",
    )
    group.add_argument(
        "--list-methods",
        action=ListMethods,
        nargs=0,
        help="show all methods with their options, and exit",
    )


def add_general_options(parser: argparse.ArgumentParser) -> None:
    """Where to write, and what to say on errors."""
    group = parser.add_argument_group("general")
    group.add_argument(
        "-o",
        "--output-dir",
        metavar="DIR",
        type=path,
        default=Path("explanations"),
        help="where the results go, one folder for each image (default: %(default)s)",
    )
    group.add_argument(
        "--traceback", action="store_true", help="also show where in the code an error came from"
    )


def model_choice(args: argparse.Namespace) -> ModelChoice:
    """What :func:`add_model_options` read."""
    return ModelChoice(
        name=args.model,
        weights=args.weights,
        checkpoint=args.checkpoint,
        labels=args.labels,
        device=args.device,
        score_threshold=args.score_threshold,
        onnx=onnx_options(args),
        text=phrases_of(args),
    )


def phrases_of(args: argparse.Namespace) -> list[str]:
    """The phrases of every ``--text``."""
    return [phrase for text in args.text or () for phrase in comma_separated(text) or ()]


def onnx_options(args: argparse.Namespace) -> dict[str, Any]:
    """How an ONNX file is to be read, as far as the user says."""
    given = {"layout": args.layout, "boxes": args.boxes, "scores": args.scores, "size": args.canvas}
    return {name: value for name, value in given.items() if value is not None}


def explain_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments of :func:`captum_ssgc.explain` that :func:`add_explanation_options` read.

    Raises:
        CommandError: for an unknown method, option, output or mask.
    """
    from captum_ssgc._outputs import parse_output

    methods = choose_methods(args.method, args.option)
    if args.method.strip() == "all":
        methods.sort(key=lambda method: method[0] != DEFAULT_METHOD)
    options = dict(methods)
    for name, own in options.items():
        _read_values(name, own)
    if len(options) < len(methods):
        raise CommandError(
            "--method: every method once here; benchmark compares one with different options."
        )
    try:
        output = parse_output(args.output)
    except ValueError as error:
        raise CommandError(f"--{one_line(error)}") from error
    if args.mask not in ("region", "box", "mask", "none"):
        raise CommandError(f"--mask: expected region, box, mask or none, got {args.mask!r}")
    return {
        "method": list(options),
        "layer": comma_separated(args.layer),
        "output": output,
        "mask": None if args.mask == "none" else args.mask,
        "score_threshold": args.score_threshold,
        "top_k": args.top_k,
        "method_options": {name: values for name, values in options.items() if values},
    }


def _read_values(name: str, options: dict[str, Any]) -> None:
    """Before the first image, as otherwise every image would say what is wrong."""
    from captum_ssgc._outputs import parse_output
    from captum_ssgc.attr import method_named

    method, own = method_named(name), dict(options)
    try:
        if method.gradient_based and "output" in own:
            options["output"] = parse_output(own.pop("output"))
        method.check_values(own)
    except (TypeError, ValueError, RuntimeError) as error:
        said = one_line(error)
        about = "." if said.partition(":")[0] in options else ": "
        raise CommandError(f"--option {name}{about}{said}") from error


def outputs_of(arguments: Mapping[str, Any]) -> list[Any]:
    """What is explained, of all that :func:`explain_arguments` read."""
    from captum_ssgc.attr import method_named

    of_methods = arguments["method_options"].items()
    own = [one for name, one in of_methods if method_named(name).gradient_based]
    return [arguments["output"], *(one["output"] for one in own if "output" in one)]


def for_one_image(
    method_options: Mapping[str, dict[str, Any]], methods: Sequence[str], args: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Options of methods; what is random in them is the same for an image in every run."""
    import torch

    from captum_ssgc.attr import method_named

    def of_command(name: str) -> dict[str, Any]:
        method = method_named(name)
        if method.gradient_based:
            return {}
        values = {
            "generator": torch.Generator().manual_seed(0),
            "show_progress": on_screen(),
            "perturbations_per_eval": args.batch_size,
        }
        of_settings = method.of_settings.items()
        return {option: values[option] for option in method.option_names() if option in values} | {
            option: getattr(args, field) for option, field in of_settings if hasattr(args, field)
        }

    return {name: of_command(name) | method_options.get(name, {}) for name in methods}


def _add_device(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--device",
        metavar="NAME",
        default="auto",
        help="cpu, cuda, cuda:1, mps, ... (default: cuda where there is one, otherwise cpu)",
    )


def comma_separated(text: str | None) -> list[str] | None:
    """The names in a text with commas between them."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def path(text: str) -> Path:
    """A file or folder; an empty name, as of a variable that is not set, is not the working one.

    Raises:
        argparse.ArgumentTypeError: for an empty name.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError(f"expected a name, got {text!r}; the working folder is .")
    return Path(text)


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= 1.0:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text}")
    return number


def _channels(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (1, 3) or not all(re.fullmatch("[0-9]{1,9}", part) for part in parts):
        raise argparse.ArgumentTypeError(
            f"expected one channel or three with commas between them, counted from 0, got {text!r}"
        )
    return tuple(int(part) for part in parts)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text}")
    return int(text)
