"""What is stored of each image, as frozen dataclasses that are checked when they are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from captum_ssgc.benchmark.typed_json import read_as

_COMPACT = (",", ":")


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
class StoredImage:
    """Which image a record is of; whatever a run makes of an image is a subclass.

    ``schema`` changes with the fields of a class of records.

    Args:
        index: of the image in the data set.
        key: what tells the image from the others of its data set.
        name: the image for readers.
        file: fingerprint of the image file; empty for images that are made, not read.
        failed: why nothing could be made of the image; empty if it could.
    """

    index: int
    key: str
    name: str
    file: str = ""
    failed: str = ""
    # Not annotated, as it is no field.
    schema = 2

    def __post_init__(self) -> None:
        if self.index < 0:
            raise ValueError("record: expected an index of at least 0.")


R = TypeVar("R", bound=StoredImage)


@dataclass(frozen=True)
class ImageRecord(StoredImage):
    """Everything that the benchmark counts and measures on one image.

    Args:
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
        super().__post_init__()
        count = len(self.detections)
        if any(len(one.box) != 4 for one in self.detections):
            raise ValueError("record: expected boxes of four numbers.")
        for column in self._columns():
            if len(column) != count:
                raise ValueError(
                    f"record: expected one value for each of {count} detections, got {len(column)}."
                )

    def _columns(self) -> Iterator[tuple[Any, ...]]:
        for columns in self.values.values():
            yield from columns.values()
        yield from self.small_maps.values()


def as_line(record: StoredImage, run: str) -> bytes:
    """The record of a run as one line, without its end; empty texts are not written.

    Args:
        record: of one image.
        run: fingerprint of the run.

    Raises:
        ValueError: if there is NaN or infinity in it, which JSON does not have.
    """
    written = {name: value for name, value in asdict(record).items() if value != ""}
    content = json.dumps(written, separators=_COMPACT, allow_nan=False)
    head = {"schema": record.schema, "run": run, "checksum": _digest(run + content)}
    return f"{json.dumps(head, separators=_COMPACT)[:-1]},{content[1:]}".encode()


def from_line(line: bytes, run: str, kind: type[R]) -> R:
    """What :func:`as_line` wrote.

    Args:
        line: without its end.
        run: fingerprint of the run.
        kind: the run's records.

    Raises:
        DamagedRecordError: if it is something else, or was written by another run.
    """
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        raise DamagedRecordError("cut off, or overwritten") from None
    if not isinstance(content, dict) or content.pop("schema", None) != kind.schema:
        raise DamagedRecordError("written by another version")
    if content.pop("run", None) != run:
        raise DamagedRecordError("written by another run")
    checksum = content.pop("checksum", None)
    if checksum != _digest(run + json.dumps(content, separators=_COMPACT)):
        raise DamagedRecordError("changed after it was written")
    left_out = {field.name: "" for field in fields(kind) if field.default == ""}
    try:
        return read_as(kind, {**left_out, **content}, "record")
    except ValueError as error:
        raise DamagedRecordError(str(error)) from None


def fingerprint(content: Any) -> str:
    """Of any JSON value: the same for equal ones."""
    return _digest(json.dumps(content, sort_keys=True, separators=_COMPACT))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
