"""``captum-ssgc benchmark``: attribution methods measured on a whole data set."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captum_ssgc.cli.benchmark_settings import add_settings, settings_of
from captum_ssgc.cli.help_format import HelpFormatter
from captum_ssgc.cli.messages import (
    DONE,
    FAILED,
    INTERRUPTED,
    CommandError,
    complain,
    say,
    table,
)
from captum_ssgc.cli.model_choice import DEFAULT_MODEL, ModelChoice
from captum_ssgc.cli.models import check_layers, load_detector
from captum_ssgc.cli.options import add_model_options, onnx_options, phrases_of

if TYPE_CHECKING:
    from captum_ssgc.benchmark import Summary
    from captum_ssgc.benchmark.distributed import World

# What counts as reported; --score-above chooses the explained ones among it.
_LOWEST_REPORTED = 0.05

_DESCRIPTION = """\
Measure attribution methods on a detector and a data set: the table of the SSGrad-CAM++ paper.

The data set is in the COCO format, or made of synthetic scenes whose evidence is known. The
results of every image are stored as soon as it is done: a run that was stopped or killed goes on
where it was when the same command is given again. Started by torchrun, several processes share
the images, on one machine or on many; the numbers do not depend on how many there are.

RUN/report.html has the table with intervals and tests, curves and examples; RUN/table.md and
RUN/table.csv have the table, RUN/comparisons.csv any two of its rows compared.
"""
_EPILOG = """\
examples:
  captum-ssgc benchmark --data synthetic:100 -o scenes
  captum-ssgc benchmark --data instances.json --images photos -o run
  captum-ssgc benchmark --data instances.json --images photos --model onnx:yolox_nano.onnx \\
      --methods ssgrad-cam++,odam --metrics pointing-game,energy-pointing-game -o run
  captum-ssgc benchmark --data synthetic:100 -o variants \\
      --methods 'ssgrad-cam++,ssgrad-cam++[output=logit,signed_activations=as_is]'
  torchrun --nproc-per-node=8 -m captum_ssgc benchmark --data instances.json --images photos \\
      -o run

exit codes: 0 done; 2 something failed; 130 interrupted, the same command goes on.
"""


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "benchmark",
        help="measure methods on a data set",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        usage="captum-ssgc benchmark --data DATA -o RUN [options]",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    _add_data_options(parser.add_argument_group("data"))
    add_model_options(parser)
    add_settings(parser.add_argument_group("measurement"))
    _add_run_options(parser.add_argument_group("run"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure what is not measured yet, and write the report."""
    from captum_ssgc.benchmark import report, run_benchmark
    from captum_ssgc.benchmark.distributed import World
    from captum_ssgc.data import CocoDataset

    world = World.from_environment()
    try:
        if args.report_only:
            return _finish(report(args.output_dir), args.output_dir)
        if args.data is None:
            raise CommandError("--data is needed: a COCO-format JSON file, or synthetic[:N].")
        settings = settings_of(args)
        # A file that is no data set is named before weights are loaded.
        data = args.data if _is_synthetic(args.data) else CocoDataset(Path(args.data), args.images)
        choice = _model(args, world)
        detector = load_detector(choice)
        check_layers(detector, None if settings.layer is None else list(settings.layer))
        _advise(world, detector.model)
        with warnings.catch_warnings():
            # Those of the vendors would come again for every image.
            warnings.simplefilter("ignore")
            result = run_benchmark(
                detector,
                data,
                args.output_dir,
                settings,
                limit=args.limit,
                model_name=choice.title,
                retry_failed=args.retry_failed,
                show_progress=True,
            )
    except KeyboardInterrupt:
        if world.leads:
            complain(
                f"interrupted; what is done is stored in {args.output_dir}, and the same command "
                "goes on from there",
                kind="",
            )
        return INTERRUPTED
    return DONE if result is None else _finish(result, args.output_dir)


def _finish(summary: Summary, folder: Path) -> int:
    counts = summary.counts
    if counts["failed"]:
        name, why = summary.failures[0]
        complain(
            f"{counts['failed']} of {counts['images']} images could not be evaluated, such as "
            f"{name}: {why}",
            kind="warning",
        )
        if counts["failed"] == counts["images"]:
            return FAILED
    from captum_ssgc.benchmark.tables import legend, marks

    columns = [column for column in summary.columns if column.key != "seconds"]
    head = ["", *(f"{column.title} {column.arrow}" for column in columns)]
    rows = []
    for row in summary.rows:
        cells = []
        for column in columns:
            cell = row.cells.get(column.key)
            shown = "–" if cell is None else column.text(cell.mean) + marks(cell, row.is_floor)
            cells.append(shown)
        rows.append([row.title, *cells])
    say(table(head, rows, right=head[1:]))
    say("\n" + "\n".join(line.replace("; **bold**: the best method of the column", "")
                         for line in legend(summary)))  # fmt: skip
    say(f"\n-> {folder / 'report.html'}, table.md and table.csv")
    return DONE


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


def _advise(world: World, model: Any) -> None:
    """Say how to use all of this machine."""
    from captum_ssgc.benchmark.distributed import usable_cores

    cores = usable_cores()
    first = next(model.parameters(), None)
    if world.size == 1 and cores > 1 and (first is None or first.device.type == "cpu"):
        complain(
            f"one of {cores} CPU cores is used; torchrun --nproc-per-node={cores} -m captum_ssgc "
            "benchmark ... uses all of them and gives the same numbers",
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
        type=Path,
        help="folder of the images (default: the folder of the JSON file)",
    )
    group.add_argument(
        "--limit", metavar="N", type=int, help="only the first N images (default: all)"
    )


def _add_run_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-o",
        "--output-dir",
        metavar="RUN",
        type=Path,
        default=Path("benchmark"),
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
