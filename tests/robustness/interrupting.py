"""Ends a call by KeyboardInterrupt at a line of one's choice."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import captum
import torch

import captum_ssgc

OURS = (str(Path(captum_ssgc.__file__).parent),)
ALL = (
    *OURS,
    contextlib.__file__,
    str(Path(captum.__file__).parent),
    str(Path(torch.__file__).parent),
)


class LineInterrupt:
    """Counts the lines that are executed below some folders, and interrupts before one of them.

    Args:
        at: number of the line that is not executed any more; ``None`` to count only.
        folders: files that do not lie in them are passed over.
    """

    def __init__(self, at: int | None, folders: Sequence[str] = OURS) -> None:
        self._at, self._folders = at, tuple(folders)
        self.lines = 0
        self.place = ""

    def __enter__(self) -> LineInterrupt:
        self._before = sys.gettrace()
        sys.settrace(self._enter_frame)
        return self

    def __exit__(self, *args: object) -> None:
        sys.settrace(self._before)

    def _enter_frame(self, frame: FrameType, event: str, arg: Any) -> Any:
        return self._line if frame.f_code.co_filename.startswith(self._folders) else None

    def _line(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line":
            self.lines += 1
            if self.lines == self._at:
                self.place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self._line


def lines_of(call: Callable[[], Any], folders: Sequence[str] = OURS) -> int:
    """How many lines a call executes."""
    with LineInterrupt(None, folders) as counting:
        call()
    return counting.lines


def interrupted_at(
    call: Callable[[], Any], places: Sequence[int], folders: Sequence[str] = OURS
) -> Iterator[tuple[str, bool]]:
    """Call, and be interrupted at one line after the other.

    Yields:
        The place, and whether the interrupt came through.
    """
    for place in places:
        with LineInterrupt(place, folders) as interrupt:
            try:
                call()
            except KeyboardInterrupt as kept:
                yield interrupt.place, kept is not None
            else:
                yield interrupt.place, False
