"""What the settings of all runs have in common: they are fixed, and come back from a file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeVar

Settings = TypeVar("Settings", bound="StoredSettings")


@dataclass(frozen=True)
class StoredSettings:
    """Base of the settings of a run, all that its numbers depend on besides data and model."""

    def as_json(self) -> dict[str, Any]:
        """For the file of the run."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
        }

    @classmethod
    def from_json(cls: type[Settings], content: Any) -> Settings:
        """What :meth:`as_json` wrote.

        Raises:
            TypeError, ValueError: if it is something else.
        """
        if not isinstance(content, dict):
            raise TypeError(f"settings: expected an object, got {content!r}.")
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in content.items() if name in known})

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
