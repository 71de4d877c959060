"""One line for each image that is done, appended by several processes to a file each.

A line reaches the disk before the next image begins, and is never changed. A line that is damaged,
because a process was killed in the middle of it or something else wrote there, counts as not
written.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from filelock import FileLock, Timeout

from captum_ssgc.benchmark.errors import BenchmarkError
from captum_ssgc.benchmark.records import (
    DamagedRecordError,
    R,
    StoredImage,
    as_line,
    from_line,
)

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND
# Not there on every system: a link is not followed, a line's end is not changed.
_FLAGS |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class Line:
    """Where a record is: enough to find it again, whatever its size.

    Args:
        path: of the file.
        offset: of the line in it.
        length: of the line.
        failed: whether nothing could be made of the image.
        image: fingerprint of the image file.
    """

    path: Path
    offset: int
    length: int
    failed: bool
    image: str


@dataclass(frozen=True)
class Index(Generic[R]):
    """All records of a run.

    Args:
        run: fingerprint of the run.
        kind: of its records.
        lines: by the index of the image.
        damaged: how many lines could not be read, by reason.
    """

    run: str
    kind: type[R]
    lines: dict[int, Line]
    damaged: Counter[str]

    def records(self) -> Iterator[R]:
        """One record at a time, in the order of the images."""
        for index in sorted(self.lines):
            yield self.record(index)

    def record(self, index: int) -> R:
        """The record of one image."""
        line = self.lines[index]
        with line.path.open("rb") as stream:
            stream.seek(line.offset)
            return from_line(stream.read(line.length), self.run, self.kind)


def read_index(folder: Path, run: str, kind: type[R]) -> Index[R]:
    """Everything that is stored of a run, whichever process wrote it.

    Where an image has several records, the first one without a failure counts, else the first.

    Args:
        folder: of the results.
        run: fingerprint of the run.
        kind: of its records.
    """
    lines: dict[int, Line] = {}
    damaged: Counter[str] = Counter()
    for path in sorted(folder.glob("rank-*.jsonl")):
        for offset, content in _lines(path):
            try:
                record = from_line(content, run, kind)
            except DamagedRecordError as error:
                damaged[str(error)] += 1
                continue
            line = Line(path, offset, len(content), bool(record.failed), record.file)
            earlier = lines.get(record.index)
            if earlier is None or (earlier.failed and not line.failed):
                lines[record.index] = line
    return Index(run, kind, lines, damaged)


@contextlib.contextmanager
def open_writer(folder: Path, rank: int, run: str) -> Iterator[Writer]:
    """Append the records of one process; nobody else may do so at the same time.

    Raises:
        BenchmarkError: if another process does so already, or the file cannot be opened.
    """
    path = folder / f"rank-{rank:04d}.jsonl"
    with _locked(path.with_suffix(".lock"), folder):
        try:
            descriptor = os.open(path, _FLAGS, 0o644)
        except OSError as error:
            raise BenchmarkError(f"{path} cannot be written: {error}") from error
        try:
            yield Writer(descriptor, run)
        finally:
            os.close(descriptor)


class Writer:
    """Appends records to an open file."""

    def __init__(self, descriptor: int, run: str) -> None:
        self._descriptor, self._run = descriptor, run
        size = os.lseek(descriptor, 0, os.SEEK_END)
        if size:
            os.lseek(descriptor, size - 1, os.SEEK_SET)
        # What a killed process left behind must not run into the next line.
        self._open_line = size > 0 and os.read(descriptor, 1) != b"\n"

    def append(self, record: StoredImage) -> None:
        """Write one record, whole or not at all.

        Raises:
            OSError: if that fails, for example because the disk is full.
        """
        size = os.fstat(self._descriptor).st_size
        content = (b"\n" if self._open_line else b"") + as_line(record, self._run) + b"\n"
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


@contextlib.contextmanager
def _locked(path: Path, folder: Path) -> Iterator[None]:
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BenchmarkError(
            f"another process is writing to {folder.parent}: wait for it, or end it."
        ) from None
    except OSError as error:
        raise BenchmarkError(f"{path} cannot be written: {error}") from error
    try:
        yield
    finally:
        lock.release()


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Offset and content of every line that is not empty."""
    offset = 0
    with path.open("rb") as stream:
        for line in stream:
            content = line.rstrip(b"\n")
            if content:
                yield offset, content
            offset += len(line)
