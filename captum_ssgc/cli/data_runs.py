"""What the commands share that go through a data set in a run that can be killed."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captum_ssgc.cli.help_format import HelpFormatter
from captum_ssgc.cli.messages import (
    DONE,
    FAILED,
    INTERRUPTED,
    CommandError,
    complain,
)
from captum_ssgc.cli.model_choice import DEFAULT_MODEL, ModelChoice
from captum_ssgc.cli.models import check_composite, check_layers, load_detector
from captum_ssgc.cli.options import (
    add_model_options,
    add_picture_options,
    onnx_options,
    path,
    phrases_of,
)

if TYPE_CHECKING:
    from captum_ssgc.benchmark.distributed import World
    from captum_ssgc.data import CocoDataset, SceneDataset
    from captum_ssgc.detector import Detector

# What counts as reported; the settings choose among it.
_LOWEST_REPORTED = 0.05
_MOST_EXAMPLES = 24


@dataclass(frozen=True)
class DataCommand:
    """One command that goes through a data set.

    Args:
        name: of the command.
        help: in the list of commands.
        description: for its ``--help``.
        epilog: for the same.
        add_settings: adds the options of what is computed.
        settings_of: reads them; raises ``CommandError`` for a value that cannot be.
        compute: does what is not done yet; ``None`` in all processes but the first.
        report: writes what is stored so far.
        finish: prints the result.
        examples: which images ``--examples`` bounds the number of.
    """

    name: str
    help: str
    description: str
    epilog: str
    add_settings: Callable[[argparse.ArgumentParser], None]
    settings_of: Callable[[argparse.Namespace], Any]
    compute: Callable[[Detector, Any, Any, argparse.Namespace, Mapping[str, Any]], Any]
    report: Callable[[argparse.Namespace], Any]
    finish: Callable[[Any, Path], None]
    examples: str


def add_data_command(subparsers: Any, command: DataCommand) -> None:
    """Add a command."""
    parser = subparsers.add_parser(
        command.name,
        help=command.help,
        description=command.description,
        epilog=command.epilog,
        usage=f"captum-ssgc {command.name} --data DATA -o RUN [options]",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    _add_data_options(parser.add_argument_group("data"))
    add_model_options(parser)
    command.add_settings(parser)
    add_picture_options(parser)
    parser.add_argument_group("page").add_argument(
        "--examples",
        metavar="N",
        type=int,
        default=_MOST_EXAMPLES,
        help=f"{command.examples} (default: %(default)s)",
    )
    _add_run_options(parser.add_argument_group("run"), command.name)
    parser.set_defaults(run=lambda args: _run(args, command))


def _run(args: argparse.Namespace, command: DataCommand) -> int:
    """Do what is not done yet, and write the report."""
    from captum_ssgc.benchmark.distributed import World

    world = World.from_environment()
    try:
        if args.examples < 0:
            raise CommandError(f"--examples: expected a number of at least 0, got {args.examples}")
        if args.report_only:
            if args.composite is not None and world.leads:
                complain(
                    "--composite: the pictures are those that the run has drawn; without "
                    "--report-only they are drawn again",
                    kind="note",
                )
            result = _stored(command, args)
            if result.damaged:
                complain(
                    f"{result.damaged} stored lines are damaged or of another run, and left out; "
                    "without --report-only their images are done again",
                    kind="warning",
                )
            return _code(result) or _finished(command, result, args)
        if args.data is None:
            raise CommandError("--data is needed: a COCO-format JSON file, or synthetic[:N].")
        settings = command.settings_of(args)
        # A file that is no data set is named before weights are loaded.
        data = _data_set(args, world)
        choice = _model(args, world)
        detector = load_detector(choice)
        check_composite(detector, args.composite)
        check_layers(detector, None if settings.layer is None else list(settings.layer))
        _advise(command.name, world, detector.model)
        further = {
            "limit": args.limit,
            "examples": args.examples,
            "composite": args.composite,
            "model_name": choice.title,
            "retry_failed": args.retry_failed,
            "show_progress": True,
        }
        with warnings.catch_warnings():
            # Those of the vendors would come again for every image.
            warnings.simplefilter("ignore")
            result = command.compute(detector, data, settings, args, further)
    except KeyboardInterrupt:
        if world.leads:
            complain(
                f"interrupted; what is done is stored in {args.output_dir}, and the same command "
                "goes on from there",
                kind="",
            )
        return INTERRUPTED
    return DONE if result is None else _code(result) or _finished(command, result, args)


def _stored(command: DataCommand, args: argparse.Namespace) -> Any:
    from captum_ssgc.benchmark import BenchmarkError

    try:
        return command.report(args)
    except BenchmarkError as error:
        raise CommandError(f"--report-only: {error}") from error


def _finished(command: DataCommand, result: Any, args: argparse.Namespace) -> int:
    command.finish(result, args.output_dir)
    return DONE


def _code(result: Any) -> int:
    """Say what was left out, and which images failed; a failure if all did."""
    counts = result.counts
    # Where none is known, what was asked for either needs no annotation or was refused.
    if 0 < counts["unknown_class"] < counts["annotations"]:
        complain(
            f"{counts['unknown_class']} of {counts['annotations']} annotations are of classes that "
            f"the detector does not know, and left out (categories and labels were brought "
            f"together {'; '.join(filter(None, result.labels))})",
            kind="warning",
        )
    if not counts["failed"]:
        return DONE
    name, why = result.failures[0]
    complain(
        f"{counts['failed']} of {counts['images']} images could not be evaluated, such as "
        f"{name}: {why}",
        kind="warning",
    )
    return FAILED if counts["failed"] == counts["images"] else DONE


def _data_set(args: argparse.Namespace, world: World) -> CocoDataset | SceneDataset | str:
    """What the user names, and where its images are if he does not say."""
    if _is_synthetic(args.data):
        if args.images is not None:
            raise CommandError(f"--images: for a JSON file; the images of {args.data} are drawn.")
        return str(args.data)
    from captum_ssgc.benchmark.opening import coco_dataset

    data = coco_dataset(args.data, args.images)
    if args.images is None and data.folder != data.file.parent and world.leads:
        complain(f"the images are taken from {data.folder} (--images)", kind="note")
    return data


def _is_synthetic(data: str) -> bool:
    return data.partition(":")[0] == "synthetic"


def _model(args: argparse.Namespace, world: World) -> ModelChoice:
    name = args.model
    if _is_synthetic(args.data) and name == DEFAULT_MODEL and args.checkpoint is None:
        name = "demo"
    return ModelChoice(
        name=name,
        weights=args.weights,
        checkpoint=args.checkpoint,
        labels=args.labels,
        device=world.device(args.device),
        score_threshold=_LOWEST_REPORTED,
        onnx=onnx_options(args),
        text=phrases_of(args),
    )


def _advise(name: str, world: World, model: Any) -> None:
    """Say how to use all of this machine."""
    from captum_ssgc.benchmark.distributed import usable_cores

    cores = usable_cores()
    first = next(model.parameters(), None)
    if world.size == 1 and cores > 1 and (first is None or first.device.type == "cpu"):
        complain(
            f"one of {cores} CPU cores is used; torchrun --nproc-per-node={cores} -m captum_ssgc "
            f"{name} ... uses all of them and gives the same numbers",
            kind="",
        )


def _add_data_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--data",
        metavar="DATA",
        help="a JSON file in the COCO format, or synthetic[:N] for N scenes (default N: 300), "
        "which the demo model is for",
    )
    group.add_argument(
        "--images",
        metavar="DIR",
        type=path,
        help="folder of the images (default: looked for beside the JSON file)",
    )
    group.add_argument(
        "--limit", metavar="N", type=int, help="only the first N images (default: all)"
    )


def _add_run_options(group: argparse._ArgumentGroup, folder: str) -> None:
    group.add_argument(
        "-o",
        "--output-dir",
        metavar="RUN",
        type=path,
        default=Path(folder),
        help="folder of the run; one with the same settings is gone on with (default: %(default)s)",
    )
    group.add_argument(
        "--retry-failed", action="store_true", help="try images again that could not be evaluated"
    )
    group.add_argument(
        "--report-only",
        action="store_true",
        help="write the report of what is stored so far, without computing",
    )
    group.add_argument(
        "--traceback", action="store_true", help="also show where in the code an error came from"
    )
