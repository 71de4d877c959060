"""``captum-ssgc benchmark``: attribution methods measured on a whole data set."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captum_ssgc.cli.help_format import HelpFormatter
from captum_ssgc.cli.messages import (
    DONE,
    EXPECTED_ERRORS,
    FAILED,
    CommandError,
    complain,
    one_line,
    say,
    table,
)
from captum_ssgc.cli.models import DEFAULT_MODEL, ModelChoice, check_layers, load_detector
from captum_ssgc.cli.options import add_model_options

if TYPE_CHECKING:
    from captum_ssgc.benchmark import BenchmarkSettings, Summary
    from captum_ssgc.benchmark.distributed import World

INTERRUPTED = 130
# What counts as reported; --score-above chooses the explained ones among it.
_LOWEST_REPORTED = 0.05

_DESCRIPTION = """\
Measure attribution methods on a detector and a data set: the table of the SSGrad-CAM++ paper.

The data set is in the COCO format, or made of synthetic scenes whose evidence is known. The
results of every image are stored as soon as it is done: a run that was stopped or killed goes on
where it was when the same command is given again. Started by torchrun, several processes share
the images, on one machine or on many; the numbers do not depend on how many there are.

RUN/report.html has the table with intervals and tests, curves and examples; RUN/table.md and
RUN/table.csv have the table.
"""
_EPILOG = """\
examples:
  captum-ssgc benchmark --data synthetic:100 -o scenes
  captum-ssgc benchmark --data instances.json --images photos -o run
  captum-ssgc benchmark --data instances.json --images photos --model onnx:yolox_nano.onnx \\
      --methods ssgrad-cam++,odam --metrics pointing-game,energy-pointing-game -o run
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
    _add_measurement_options(parser.add_argument_group("measurement"))
    _add_run_options(parser.add_argument_group("run"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure what is not measured yet, and write the report."""
    from captum_ssgc.benchmark import BenchmarkError, report, run_benchmark
    from captum_ssgc.benchmark.distributed import World

    world = World.from_environment()
    try:
        if args.report_only:
            return _finish(report(args.output_dir), args.output_dir)
        if args.data is None:
            raise CommandError("--data is needed: a COCO-format JSON file, or synthetic[:N].")
        settings = _settings(args)
        choice = _model(args, world)
        detector = load_detector(choice)
        check_layers(detector, None if settings.layer is None else list(settings.layer))
        _advise(world, detector.model)
        with warnings.catch_warnings():
            # Those of the vendors would come again for every image.
            warnings.simplefilter("ignore")
            result = run_benchmark(
                detector,
                args.data,
                args.output_dir,
                settings,
                images=args.images,
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
    except (BenchmarkError, *EXPECTED_ERRORS) as error:
        raise CommandError(one_line(error)) from error
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


def _settings(args: argparse.Namespace) -> BenchmarkSettings:
    from captum_ssgc.benchmark import BenchmarkSettings

    methods, metrics = _names(args.methods), _names(args.metrics)
    floors, layers = _names(args.floors), _names(args.layer or "")
    return BenchmarkSettings(
        methods="all" if "all" in methods else methods,
        metrics=metrics,
        floors=() if floors == ("none",) else floors,
        preset=args.preset,
        layer=layers or None,
        output=args.output,
        mask=None if args.mask == "none" else args.mask,
        score_above=args.score_above,
        iou_above=args.iou_above,
        max_detections=args.max_detections,
        drise_masks=args.masks,
        batch_size=args.batch_size,
        threads=args.threads,
        seed=args.seed,
    )


def _model(args: argparse.Namespace, world: World) -> ModelChoice:
    name = args.model
    synthetic = args.data.partition(":")[0] == "synthetic"
    if synthetic and name == DEFAULT_MODEL and args.checkpoint is None:
        name = "demo"
    return ModelChoice(
        name=name,
        weights=args.weights,
        checkpoint=args.checkpoint,
        labels=args.labels,
        device=world.device(args.device),
        score_threshold=_LOWEST_REPORTED,
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


def _add_measurement_options(group: argparse._ArgumentGroup) -> None:
    some = "NAME[,NAME...]"
    group.add_argument(
        "--methods", metavar=some, default="all", help="methods, or all (default: all)"
    )
    group.add_argument(
        "--metrics",
        metavar=some,
        default="all",
        help="deletion-insertion, pointing-game, energy-pointing-game, evidence-energy, or all of "
        "these; besides, on request, infidelity and sensitivity (default: all)",
    )
    group.add_argument(
        "--floors",
        metavar=some,
        default="noise,box,centre",
        help="maps that know nothing, to compare with: noise, box, centre, or none "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--preset",
        metavar="NAME",
        default="yamauchi2024",
        help="choices of a publication for deletion and insertion, and for the detections that "
        "are evaluated: yamauchi2024, drise, odam (default: %(default)s)",
    )
    group.add_argument(
        "--score-above",
        metavar="S",
        type=float,
        help="evaluate detections with a higher score (default: as the preset)",
    )
    group.add_argument(
        "--iou-above",
        metavar="I",
        type=float,
        help="play the pointing games with detections that overlap their annotation more (default: "
        "as the preset)",
    )
    group.add_argument(
        "--max-detections",
        metavar="K",
        type=int,
        help="at most the K best detections of an image (default: all)",
    )
    group.add_argument(
        "--layer",
        metavar=some,
        help="modules to attribute (default: as the detector recommends for each detection)",
    )
    group.add_argument(
        "--output",
        metavar="WHAT",
        default="score",
        help="what is explained: score, logit, left, top, right, bottom (default: %(default)s)",
    )
    group.add_argument(
        "--mask",
        metavar="NAME",
        default="region",
        help="mask of ssgrad-cam++: region, box or none (default: %(default)s)",
    )
    group.add_argument(
        "--masks", metavar="N", type=int, default=1000, help="of d-rise (default: %(default)s)"
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
        "--batch-size",
        metavar="N",
        type=int,
        default=16,
        help="changed images in one forward (default: %(default)s)",
    )
    group.add_argument(
        "--threads",
        metavar="N",
        type=int,
        default=1,
        help="CPU threads of each process; the last digits depend on it, which is why it does not "
        "follow from the machine (default: %(default)s)",
    )
    group.add_argument(
        "--seed", metavar="N", type=int, default=0, help="of all that is random (default: 0)"
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


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
