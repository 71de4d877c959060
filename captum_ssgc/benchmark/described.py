"""What the summary of every run tells about the run itself."""

from __future__ import annotations

from typing import Any


class Described:
    """A result with the ``description`` of its run, as ``run.json`` holds it."""

    description: dict[str, Any]

    @property
    def ignored(self) -> dict[str, int]:
        """Annotations of the data set that cannot be used, by reason."""
        return dict(self.description["data"]["ignored_annotations"])

    @property
    def left_out(self) -> list[str]:
        """Places in the data set that could not be used, and what is wrong there."""
        return list(self.description["data"]["left_out"])
