"""What was evaluated, and how: the small print of the report."""

from __future__ import annotations

import json

from captum_ssgc.benchmark.markup import folded_list, text
from captum_ssgc.benchmark.summary import Summary


def evaluated(summary: Summary) -> str:
    counts, settings = summary.counts, summary.settings
    beyond = counts["above"] - counts["evaluated"]
    rows: list[tuple[str, object]] = [
        ("Images", counts["images"]),
        ("… that could not be evaluated", counts["failed"]),
        ("… without a detection above the threshold", counts["empty"]),
        ("Detections that the detector reports", counts["reported"]),
        (
            f"… skipped: score not above {settings.score_threshold:g}",
            counts["reported"] - counts["above"],
        ),
        (f"… skipped: beyond the best {settings.max_detections} of an image", beyond),
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
        ("Masks that could not be read", len(summary.problems)),
        ("Damaged lines in the stored results, whose images were done again", summary.damaged),
    ]
    rows = [row for row in rows if row[1] or not row[0].startswith(("…", "Masks", "Damaged"))]
    lines = "".join(
        f'<tr><td>{text(name)}</td><td class="number">{text(value)}</td></tr>'
        for name, value in rows
    )
    labels = "; ".join(summary.labels)
    matching = (
        f"<p>Categories and labels were brought together {text(labels)}.</p>" if labels else ""
    )
    return (
        f'<h2>What was evaluated</h2>\n<table class="plain">{lines}</table>\n{matching}'
        + folded_list("Images that could not be evaluated", summary.failures)
        + folded_list("Masks that could not be read", summary.problems)
    )


def settings(summary: Summary) -> str:
    preset = summary.settings.curve_preset
    rows: list[tuple[str, object]] = [
        (f"{part}.{name}", value)
        for part in ("settings", "data", "model", "versions")
        for name, value in summary.description[part].items()
    ]
    rows.append(("device", summary.description["device"]))
    lines = "".join(
        f"<tr><td>{text(name)}</td><td><code>{text(_json(value))}</code></td></tr>"
        for name, value in rows
    )
    hours = summary.seconds / 3600.0
    time = f"{hours:.1f} hours" if hours >= 1 else f"{summary.seconds / 60.0:.1f} minutes"
    return (
        "<h2>Settings</h2>\n"
        f"<p>Preset <code>{text(preset.name)}</code>: {text(preset.source)}</p>\n"
        f"<p><b>The source states:</b> {text(preset.stated)}</p>\n"
        f"<p><b>It leaves open:</b> {text(preset.assumed)}</p>\n"
        f"<p>Computing time of all processes together: {time}.</p>\n"
        f'<details><summary>All settings and versions</summary><table class="plain">{lines}</table>'
        "</details>"
    )


def _json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
