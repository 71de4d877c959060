"""``captum-ssgc audit``: what a detector gets wrong on a whole data set, and why."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captum_ssgc.benchmark.auditing.settings import AuditSettings
from captum_ssgc.cli.data_runs import DataCommand, add_data_command
from captum_ssgc.cli.messages import CommandError, one_line, say, table
from captum_ssgc.cli.method_options import NAMES
from captum_ssgc.cli.options import add_option
from captum_ssgc.cli.settings_fields import add_fields, said_of_options

if TYPE_CHECKING:
    from captum_ssgc.benchmark import AuditSummary
    from captum_ssgc.detector import Detector

_CLASSES = 15

_DESCRIPTION = """\
Find out what a detector gets wrong on an annotated data set, and why.

Which objects were missed, and what became of the candidates for them; which detections belong to
no object; and what detections rest on: the object, its surroundings or a neighbour (each is scored
again with its box alone, and without it). The data set is in the COCO format, or made of synthetic
scenes. A run that was stopped or killed goes on where it was when the same command is given again;
started by torchrun, several processes share the images.

RUN/audit.html is one page: shares with intervals, classes ranked by how much they lean on context,
and the images most worth a look, with the maps that tell why. RUN/classes.csv, RUN/findings.csv and
RUN/audit.json (in the manner of COCO) have everything.
"""
_EPILOG = """\
examples:
  captum-ssgc audit --data synthetic:20 -o scenes
  captum-ssgc audit --data instances.json --images photos -o run
  captum-ssgc audit --data annotations/instances_val2017.json --limit 500 \\
      --model onnx:yolox_nano.onnx --labels coco --score-threshold 0.3 -o run
  torchrun --nproc-per-node=8 -m captum_ssgc audit --data instances.json -o run

exit codes: 0 done; 2 something failed; 130 interrupted, the same command goes on.
"""


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    command = DataCommand(
        name="audit",
        help="what a detector gets wrong on a data set, and why",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        add_settings=_add_settings,
        settings_of=_settings_of,
        compute=_compute,
        report=_report,
        finish=_print,
        examples="images on the page, those most worth a look",
    )
    add_data_command(subparsers, command)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("explanation")
    add_option(
        group,
        "--method",
        metavar="NAME",
        type=lambda text: None if text == "none" else text,
        default=AuditSettings.method,
        help=f"of the maps, one of {NAMES} that is made of gradients, or none "
        "(default: %(default)s)",
    )
    add_fields(group, AuditSettings, without=["method"])


def _settings_of(args: argparse.Namespace) -> AuditSettings:
    values = {field.name: getattr(args, field.name) for field in fields(AuditSettings)}
    try:
        return AuditSettings(**values)
    except (TypeError, ValueError) as error:
        raise CommandError(said_of_options(one_line(error))) from error


def _compute(
    detector: Detector,
    data: Any,
    settings: AuditSettings,
    args: argparse.Namespace,
    further: Mapping[str, Any],
) -> AuditSummary | None:
    from captum_ssgc.benchmark import audit

    return audit(detector, data, args.output_dir, settings, **further)


def _report(args: argparse.Namespace) -> AuditSummary:
    from captum_ssgc.benchmark import report_audit

    return report_audit(args.output_dir, args.examples)


def _print(summary: AuditSummary, folder: Path) -> None:
    from captum_ssgc.benchmark.auditing.page import lead

    say("\n".join(lead(summary)) + "\n")
    head = ["class", "on context", "found", "wrong class", "badly placed", "missed", "false"]
    rows = []
    for one in summary.classes[:_CLASSES]:
        context = one.on_context
        kinds = [one.objects.get(kind) for kind in head[2:6]]
        false = sum(int(share.count) for share in one.false_alarms.values())
        rows.append(
            [
                one.name,
                "-" if context is None else f"{int(context.count)} of {context.total}",
                *("-" if share is None else str(int(share.count)) for share in kinds),
                f"{false} of {one.detection_count}",
            ]
        )
    say(table(head, rows, right=head[1:]))
    if len(summary.classes) > _CLASSES:
        say(f"and {len(summary.classes) - _CLASSES} more classes")
    say(f"\n-> {folder / 'audit.html'}, classes.csv, findings.csv and audit.json")
