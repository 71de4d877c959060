"""Which image files a user names: files, folders and patterns."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path


def image_files(names: Iterable[str]) -> list[Path]:
    """The files, in the order of ``names``; those of a folder or a pattern sorted by name.

    Args:
        names: files; folders, for the images directly in them, hidden ones (``._a.jpg``) left
            aside; patterns such as ``photos/*.jpg`` and ``photos/**/*.jpg``, for shells that do
            not know them. What is none of these, or holds no image, stays in the list as it is.
    """
    return [path for name in names for path in _found(name) or [Path(name)]]


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; a name that cannot be one is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def exists(path: Path) -> bool:
    """Whether there is such a file; a name that cannot be one is none."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def missing(path: Path) -> str:
    """What to say of a name that is no file."""
    if glob.has_magic(str(path)):
        return f"no image matches the pattern {path}."
    return f"image file {path} does not exist."


def _found(name: str) -> list[Path]:
    if name and is_folder(Path(name)):
        suffixes = _suffixes()
        return sorted(
            one
            for one in Path(name).iterdir()
            if one.suffix.lower() in suffixes and not one.name.startswith(".") and not one.is_dir()
        )
    if glob.has_magic(name) and not exists(Path(name)):
        return sorted(Path(one) for one in glob.glob(name, recursive=True))  # noqa: PTH207
    return []


def _suffixes() -> set[str]:
    """Those of the formats that Pillow reads, and NumPy's."""
    from PIL import Image

    known = Image.registered_extensions()
    return {suffix for suffix, kind in known.items() if kind in Image.OPEN} | {".npy"}
