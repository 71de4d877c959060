"""The figures of all images of a call as one table, a line for each map."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from captum_ssgc._whole_file import written_whole
from captum_ssgc.cli.method_text import written

COLUMNS = (
    *("image", "number", "index", "label", "label_index", "score", "x1", "y1", "x2", "y2"),
    *("method", "options", "output", "layer", "maximum", "energy_in_box", "energy_in_mask"),
    *("verdict", "rests_on", "picture"),
)


def write_figures(path: Path, records: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Write what the records of the images say; what is not known is empty.

    Args:
        path: of the file; it is there in full, or as it was before.
        records: name of the folder and content of the JSON file of each image.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for folder, record in records:
        writer.writerows(_lines(folder, record))
    with written_whole(path) as unfinished:
        unfinished.write_bytes(text.getvalue().encode("utf-8", "backslashreplace"))


def _lines(folder: str, record: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for one in record["detections"]:
        relies = one.get("rests_on", {})
        known = {name: one[name] for name in ("number", "index", "label", "label_index", "score")}
        known |= dict(zip(("x1", "y1", "x2", "y2"), one["box"], strict=True))
        known |= {"verdict": relies.get("verdict"), "rests_on": relies.get("words")}
        for drawn in one["maps"]:
            options = {name: _text(value) for name, value in drawn["options"].items()}
            output = options.pop("output", record["output"])
            yield known | {
                "image": record["image"],
                "options": " ".join(f"{name}={value}" for name, value in options.items()),
                "output": output,
                "picture": f"{folder}/{drawn['file']}",
                **{name: drawn.get(name) for name in ("method", "layer", "maximum")},
                **{name: drawn.get(name) for name in ("energy_in_box", "energy_in_mask")},
            }


def _text(value: Any) -> str:
    """As the user wrote it; a contrast is a pair, of which the second is the other class."""
    contrast = isinstance(value, tuple) and value[0] == "logit"
    return f"contrast:{value[1]}" if contrast else written(value)
