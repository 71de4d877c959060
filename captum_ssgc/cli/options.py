"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from captum_ssgc.cli.messages import CommandError, on_screen, one_line
from captum_ssgc.cli.models import DEFAULT_MODEL, ModelChoice

DEFAULT_METHOD = "ssgrad-cam++"
_DRISE_MASKS = 1000
_BATCH_SIZE = 8
_OUTPUTS = "score, logit, left, top, right, bottom"


class _MethodNames:
    """The methods there are, looked up only when help is printed."""

    def __str__(self) -> str:
        from captum_ssgc.attr import METHODS

        return ", ".join(METHODS)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """``--model``, ``--weights``, ``--checkpoint``, ``--labels``, ``--device``."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        metavar="NAME",
        default=DEFAULT_MODEL,
        help="a torchvision detection model (NAME or torchvision:NAME), onnx:FILE for an ONNX file "
        "in the YOLOX layout, transformers:FOLDER_OR_NAME, ultralytics:FILE (which can run "
        "code: load only what you trust), or demo for the small detector in the box (default: "
        "%(default)s)",
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
        type=Path,
        help="a state dict to load instead, also below 'model' or 'state_dict'; the number of "
        "classes is read from it",
    )
    group.add_argument(
        "--labels",
        metavar="FILE",
        type=Path,
        help="class names: text, one per line, or a JSON list; torchvision's label 0 is the "
        "background and may be left out",
    )
    _add_device(group)


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """``--device``, for commands that have their own model."""
    _add_device(parser.add_argument_group("model"))


def add_explanation_options(parser: argparse.ArgumentParser, threshold: float = 0.5) -> None:
    """What to explain, and how."""
    group = parser.add_argument_group("explanation")
    method: Any = group.add_argument(
        "--method",
        metavar="NAME[,NAME...]",
        default=DEFAULT_METHOD,
        help="one or more of %(names)s, or all; the first is the one in the overview "
        "(default: %(default)s)",
    )
    method.names = _MethodNames()
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
        help=f"what is explained, one of {_OUTPUTS} (a box edge) (default: %(default)s)",
    )
    group.add_argument(
        "--score-threshold",
        metavar="S",
        type=_share,
        default=threshold,
        help="leave out detections with a lower score (default: %(default)s)",
    )
    group.add_argument(
        "--top-k",
        metavar="K",
        type=_count,
        default=10,
        help="explain at most the K best detections (default: %(default)s)",
    )
    group.add_argument(
        "--masks",
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


def add_general_options(parser: argparse.ArgumentParser) -> None:
    """Where to write, and what to say on errors."""
    group = parser.add_argument_group("general")
    group.add_argument(
        "-o",
        "--output-dir",
        metavar="DIR",
        type=Path,
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
    )


def explain_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments of :func:`captum_ssgc.explain` that :func:`add_explanation_options` read.

    Raises:
        CommandError: for an unknown method or output.
    """
    from captum_ssgc.attr import methods_named
    from captum_ssgc.detector import check_output

    names = _names(args.method) or []
    try:
        methods = [entry.name for entry in methods_named("all" if "all" in names else names)]
        check_output(args.output)
    except ValueError as error:
        raise CommandError(f"--{one_line(error)}") from error
    if "all" in names:
        methods.sort(key=lambda name: name != DEFAULT_METHOD)
    return {
        "method": methods,
        "layer": _names(args.layer),
        "output": args.output,
        "score_threshold": args.score_threshold,
        "top_k": args.top_k,
    }


def method_options(args: argparse.Namespace, methods: list[str]) -> dict[str, dict[str, Any]]:
    """What single methods need for one image; the same for the same image in every run."""
    if "d-rise" not in methods:
        return {}
    import torch

    generator = torch.Generator().manual_seed(0)
    return {
        "d-rise": {
            "n_masks": args.masks,
            "generator": generator,
            "show_progress": on_screen(),
            "perturbations_per_eval": args.batch_size,
        }
    }


def _add_device(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--device",
        metavar="NAME",
        default="auto",
        help="cpu, cuda, cuda:1, ... (default: cuda where there is one, otherwise cpu)",
    )


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= 1.0:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text}")
    return number


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text}")
    return int(text)
