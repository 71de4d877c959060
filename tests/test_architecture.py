"""The page that follows one call of ``explain`` names the files that it passes through."""

from __future__ import annotations

import re
from pathlib import Path

from trace_explain import visited

PAGE = Path(__file__).resolve().parents[1] / "docs" / "architecture.rst"


def test_the_files_of_the_page_are_those_of_the_call():
    text = PAGE.read_text(encoding="utf-8")
    steps = text.split("One call of ``explain``")[1].split("Four ideas")[0]
    named = re.findall(r"``([\w/]+\.py)``", steps.split("sees them.")[1].split("13. ")[0])
    calls = visited()
    files = list(dict.fromkeys(file for file, _ in calls))
    assert set(named) <= set(files)
    assert {file for file in files if calls_of(calls, file) > 10} <= {*named, *SHARED}


# Read from nearly everywhere, and explained elsewhere on the page; the network itself.
SHARED = {
    "detector.py",
    "_windows.py",
    "_norm_gradients.py",
    "detectors/_torchvision.py",
    "detectors/_precision.py",
    "demo/model.py",
}


def calls_of(calls, file):
    return sum(count for (of, _), count in calls.items() if of == file)
