"""Files that are there in full, or as they were before."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Where to write: what is written there becomes ``path`` unless something is raised.

    Raises:
        IsADirectoryError: if it is the name of a folder.
        FileNotFoundError: if there is no such folder.
        OSError: if the file cannot be put in its place.
    """
    target = Path(path)
    if not target.name or os.path.isdir(target):  # noqa: PTH112, as a name may be too long
        raise IsADirectoryError(f"expected the name of a file to write, got the folder {target}.")
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"{target} cannot be written: there is no folder {target.parent}; make it first."
        )
    # A short name of its own: the target's may be as long as the system allows.
    unfinished = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        yield unfinished
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
