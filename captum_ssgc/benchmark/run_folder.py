"""The folder of a run: what is measured (``run.json``), and what has been (``results``)."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from captum_ssgc.benchmark.errors import BenchmarkError
from captum_ssgc.benchmark.records import fingerprint

DESCRIPTION = "run.json"


class RunFolder:
    """The folder of a run.

    Args:
        root: created when it is claimed, if it does not exist.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.results = self.root / "results"

    def claim(self, description: dict[str, Any]) -> None:
        """Make the folder that of a run, or check that it already is; several processes may.

        Raises:
            BenchmarkError: if the folder holds another run, with all differences, or cannot be
                written.
        """
        path = self.root / DESCRIPTION
        content = json.loads(json.dumps(description))
        try:
            self.results.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                _create(path, (json.dumps(content, indent=2) + "\n").encode())
        except OSError as error:
            raise BenchmarkError(f"{self.root} cannot be used for results: {error}") from error
        stored = self.description()
        self._check_task(stored, content.get("task"))
        changes = differences(stored, content)
        if changes:
            raise BenchmarkError(
                f"{self.root} holds results of another run: {'; '.join(changes)}. Use the settings "
                "of that run, or another folder."
            )

    def description(self) -> dict[str, Any]:
        """What the results were measured with.

        Raises:
            BenchmarkError: if there is no run in the folder.
        """
        path = self.root / DESCRIPTION
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BenchmarkError(f"{self.root} holds no run ({DESCRIPTION} is missing).") from None
        except (OSError, ValueError, RecursionError) as error:
            raise BenchmarkError(f"{path} cannot be read: {error}") from error
        if not isinstance(content, dict):
            raise BenchmarkError(f"{path} does not describe a run.")
        return content

    def fingerprint(self) -> str:
        """What tells this run's records from those of others.

        Raises:
            BenchmarkError: if there is no run in the folder.
        """
        return fingerprint(self.description())

    def not_written(self, error: Exception) -> BenchmarkError:
        """What to raise where a report of finished results fails."""
        return BenchmarkError(
            f"the report in {self.root} cannot be written: {error}. The results are safe; put that "
            "right and run the same again."
        )

    def write(self, files: Mapping[str, Callable[[], str]]) -> None:
        """Write the files of a report, each whole or not at all.

        Args:
            files: by name, what makes their text.

        Raises:
            BenchmarkError: if one of them cannot be written.
        """
        for name, content in files.items():
            try:
                write_whole(self.root / name, content().encode("utf-8", "backslashreplace"))
            except OSError as error:
                raise self.not_written(error) from error

    def check_description(self, task: str, read_settings: Callable[[Any], object]) -> None:
        """Check that the description has what a report needs.

        Args:
            task: what the run should be of.
            read_settings: raises ``TypeError`` or ``ValueError`` for settings that are none.

        Raises:
            BenchmarkError: if it was changed, or there is no run in the folder.
        """
        content = self.description()
        self._check_task(content, task)
        try:
            read_settings(content["settings"])
            for part, name, kind in _NEEDED:
                if not isinstance(content[part][name], kind):
                    raise ValueError(f"{part}.{name} is {content[part][name]!r}")
            if not isinstance(content["versions"], dict) or not isinstance(content["device"], str):
                raise ValueError("versions or device are missing")
        except (KeyError, TypeError, ValueError) as error:
            raise BenchmarkError(
                f"{self.root / DESCRIPTION} does not describe a run ({error}): it was changed "
                "after it was written."
            ) from error

    def _check_task(self, stored: dict[str, Any], task: Any) -> None:
        if stored.get("task") != task:
            raise BenchmarkError(
                f"{self.root} holds a run of {json.dumps(stored.get('task'))}, not of "
                f"{json.dumps(task)}: use another folder."
            )


_NEEDED = (
    ("data", "kind", str),
    ("data", "images", int),
    ("data", "left_out", list),
    ("data", "ignored_annotations", dict),
    ("model", "name", str),
)


def differences(stored: Any, asked: Any, path: str = "") -> list[str]:
    """What differs between two JSON values, one text for each place."""
    if isinstance(stored, dict) and isinstance(asked, dict):
        return [
            text
            for key in sorted({*stored, *asked})
            for text in differences(
                stored.get(key), asked.get(key), f"{path}.{key}" if path else str(key)
            )
        ]
    if stored == asked:
        return []
    return [f"{path} is {json.dumps(stored)} there and {json.dumps(asked)} here"]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in one step; a link that stands in its place is replaced, not followed.

    Raises:
        OSError: if that fails; nothing is left behind then.
    """
    with _beside(path, content) as temporary:
        temporary.replace(path)


def _create(path: Path, content: bytes) -> None:
    """The same, but leave the file alone if somebody else has made it."""
    with _beside(path, content) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            temporary.replace(path)


@contextlib.contextmanager
def _beside(path: Path, content: bytes) -> Iterator[Path]:
    """A file of another name in the same folder, which is gone afterwards."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
