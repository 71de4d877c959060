"""Photos for a page of a run, kept in its folder so that the page is written without the model."""

from __future__ import annotations

import json
from pathlib import Path

from captum_ssgc.benchmark.run_folder import write_whole
from captum_ssgc.report import PackedPage, ViewerPage, pack

MOST_IMAGES = 24
"""On a page, unless the user says otherwise: it is one file."""


def store_page(path: Path, page: ViewerPage) -> None:
    """Pack a photo into a file of its own.

    Raises:
        OSError, ValueError: if the file cannot be written, or the page does not fit together.
    """
    packed = pack(page)
    content = {"known": packed.known, "content": packed.content}
    write_whole(path, json.dumps(content).encode())


def stored_page(path: Path) -> PackedPage | None:
    """What :func:`store_page` wrote; ``None`` where that is not there, or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return PackedPage(content["known"], content["content"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
