"""The folder of a run: what is measured (``run.json``), and what has been (``results``)."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from captum_ssgc.benchmark.errors import BenchmarkError

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
        file = self.root / DESCRIPTION
        content = json.loads(json.dumps(description))
        try:
            self.results.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                _create(file, json.dumps(content, indent=2) + "\n")
        except OSError as error:
            raise BenchmarkError(f"{self.root} cannot be used for results: {error}") from error
        found = differences(self.description(), content)
        if found:
            raise BenchmarkError(
                f"{self.root} holds results of another run: {'; '.join(found)}. Use the settings "
                "of that run, or another folder."
            )

    def description(self) -> dict[str, Any]:
        """What the results were measured with.

        Raises:
            BenchmarkError: if there is no run in the folder.
        """
        file = self.root / DESCRIPTION
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BenchmarkError(f"{self.root} holds no run ({DESCRIPTION} is missing).") from None
        except (OSError, ValueError) as error:
            raise BenchmarkError(f"{file} cannot be read: {error}") from error
        if not isinstance(content, dict):
            raise BenchmarkError(f"{file} does not describe a run.")
        return content


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


def _create(file: Path, content: str) -> None:
    """Create a file with its content in one step; leave it alone if somebody else has done so."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        try:
            os.link(name, file)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            Path(name).rename(file)
    finally:
        Path(name).unlink(missing_ok=True)
