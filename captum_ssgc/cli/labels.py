"""Class names from a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from captum_ssgc.cli.messages import CommandError

BACKGROUND = "__background__"


def read_labels(path: Path) -> tuple[str, ...]:
    """Class names, indexed by label.

    Args:
        path: a text file with one name per line, the first for label 0; or a JSON file with a
            list of names, or an object from label to name.

    Raises:
        CommandError: if the file is missing, unreadable or empty, or has another content.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"--labels {path} cannot be read as text: {error}") from error
    if path.suffix.lower() == ".json":
        names = _from_json(text, path)
    else:
        names = [line.strip() for line in text.rstrip().splitlines()]
    if not names:
        raise CommandError(f"--labels {path} holds no names; expected one per line.")
    return tuple(names)


def fit_labels(names: Sequence[str], classes: int) -> tuple[str, ...]:
    """Names for ``classes`` labels; the background's is added where it is the only one missing.

    Raises:
        CommandError: if the number of names fits neither with nor without the background.
    """
    if len(names) == classes - 1:
        return (BACKGROUND, *names)
    if len(names) != classes:
        raise CommandError(
            f"--labels: expected {classes} names, one for each of the model's labels, or "
            f"{classes - 1} without the background, got {len(names)}."
        )
    return tuple(names)


def _from_json(text: str, path: Path) -> list[str]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise CommandError(f"--labels {path} is not valid JSON: {error}") from error
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return content
    if isinstance(content, dict) and all(
        key.isdecimal() and isinstance(name, str) for key, name in content.items()
    ):
        known = {int(key): name for key, name in content.items()}
        return [known.get(label, str(label)) for label in range(max(known, default=-1) + 1)]
    raise CommandError(
        f"--labels {path}: expected a JSON list of names, or an object from label to name."
    )
