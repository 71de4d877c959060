"""One folder for each image, such that nothing overwrites the results of another image."""

from __future__ import annotations

import json
import re
from pathlib import Path

_LONGEST = 80


class ResultFolders:
    """Hands out a folder below ``root`` for each image, named after it.

    A folder that an earlier run made for the same image is used again, and its old pictures are
    removed; every other folder that exists is left alone.

    Args:
        root: where the folders are.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._taken: set[str] = set()

    def folder_for(self, name: str, source: str) -> Path:
        """A folder for the image ``source``, created, called ``name`` or ``name-2`` and so on."""
        base = file_name(name)
        number = 1
        while True:
            folder = self.root / (base if number == 1 else f"{base}-{number}")
            # Names that differ in case only are one folder on many systems.
            key = folder.name.casefold()
            if key not in self._taken and self._usable(folder, source):
                self._taken.add(key)
                folder.mkdir(parents=True, exist_ok=True)
                return folder
            number += 1

    def _usable(self, folder: Path, source: str) -> bool:
        if not folder.exists():
            return True
        record = folder / f"{folder.name}.json"
        try:
            earlier = json.loads(record.read_text(encoding="utf-8"))
            same = _same_image(earlier["image"], source)
            old = [folder / name for name in earlier["files"] if Path(name).name == name]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        if same:
            for picture in old:
                if picture.suffix == ".png":
                    picture.unlink(missing_ok=True)
        return same


def file_name(text: str) -> str:
    """``text`` as part of a file name that every system takes."""
    return re.sub(r"[^\w.+-]+", "_", text).strip("._")[:_LONGEST] or "unnamed"


def _same_image(first: str, second: str) -> bool:
    return first == second or Path(first).resolve() == Path(second).resolve()
