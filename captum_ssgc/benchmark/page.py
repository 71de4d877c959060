"""The report as one HTML page: no script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from captum_ssgc.benchmark.columns import Column
from captum_ssgc.benchmark.comparisons import Comparison
from captum_ssgc.benchmark.examples import Example, figures
from captum_ssgc.benchmark.mean_curves import mean_curve_pictures
from captum_ssgc.benchmark.summary import Summary
from captum_ssgc.benchmark.tables import notes
from captum_ssgc.report import render

_FLOORS = {
    "noise": "independent random pixels",
    "box": "the detection's box, filled",
    "centre": "a Gaussian in the middle of the image, whatever was detected",
}


def page(summary: Summary, examples: Sequence[Example], viewer: str = "", shown: str = "") -> str:
    """The whole page.

    Args:
        summary: of the run.
        examples: of its methods.
        viewer: file with the images of the examples, beside the page; empty where there is none.
        shown: what of the images their pictures show; empty for RGB as it is.
    """
    settings, description = summary.settings, summary.description
    titles, columns = settings.titles, summary.columns
    groups = [(name, list(members)) for name, members in groupby(columns, lambda one: one.group)]
    first = {members[0].key for _, members in groups}
    minutes = summary.seconds / 60.0
    return render(
        "benchmark.html.jinja",
        counts=summary.counts,
        data={"file": "", **description["data"]},
        model=description["model"],
        notices=_notices(summary),
        columns=columns,
        rows=summary.rows,
        titles=titles,
        reference="" if settings.reference is None else titles[settings.reference],
        groups=groups,
        starts={column.key: "starts" if column.key in first else "" for column in columns},
        most={column.key: _most(summary, column.key) for column in columns},
        notes=notes(summary),
        floors=[f"{titles[name]} ({_FLOORS[name]})" for name in settings.floors],
        pictures=mean_curve_pictures(summary),
        examples=[
            (titles[key], [(one, figures(summary, one.values)) for one in members])
            for key, members in groupby(examples, lambda one: one.row)
        ],
        viewer=viewer,
        shown=shown,
        merit=summary.merit,
        evaluated=_evaluated(summary),
        labels=summary.labels,
        failures=[f"{name}: {why}" for name, why in summary.failures],
        left_out=summary.left_out,
        problems=[f"{name}: {why}" for name, why in summary.problems],
        tested=[
            column
            for column in columns
            if any(c.p is not None for row in summary.rows if (c := row.cells.get(column.key)))
        ],
        matrices=_matrices(summary),
        preset=settings.curve_preset,
        time=f"{minutes / 60:.1f} hours" if minutes >= 60 else f"{minutes:.1f} minutes",
        settings=[
            (f"{part}.{name}", value)
            for part in ("settings", "data", "model", "versions")
            for name, value in description[part].items()
            if name != "left_out"
        ]
        + [("device", description["device"])],
    )


def _matrices(summary: Summary) -> list[tuple[Column, list[tuple[str, list[Comparison | None]]]]]:
    """For each column that is tested: title of a row and its comparison with each other one."""
    tested = {one.column for one in summary.comparisons.each}
    matrices = []
    for column in summary.columns:
        if column.key in tested:
            names = [row.name for row in summary.rows if column.key in row.cells]
            rows = [
                (
                    summary.row(name).title,
                    [summary.comparisons.of(column.key, name, other) for other in names],
                )
                for name in names
            ]
            matrices.append((column, rows))
    return matrices


def _notices(summary: Summary) -> list[str]:
    counts, data = summary.counts, summary.description["data"]
    notices = []
    if not summary.complete:
        notices.append(f"Not finished: {counts['images']} of {data['images']} images are done.")
    if counts["failed"]:
        notices.append(f"{counts['failed']} images could not be evaluated; they are listed below.")
    if not counts["evaluated"]:
        notices.append("No detection was evaluated: there is nothing to compare.")
    return notices


def _most(summary: Summary, key: str) -> int:
    return max(row.cells[key].count for row in summary.rows if key in row.cells)


def _evaluated(summary: Summary) -> list[tuple[str, object]]:
    """How many of what; parts that are empty are left out."""
    counts, settings = summary.counts, summary.settings
    whole: list[tuple[str, object]] = [
        ("Images", counts["images"]),
        ("… that could not be evaluated", counts["failed"]),
        ("… without a detection above the threshold", counts["empty"]),
        ("Detections that the detector reports", counts["reported"]),
        (
            f"… skipped: score not above {settings.score_threshold:g}",
            counts["reported"] - counts["above"],
        ),
        (
            f"… skipped: beyond the best {settings.max_detections} of an image",
            counts["above"] - counts["evaluated"],
        ),
        ("Detections evaluated", counts["evaluated"]),
        (
            "… matched one to one to an annotation of their class, IoU above "
            f"{settings.iou_threshold:g}: pointing games",
            counts["matched"],
        ),
        ("… without such an annotation", counts["evaluated"] - counts["matched"]),
        ("Annotations", counts["annotations"]),
        ("… of crowds, which are not matched", counts["crowd"]),
        ("… of classes that the detector does not know", counts["unknown_class"]),
        *(
            (f"Annotations of the whole file that were left out: {reason}", count)
            for reason, count in summary.ignored.items()
        ),
        ("Places in the data set that could not be used", len(summary.left_out)),
        ("Masks that could not be read", len(summary.problems)),
        ("Damaged lines in the stored results, whose images were done again", summary.damaged),
    ]
    parts = ("…", "Places", "Masks", "Damaged")
    return [row for row in whole if row[1] or not row[0].startswith(parts)]
