"""Pictures for the pages of a run, kept in its folder: a page is written without the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from captum_ssgc.benchmark.run_folder import write_whole
from captum_ssgc.composites import Composite
from captum_ssgc.report import PackedPage, ViewerPage, pack

MOST_IMAGES = 24
"""On a page, unless the user says otherwise: it is one file."""
_SHOWN = "composite.json"


def open_pictures(folder: Path, composite: Composite | None, shown: str) -> None:
    """Make the folder of a run's pictures; those of another composite are removed.

    Args:
        folder: of the pictures.
        composite: what of the images they show. Two functions cannot be compared: pictures made
            with one are always made again.
        shown: the same in words, for :func:`shown_in`.

    Raises:
        OSError: if a file cannot be written or removed.
    """
    channels = None if composite is None or callable(composite) else [int(c) for c in composite]
    known = {"channels": channels, "function": callable(composite)}
    before = _stamp(folder)
    if known["function"] or any(before.get(name) != value for name, value in known.items()):
        for path in [*folder.glob("*.json"), *folder.glob("*.jpg")]:
            path.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    if before != known | {"shown": shown}:
        write_whole(folder / _SHOWN, json.dumps(known | {"shown": shown}).encode())


def shown_in(folder: Path) -> str:
    """What of the images the pictures of a folder show, in words; empty for RGB as it is."""
    return str(_stamp(folder).get("shown", ""))


def _stamp(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / _SHOWN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    return content if isinstance(content, dict) else {"channels": None, "function": False}


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
