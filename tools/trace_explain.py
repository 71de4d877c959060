"""Which files of the package one call of ``explain`` passes through, and how many calls that is.

    python tools/trace_explain.py

The page *Architecture* says it, counted by its directive ``calls-of-explain`` at every build. One
detection of the detector in the box by the default method, once everything has been imported and
followed once.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import captum_ssgc as ssgc
from captum_ssgc import demo

PACKAGE = Path(ssgc.__file__).parent


def visited() -> Counter[tuple[str, str]]:
    """Calls by file and function, in the order of the first; comprehensions are no calls."""
    detector, image = ssgc.wrap_detector(demo.detector()), demo.scene(26).image
    ssgc.explain(detector, image, top_k=1)
    calls: Counter[tuple[str, str]] = Counter()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and PACKAGE in path.parents and "<" not in frame.f_code.co_name:
            calls[path.relative_to(PACKAGE).as_posix(), frame.f_code.co_name] += 1

    sys.setprofile(note)
    try:
        ssgc.explain(detector, image, top_k=1)
    finally:
        sys.setprofile(None)
    return calls


def of_files(calls: Counter[tuple[str, str]]) -> Counter[str]:
    """The same by file."""
    files: Counter[str] = Counter()
    for (file, _), count in calls.items():
        files[file] += count
    return files


def total(calls: Counter[tuple[str, str]]) -> str:
    """All of them in words."""
    return f"{calls.total()} calls of {len(calls)} functions in {len(of_files(calls))} files"


if __name__ == "__main__":
    calls = visited()
    for file, count in of_files(calls).items():
        print(f"{count:6} {file}")
    print(total(calls))
