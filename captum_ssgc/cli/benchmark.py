"""``captum-ssgc benchmark``: attribution methods measured on a whole data set."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captum_ssgc.cli.benchmark_settings import add_settings, settings_of
from captum_ssgc.cli.data_runs import DataCommand, add_data_command
from captum_ssgc.cli.messages import say, table

if TYPE_CHECKING:
    from captum_ssgc.benchmark import BenchmarkSettings, Summary
    from captum_ssgc.detector import Detector

_DESCRIPTION = """\
Measure attribution methods on a detector and a data set: the table of the SSGrad-CAM++ paper.

The data set is in the COCO format, or made of synthetic scenes whose evidence is known. The
results of every image are stored as soon as it is done: a run that was stopped or killed goes on
where it was when the same command is given again. Started by torchrun, several processes share
the images, on one machine or on many; the numbers do not depend on how many there are.

RUN/report.html has the table with intervals and tests, curves and examples; RUN/examples.html shows
the images of the examples with the maps of all methods; RUN/table.md and RUN/table.csv have the
table, RUN/comparisons.csv any two of its rows compared.
"""
_EPILOG = """\
examples:
  captum-ssgc benchmark --data synthetic:100 -o scenes
  captum-ssgc benchmark --data instances.json --images photos -o run
  captum-ssgc benchmark --data instances.json --images photos --model onnx:yolox_nano.onnx \\
      --method ssgrad-cam++,odam --metrics pointing-game,energy-pointing-game -o run
  captum-ssgc benchmark --data synthetic:100 -o variants \\
      --method 'ssgrad-cam++,ssgrad-cam++[output=logit,signed_activations=as_is]'
  torchrun --nproc-per-node=8 -m captum_ssgc benchmark --data instances.json --images photos \\
      -o run

exit codes: 0 done; 2 something failed; 130 interrupted, the same command goes on.
"""


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    command = DataCommand(
        name="benchmark",
        help="measure methods on a data set",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        add_settings=lambda parser: add_settings(parser.add_argument_group("measurement")),
        settings_of=settings_of,
        compute=_measure,
        report=_report,
        finish=_print,
        examples="images in examples.html, from those of the report's examples",
    )
    add_data_command(subparsers, command)


def _measure(
    detector: Detector,
    data: Any,
    settings: BenchmarkSettings,
    args: argparse.Namespace,
    further: Mapping[str, Any],
) -> Summary | None:
    from captum_ssgc.benchmark import run_benchmark

    return run_benchmark(detector, data, args.output_dir, settings, **further)


def _report(args: argparse.Namespace) -> Summary:
    from captum_ssgc.benchmark import report

    return report(args.output_dir, args.examples)


def _print(summary: Summary, folder: Path) -> None:
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
    viewer = "examples.html, " if (folder / "examples.html").exists() else ""
    say(f"\n-> {folder / 'report.html'}, {viewer}table.md and table.csv")
