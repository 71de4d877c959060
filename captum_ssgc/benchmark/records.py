"""One line for each image that is done, appended by several processes to a file each.

A line reaches the disk before the next image begins, and is never changed. A line that is damaged,
because a process was killed in the middle of it, counts as not written.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captum_ssgc.benchmark.errors import BenchmarkError


@dataclass(frozen=True)
class Line:
    """Where a record is: enough to find it again, whatever its size."""

    file: Path
    offset: int
    length: int
    failed: bool


@dataclass(frozen=True)
class Index:
    """All records of a run.

    Args:
        lines: by the index of the image.
        damaged: how many lines could not be read.
    """

    lines: dict[int, Line]
    damaged: int

    def records(self) -> Iterator[dict[str, Any]]:
        """One record at a time, in the order of the images."""
        for index in sorted(self.lines):
            yield self.record(index)

    def record(self, index: int) -> dict[str, Any]:
        """The record of one image."""
        line = self.lines[index]
        with line.file.open("rb") as file:
            file.seek(line.offset)
            record: dict[str, Any] = json.loads(file.read(line.length))
        return record


def read_index(folder: Path) -> Index:
    """Everything that is stored, whichever process wrote it.

    Where an image has several records, the first one without a failure counts, else the first.
    """
    lines: dict[int, Line] = {}
    damaged = 0
    for file in sorted(folder.glob("rank-*.jsonl")):
        for offset, content in _lines(file):
            record = _parsed(content)
            if record is None:
                damaged += 1
                continue
            line = Line(file, offset, len(content), "failed" in record)
            earlier = lines.get(record["index"])
            if earlier is None or (earlier.failed and not line.failed):
                lines[record["index"]] = line
    return Index(lines, damaged)


@contextlib.contextmanager
def open_writer(folder: Path, rank: int) -> Iterator[Writer]:
    """Append the records of one process; nobody else may do so at the same time.

    Raises:
        BenchmarkError: if another process does so already, or the file cannot be opened.
    """
    file = folder / f"rank-{rank:04d}.jsonl"
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise BenchmarkError(f"{file} cannot be written: {error}") from error
    try:
        _lock(descriptor, folder)
        yield Writer(descriptor)
    finally:
        os.close(descriptor)


class Writer:
    """Appends records to an open file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        size = os.fstat(descriptor).st_size
        # What a killed process left behind must not run into the next line.
        self._open_line = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"

    def append(self, record: dict[str, Any]) -> None:
        """Write one record, whole or not at all.

        Raises:
            OSError: if that fails, for example because the disk is full.
        """
        size = os.fstat(self._descriptor).st_size
        text = json.dumps(record, allow_nan=False, separators=(",", ":"))
        content = (b"\n" if self._open_line else b"") + text.encode() + b"\n"
        try:
            written = 0
            while written < len(content):
                written += os.write(self._descriptor, content[written:])
            os.fsync(self._descriptor)
        except OSError:
            self._open_line = True
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, size)
            raise
        self._open_line = False


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BenchmarkError(
            f"another process is writing to {folder.parent}: wait for it, or end it."
        ) from None
    except OSError:
        return  # a file system without locks


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Offset and content of every line that is not empty."""
    offset = 0
    with file.open("rb") as stream:
        for line in stream:
            content = line.rstrip(b"\n")
            if content:
                yield offset, content
            offset += len(line)


def _parsed(content: bytes) -> dict[str, Any] | None:
    """The record of a line; ``None`` if it is damaged."""
    try:
        record = json.loads(content)
    except ValueError:
        return None
    if not isinstance(record, dict) or not isinstance(record.get("index"), int):
        return None
    return record
