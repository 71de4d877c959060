"""Where the images of a JSON file are, if nobody says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

_SAMPLE = 20
_MOST_FOLDERS = 500


def sampled(names: Sequence[str]) -> list[str]:
    """A handful of file names, from the first to the last."""
    step = max(len(names) // _SAMPLE, 1)
    return list(names[::step][:_SAMPLE])


def holds_any(folder: Path, names: Sequence[str]) -> bool:
    """Whether the folder has one of these files; a name that cannot be a file is none."""
    return _held(folder, names) > 0


def find_image_folder(file: Path, names: Sequence[str]) -> tuple[Path | None, list[Path]]:
    """The folder that has most of these images, the first one among equals.

    Looked at are the folder of the file and what data sets have beside it: ``images``,
    ``val2017`` for a file called ``instances_val2017.json``, ``../images/val2017``, and so on; then
    every other folder beside the file, or beside its folder.

    Args:
        file: the JSON file.
        names: of the images, as the file has them.

    Returns:
        The folder, ``None`` if none has any of them, and all that were looked at.
    """
    some = sampled(names)
    tried: list[Path] = []
    best: tuple[int, Path | None] = (0, None)
    for folder in islice(dict.fromkeys(_candidates(file)), _MOST_FOLDERS):
        tried.append(folder)
        held = _held(folder, some)
        if held > best[0]:
            best = (held, folder)
        if held == len(some):
            break
    return best[1], tried


def _candidates(file: Path) -> Iterator[Path]:
    own = file.parent
    above = own / ".." if own.name in ("", "..") else own.parent
    split = file.stem.rpartition("_")[2]
    for base in (own, above):
        yield base
        for name in ("images", split, "data"):
            yield base / name
            yield base / name / ("images" if name == split else split)
    for base in (own, above):
        for folder in _folders(base):
            yield folder
            yield from (folder / name for name in (split, "images"))


def _folders(base: Path) -> list[Path]:
    try:
        return sorted(one for one in base.iterdir() if one.is_dir())
    except OSError:
        return []


def _held(folder: Path, names: Sequence[str]) -> int:
    held = 0
    for name in names:
        try:
            held += (folder / name).is_file()
        except (OSError, ValueError):
            continue
    return held
