"""The images of the examples in the viewer: their detections with the maps of every method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from captum_ssgc.benchmark.examples import figures, kinds_of, values_at
from captum_ssgc.benchmark.image_evaluation import GROUP
from captum_ssgc.benchmark.page_store import stored_page
from captum_ssgc.benchmark.record_files import Index
from captum_ssgc.benchmark.records import ImageRecord, fingerprint
from captum_ssgc.benchmark.sources import Case
from captum_ssgc.benchmark.summary import Summary
from captum_ssgc.detections import Detections
from captum_ssgc.report import ViewerEntry, ViewerPage, viewer_html


@dataclass(frozen=True)
class ExampleImage:
    """An image that has an example, and what of it is shown.

    Args:
        index: of the image.
        rows: which of its evaluated detections; the examples, and the best of the others up to as
            many as are evaluated at a time.
        marks: for each of these what it is an example of; empty where it is none.
    """

    index: int
    rows: tuple[int, ...]
    marks: tuple[str, ...]

    def path(self, folder: Path) -> Path:
        """Where it is kept; another file where something else is shown."""
        return folder / f"{self.index}-{fingerprint([self.rows, self.marks])}.json"


def example_images(summary: Summary, index: Index[ImageRecord], most: int) -> list[ExampleImage]:
    """The first ``most`` images with an example, in the order of the report."""
    marked: dict[int, dict[int, list[str]]] = {}
    for key, kind, place in kinds_of(summary):
        marks = marked.setdefault(place.index, {}).setdefault(place.row, [])
        marks.append(f"{kind} of {summary.settings.titles[key]}")
    images = []
    for number, own in list(marked.items())[:most]:
        others = [row for row in range(len(index.record(number).detections)) if row not in own]
        rows = sorted([*own, *others[: max(GROUP - len(own), 0)]])
        images.append(
            ExampleImage(number, tuple(rows), tuple(", ".join(own.get(row, [])) for row in rows))
        )
    return images


def viewer_page(
    summary: Summary,
    image: ExampleImage,
    record: ImageRecord,
    case: Case,
    detections: Detections,
    heat_maps: Mapping[tuple[str, int], Tensor],
) -> ViewerPage:
    """The image with its detections.

    Args:
        summary: of the run.
        image: what is shown.
        record: of the image.
        case: the image.
        detections: all that were evaluated.
        heat_maps: ``(H, W)`` by key of the method's row and place of the detection.
    """
    titles = {key: summary.settings.titles[key] for key in summary.examples}
    entries = []
    for row, mark in zip(image.rows, image.marks, strict=True):
        known, one = record.detections[row], detections[row]
        measured = {
            titles[key]: text
            for key in titles
            if (text := figures(summary, values_at(record, key, row)))
        }
        entries.append(
            ViewerEntry(
                box=known.box,
                label=known.label,
                maps={(titles[key], ""): heat_maps[key, row].nan_to_num(0, 0, 0) for key in titles},
                score=known.score,
                kind=_kind(summary, known.annotation),
                facts=({"Example": mark} if mark else {}) | measured,
                corners=None if one.corners is None else one.corners[0],
                mask=None if one.masks is None else one.masks[0],
            )
        )
    return ViewerPage(record.name, case.image, entries)


def examples_page(
    summary: Summary, images: Sequence[ExampleImage], folder: Path
) -> tuple[str, dict[tuple[str, int, int], str]]:
    """The page of those images that are in ``folder``; empty if none is.

    Returns:
        The page, and the place on it, such as ``"#box-0-3-1"``, of each map, by key of the row,
        index of the image and place of the detection.
    """
    pages = [
        (image, page) for image in images if (page := stored_page(image.path(folder))) is not None
    ]
    if not pages:
        return "", {}
    places = {
        (key, image.index, row): f"#box-{number}-{entry}-{at}"
        for number, (image, _) in enumerate(pages)
        for entry, row in enumerate(image.rows)
        for at, key in enumerate(summary.examples)
    }
    title = f"Examples: {summary.description['model']['name']}"
    return viewer_html((page for _, page in pages), title=title), places


def _kind(summary: Summary, annotation: int | None) -> str:
    if not summary.counts["annotations"]:
        return ""
    return "without an annotation" if annotation is None else "matched to an annotation"
