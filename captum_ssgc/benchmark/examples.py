"""Single detections as examples: the best, the median and the worst of each method."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from captum_ssgc.benchmark.record_files import Index
from captum_ssgc.benchmark.records import ImageRecord, fingerprint
from captum_ssgc.benchmark.summary import Summary
from captum_ssgc.benchmark.tally import Place

_KINDS = {1: ("only",), 2: ("best", "worst"), 3: ("best", "median", "worst")}
# Some file systems do not tell small letters from large ones, and all have a longest name.
_PLAIN = re.compile(r"[a-z0-9][a-z0-9+_-]{0,63}")
_COLUMNS = ("ins_s1", "del_s1", "ep_b", "evidence")


@dataclass(frozen=True)
class Example:
    """One detection with one method's map.

    Args:
        row: key of the method or floor.
        kind: ``"best"``, ``"median"`` or ``"worst"``.
        image_name: of its image.
        label: its class.
        score: of the detector.
        values: by column, as measured.
        jpeg: the picture; ``None`` where it was not drawn.
        link: to the same map in the viewer; empty where it is not there.
    """

    row: str
    kind: str
    image_name: str
    label: str
    score: float
    values: dict[str, float]
    jpeg: bytes | None
    link: str = ""


def read_examples(
    summary: Summary,
    index: Index[ImageRecord],
    folder: Path,
    links: Mapping[tuple[str, int, int], str],
) -> list[Example]:
    """All examples, with those pictures that are in ``folder``.

    Args:
        summary: of the run.
        index: of its records.
        folder: of the pictures.
        links: by key of the row, index of the image and place of the detection.
    """
    examples = []
    for key, kind, place in kinds_of(summary):
        record = index.record(place.index)
        detection = record.detections[place.row]
        path = picture_path(folder, key, place)
        examples.append(
            Example(
                row=key,
                kind=kind,
                image_name=record.name,
                label=detection.label,
                score=detection.score,
                values=values_at(record, key, place.row),
                jpeg=path.read_bytes() if path.exists() else None,
                link=links.get((key, place.index, place.row), ""),
            )
        )
    return examples


def kinds_of(summary: Summary) -> Iterator[tuple[str, str, Place]]:
    """Key of the row, kind and place of every example, in the order of the report."""
    for key, places in summary.examples.items():
        for kind, place in zip(_KINDS.get(len(places), ()), places):
            yield key, kind, place


def values_at(record: ImageRecord, key: str, row: int) -> dict[str, float]:
    """What was measured of a row's map of one detection, by column."""
    columns = record.values.get(key, {})
    return {
        column: value for column, values in columns.items() if (value := values[row]) is not None
    }


def figures(summary: Summary, values: Mapping[str, float]) -> str:
    """The most telling of the values, for readers."""
    return " · ".join(
        f"{column.title} {column.text(values[column.key])}"
        for column in summary.columns
        if column.key in _COLUMNS and column.key in values
    )


def picture_path(folder: Path, key: str, place: Place) -> Path:
    """Where the picture of an example of a row is, on any file system."""
    plain = key if _PLAIN.fullmatch(key) else f"row-{fingerprint(key)}"
    return folder / f"{plain}_{place.index}_{place.row}.jpg"
