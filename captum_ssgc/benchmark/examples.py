"""Pictures of single detections: the best, the median and the worst of each method."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from captum_ssgc.benchmark.evaluation import ImageEvaluation, image_seed
from captum_ssgc.benchmark.records import Index
from captum_ssgc.benchmark.sources import Source
from captum_ssgc.benchmark.summary import Summary
from captum_ssgc.benchmark.tally import Place
from captum_ssgc.visualization import BOX_COLORS, blend

KINDS = {1: ("only",), 2: ("best", "worst"), 3: ("best", "median", "worst")}
_SIDE = 360
_QUALITY = 85


@dataclass(frozen=True)
class Example:
    """One detection with one method's map.

    Args:
        row: name of the method or floor.
        kind: ``"best"``, ``"median"`` or ``"worst"``.
        image_name: of its image.
        label: its class.
        score: of the detector.
        values: by column, as measured.
        jpeg: the picture; ``None`` where it was not drawn.
    """

    row: str
    kind: str
    image_name: str
    label: str
    score: float
    values: dict[str, float]
    jpeg: bytes | None


def draw_examples(
    summary: Summary, index: Index, evaluation: ImageEvaluation, source: Source, folder: Path
) -> None:
    """Draw the pictures of all examples that are not in ``folder`` yet.

    The maps are made again, with the seeds of the run: keeping those of every detection would take
    more room than the data set itself.

    Raises:
        OSError: if a picture cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted: dict[int, list[tuple[str, Place]]] = {}
    for name, places in summary.examples.items():
        for place in places:
            if not picture_file(folder, name, place).exists():
                wanted.setdefault(place.index, []).append((name, place))
    for number, entries in sorted(wanted.items()):
        case = source.load(number)
        image = case.image.to(evaluation.device)
        found = evaluation.detections(case)[1]
        seed = image_seed(evaluation.settings, source.key(number))
        for name, place in entries:
            detection = found[place.row]
            maps, _ = evaluation.maps([name], image, detection, seed, place.row)
            picture = _picture(image, maps[name][0], detection.boxes[0])
            file = picture_file(folder, name, place)
            temporary = file.with_suffix(".part")
            temporary.write_bytes(picture)
            temporary.replace(file)


def read_examples(summary: Summary, index: Index, folder: Path) -> list[Example]:
    """All examples, with those pictures that are in ``folder``."""
    examples = []
    for name, places in summary.examples.items():
        for kind, place in zip(KINDS.get(len(places), ()), places):
            record = index.record(place.index)
            detection: dict[str, Any] = record["detections"][place.row]
            file = picture_file(folder, name, place)
            values = record["values"][name]
            examples.append(
                Example(
                    row=name,
                    kind=kind,
                    image_name=record["name"],
                    label=detection["label"],
                    score=detection["score"],
                    values={
                        key: column[place.row]
                        for key, column in values.items()
                        if column[place.row] is not None
                    },
                    jpeg=file.read_bytes() if file.exists() else None,
                )
            )
    return examples


def picture_file(folder: Path, name: str, place: Place) -> Path:
    """Where the picture of an example is."""
    return folder / f"{name}_{place.index}_{place.row}.jpg"


def _picture(image: Tensor, heat_map: Tensor, box: Tensor) -> bytes:
    mixed = blend(image, heat_map.nan_to_num(0.0, 0.0, 0.0))
    picture = Image.fromarray((mixed * 255.0).round().astype(np.uint8))
    scale = _SIDE / max(picture.size)
    width, height = (max(round(length * scale), 1) for length in picture.size)
    picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    x1, y1, x2, y2 = (corner * scale for corner in box.tolist())
    corners = (max(x1, 0), max(y1, 0), min(x2, width - 1), min(y2, height - 1))
    pen = ImageDraw.Draw(picture)
    if corners[0] <= corners[2] and corners[1] <= corners[3]:
        pen.rectangle(corners, outline="#10151C", width=4)
        pen.rectangle(corners, outline=BOX_COLORS[0], width=2)
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=_QUALITY)
    return content.getvalue()
