"""What is stored of each image, as a frozen dataclass that is checked when it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from captum_ssgc.benchmark.typed_json import read_as

SCHEMA = 2
"""Changed with the fields of :class:`ImageRecord`."""
_COMPACT = (",", ":")
# Texts that are empty are not written.
_LEFT_OUT = {"file": "", "failed": "", "labels": ""}


class DamagedRecordError(ValueError):
    """A stored line is no record of this run; the message says why."""


@dataclass(frozen=True)
class DetectionRecord:
    """One evaluated detection.

    Args:
        label: its class, by name where the detector or the data set has names.
        score: of the detector.
        box: ``(x1, y1, x2, y2)`` in pixels of the image.
        annotation: row of the annotation that it is matched to; ``None`` where there is none.
    """

    label: str
    score: float
    box: tuple[float, ...]
    annotation: int | None


@dataclass(frozen=True)
class CurveSum:
    """The sum of ``count`` curves, those that have no number left out."""

    count: int
    sum: tuple[float, ...]


@dataclass(frozen=True)
class ImageRecord:
    """Everything that is counted and measured on one image.

    Args:
        index: of the image in the data set.
        key: what tells the image from the others of its data set.
        name: the image for readers.
        file: fingerprint of the image file; empty for images that are made, not read.
        failed: why the image could not be evaluated; empty if it could.
        reported: number of detections.
        above: how many of them have a score above the threshold.
        annotations: number of annotations.
        crowd: how many of them stand for groups.
        unknown_class: how many others are of a class that the detector does not know.
        labels: how categories and labels were brought together.
        detections: those that were evaluated, best first.
        values: by row and column one number for each of them, ``None`` where there is none.
        curves: by row and column.
        seconds: by row, for all of them together.
        small_maps: by row one small picture of each map; rows whose maps are made again quickly
            have none.
        problems: what could not be used of the annotations.
        total_seconds: spent on the image.
    """

    index: int
    key: str
    name: str
    file: str = ""
    failed: str = ""
    reported: int = 0
    above: int = 0
    annotations: int = 0
    crowd: int = 0
    unknown_class: int = 0
    labels: str = ""
    detections: tuple[DetectionRecord, ...] = ()
    values: dict[str, dict[str, tuple[float | None, ...]]] = field(default_factory=dict)
    curves: dict[str, dict[str, CurveSum]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    small_maps: dict[str, tuple[str, ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    total_seconds: float = 0.0

    def __post_init__(self) -> None:
        count = len(self.detections)
        if self.index < 0 or any(len(one.box) != 4 for one in self.detections):
            raise ValueError("record: expected an index of at least 0 and boxes of four numbers.")
        for column in self._columns():
            if len(column) != count:
                raise ValueError(
                    f"record: expected one value for each of {count} detections, got {len(column)}."
                )

    def _columns(self) -> Iterator[tuple[Any, ...]]:
        for columns in self.values.values():
            yield from columns.values()
        yield from self.small_maps.values()


def as_line(record: ImageRecord, run: str) -> bytes:
    """The record of a run as one line, without its end.

    Args:
        record: of one image.
        run: fingerprint of the run.

    Raises:
        ValueError: if there is NaN or infinity in it, which JSON does not have.
    """
    fields = {name: value for name, value in asdict(record).items() if value != ""}
    content = json.dumps(fields, separators=_COMPACT, allow_nan=False)
    head = {"schema": SCHEMA, "run": run, "checksum": _digest(run + content)}
    return f"{json.dumps(head, separators=_COMPACT)[:-1]},{content[1:]}".encode()


def from_line(line: bytes, run: str) -> ImageRecord:
    """What :func:`as_line` wrote.

    Raises:
        DamagedRecordError: if it is something else, or was written by another run.
    """
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise DamagedRecordError("cut off, or overwritten") from None
    if not isinstance(fields, dict) or fields.pop("schema", None) != SCHEMA:
        raise DamagedRecordError("written by another version")
    if fields.pop("run", None) != run:
        raise DamagedRecordError("written by another run")
    checksum = fields.pop("checksum", None)
    if checksum != _digest(run + json.dumps(fields, separators=_COMPACT)):
        raise DamagedRecordError("changed after it was written")
    try:
        return read_as(ImageRecord, {**_LEFT_OUT, **fields}, "record")
    except ValueError as error:
        raise DamagedRecordError(str(error)) from None


def fingerprint(content: Any) -> str:
    """Of any JSON value: the same for equal ones."""
    return _digest(json.dumps(content, sort_keys=True, separators=_COMPACT))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
