"""Writes the table of families in the documentation: what the tests say of each.

python tests/benchmarks/write_families.py [FAMILY ...]

Rows of families that are not named, or that the installed versions lack, stay as they are.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))


def main() -> None:
    wanted = set(sys.argv[1:])
    for name, value in (("YOLO_OFFLINE", "True"), ("YOLO_VERBOSE", "False")):
        os.environ.setdefault(name, value)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.mkdtemp())
    from detectors import families_table

    page = families_table.PAGE
    known = families_table.rows_of(page.read_text(encoding="utf-8")) if page.exists() else {}
    rows = []
    for vendor, name in families_table.FAMILIES:
        if not wanted or name in wanted:
            try:
                family = families_table.built(vendor, name)
            except (pytest.skip.Exception, ImportError) as error:
                print(f"{name}: left as it was: {error}")
            else:
                known[name] = families_table.row_of(vendor, name, family)
                print(*known[name], sep=" | ", flush=True)
        if name in known:
            rows.append(known[name])
    page.write_text(families_table.page_of(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
