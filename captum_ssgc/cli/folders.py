"""One folder for each image, such that nothing overwrites the results of another image."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from captum_ssgc.explanations import Explanations

# The name of a file holds those of folder, label and method; most systems take 255 bytes.
_LONGEST = 80
_WRITTEN = (".png", ".npz")
_DEVICES = re.compile(r"(con|prn|aux|nul|com[\d¹²³]|lpt[\d¹²³])(\..*)?", re.IGNORECASE)


class ResultFolder:
    """The results of one image while they are written.

    Args:
        path: where they will be.
        draft: where they are until they are complete.
    """

    def __init__(self, path: Path, draft: Path) -> None:
        self.path = path
        self.draft = draft
        self.files: list[str] = []

    @property
    def name(self) -> str:
        """That of the folder; those of its files begin with it."""
        return self.path.name

    def add_picture(self, ending: str, figure: Figure) -> str:
        """Write a PNG of the size that the figure has, whatever matplotlib is configured to.

        Returns:
            The name of the file.
        """
        name = f"{self.name}_{ending}.png"
        # Level 6, the default, takes four times as long for a file of the same size.
        options = {"compress_level": 2}
        figure.savefig(self.draft / name, dpi="figure", format="png", pil_kwargs=options)
        self.files.append(name)
        return name

    def add_maps(self, explanations: Explanations[Any]) -> None:
        """Write the raw maps, see :meth:`captum_ssgc.Explanations.save_maps`."""
        name = f"{self.name}_maps.npz"
        explanations.save_maps(self.draft / name)
        self.files.append(name)

    def add_record(self, content: dict[str, object]) -> None:
        """Write what is known, and the names of the other files, as JSON.

        Bytes of a file name that are no text become the escapes that JSON has for them.
        """
        name = f"{self.name}.json"
        text = json.dumps(
            {**content, "files": list(self.files)}, indent=2, ensure_ascii=False, allow_nan=False
        )
        (self.draft / name).write_bytes((text + "\n").encode("utf-8", "backslashreplace"))
        self.files.append(name)


class ResultFolders:
    """Hands out a folder below ``root`` for each image, named after it.

    A folder that an earlier run made for the same image is used again, and its old files are
    removed; every other folder that exists is left alone.

    Args:
        root: where the folders are.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._taken: set[str] = set()

    def keep_free(self, name: str) -> None:
        """Give no image the folder ``name``, as a file is to be called so."""
        self._taken.add(name.casefold())

    @contextmanager
    def results_of(self, name: str, source: str, ending: str = "") -> Iterator[ResultFolder]:
        """A folder for the image ``source``: ``name`` and ``ending``, then ``-2`` and so on.

        It gets its name, or the files of its name are replaced, when all are written. If that
        fails, nothing is left and what was there before stays. Links are replaced, not followed.
        """
        path, old = self._place(file_name(name) + ending, source)
        draft = self.root / f".{secrets.token_hex(8)}.part"
        draft.mkdir()
        try:
            result = ResultFolder(path, draft)
            yield result
            if not path.exists():
                draft.rename(path)
            else:
                for file in result.files:
                    (draft / file).replace(path / file)
                for file in {*old} - {*result.files}:
                    (path / file).unlink(missing_ok=True)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        # Names that differ in case only are one folder on many systems.
        self._taken.add(path.name.casefold())

    def _place(self, base: str, source: str) -> tuple[Path, list[str]]:
        """The folder, and what an earlier run left in it."""
        number = 1
        while True:
            folder = self.root / (base if number == 1 else f"{base}-{number}")
            if folder.name.casefold() not in self._taken:
                old = _files_of(folder, source)
                if old is not None:
                    return folder, old
            number += 1


def file_name(text: str, longest: int = _LONGEST) -> str:
    """``text`` as part of a file name that every system takes, of so many bytes at most."""
    text = re.sub(r"[^\w.+-]+", "_", text)
    encoding = sys.getfilesystemencoding()
    encoded = text.encode(encoding, "replace").replace(b"?", b"_")[:longest]
    text = encoded.decode(encoding, "ignore").strip("._") or "unnamed"
    return f"_{text}" if _DEVICES.fullmatch(text) else text


def _files_of(folder: Path, source: str) -> list[str] | None:
    """What an earlier run left for the same image; ``None`` if it is not ours."""
    if folder.is_symlink():
        return None
    if not folder.exists():
        return []
    record = folder / f"{folder.name}.json"
    try:
        if not record.is_file():
            return None
        earlier = json.loads(record.read_text(encoding="utf-8"))
        if not _same_image(earlier["image"], source):
            return None
        files = [Path(name) for name in earlier["files"]]
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None
    return [file.name for file in files if file.name == str(file) and file.suffix in _WRITTEN]


def _same_image(first: str, second: str) -> bool:
    return first == second or Path(first).resolve() == Path(second).resolve()
