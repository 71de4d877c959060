"""The report as one HTML page: no script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from captum_ssgc.benchmark.curve_pictures import curve_pictures
from captum_ssgc.benchmark.examples import Example
from captum_ssgc.benchmark.markup import data_uri, text
from captum_ssgc.benchmark.page_notes import evaluated, settings
from captum_ssgc.benchmark.page_style import STYLE
from captum_ssgc.benchmark.page_table import explanations, results, tests
from captum_ssgc.benchmark.settings import row_title
from captum_ssgc.benchmark.summary import Summary

_EXAMPLE_COLUMNS = ("ins_s1", "del_s1", "ep_b", "evidence")


def page(summary: Summary, examples: Sequence[Example]) -> str:
    """The whole page."""
    parts = [
        _head(summary),
        results(summary),
        explanations(summary),
        _curves(summary),
        _examples(summary, examples),
        evaluated(summary),
        tests(summary),
        settings(summary),
    ]
    title = f"Benchmark: {text(summary.description['model']['name'])}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # An empty icon, or browsers ask for one.
        '<link rel="icon" href="data:,">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


def _head(summary: Summary) -> str:
    counts, data = summary.counts, summary.description["data"]
    what = data.get("file", data["kind"])
    notices = []
    if not summary.complete:
        notices.append(f"Not finished: {counts['images']} of {data['images']} images are done.")
    if counts["failed"]:
        notices.append(f"{counts['failed']} images could not be evaluated; they are listed below.")
    if not counts["evaluated"]:
        notices.append("No detection was evaluated: there is nothing to compare.")
    return (
        "<h1>Attribution benchmark</h1>\n"
        f'<p class="sub">{text(summary.description["model"]["name"])} on {text(what)}: '
        f"{counts['images'] - counts['failed']} images, {counts['evaluated']} detections, "
        f"{counts['matched']} matched to annotations</p>"
        + "".join(f'<p class="notice">{notice}</p>' for notice in notices)
    )


def _curves(summary: Summary) -> str:
    pictures = curve_pictures(summary)
    if not pictures:
        return ""
    images = "\n".join(
        f'<img alt="{text(title)}" src="{data_uri("image/svg+xml", svg.encode())}">'
        for title, svg in pictures.items()
    )
    return (
        "<h2>Curves</h2>\n<p>Mean over detections, divided by the score on the unchanged image "
        "where the preset says so. A good map's deletion curve falls at once, its insertion curve "
        f'rises at once.</p>\n<div class="curves">{images}</div>'
    )


def _examples(summary: Summary, examples: Sequence[Example]) -> str:
    if not examples:
        return ""
    blocks = []
    for name, group in groupby(examples, key=lambda example: example.row):
        figures = "".join(_figure(summary, example) for example in group)
        blocks.append(
            f'<div><h3>{text(row_title(name))}</h3><div class="trio">{figures}</div></div>'
        )
    return (
        f"<h2>Examples</h2>\n<p>For each method the best, the median and the worst detection, "
        f"ordered by {text(summary.merit)}. The warmer, the more the map says that the pixel "
        "matters; the box is the detection's.</p>\n"
        f'<div class="examples">{"".join(blocks)}</div>'
    )


def _figure(summary: Summary, example: Example) -> str:
    numbers = " · ".join(
        f"{column.title} {column.text(example.values[column.key])}"
        for column in summary.columns
        if column.key in _EXAMPLE_COLUMNS and column.key in example.values
    )
    picture = '<div class="missing">not drawn</div>'
    if example.jpeg is not None:
        alt = text(f"heat map over {example.image_name}")
        picture = f'<img alt="{alt}" src="{data_uri("image/jpeg", example.jpeg)}">'
    return (
        f"<figure>{picture}<figcaption><b>{example.kind}: {text(example.label)}</b> "
        f"{example.score:.2f}<br>{text(example.image_name)}<br>{text(numbers)}</figcaption></figure>"
    )
