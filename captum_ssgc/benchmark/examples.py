"""Pictures of single detections: the best, the median and the worst of each method."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from captum_ssgc.benchmark.image_evaluation import ImageEvaluation, image_seed
from captum_ssgc.benchmark.record_files import Index
from captum_ssgc.benchmark.records import ImageRecord, fingerprint
from captum_ssgc.benchmark.run_folder import write_whole
from captum_ssgc.benchmark.small_maps import unpacked
from captum_ssgc.benchmark.sources import Case, Source
from captum_ssgc.benchmark.summary import Summary
from captum_ssgc.benchmark.tally import Place
from captum_ssgc.detections import Detections
from captum_ssgc.visualization import BOX_COLORS, blend

KINDS = {1: ("only",), 2: ("best", "worst"), 3: ("best", "median", "worst")}
_SIDE = 360
_QUALITY = 85


@dataclass(frozen=True)
class Example:
    """One detection with one method's map.

    Args:
        row: key of the method or floor.
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
    summary: Summary,
    index: Index[ImageRecord],
    evaluation: ImageEvaluation,
    source: Source,
    folder: Path,
) -> None:
    """Draw the pictures of all examples that are not in ``folder`` yet.

    Maps that a record does not hold are made again, with the seeds of the run: keeping those of
    every detection would take more room than the data set itself.

    Raises:
        OSError, ValueError: if a picture cannot be written, or an image no longer be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted: dict[int, dict[int, list[tuple[str, Path]]]] = {}
    for key, places in summary.examples.items():
        for place in places:
            path = picture_path(folder, key, place)
            if not path.exists():
                rows = wanted.setdefault(place.index, {})
                rows.setdefault(place.row, []).append((key, path))
    for number, rows in sorted(wanted.items()):
        record, case = index.record(number), source.load(number)
        heat_maps = _heat_maps(
            record, case, evaluation, {row: [key for key, _ in rows[row]] for row in rows}
        )
        for row, entries in rows.items():
            for key, path in entries:
                box = record.detections[row].box
                write_whole(path, _picture(case.image, heat_maps[key, row], box))


def read_examples(summary: Summary, index: Index[ImageRecord], folder: Path) -> list[Example]:
    """All examples, with those pictures that are in ``folder``."""
    examples = []
    for key, places in summary.examples.items():
        for kind, place in zip(KINDS.get(len(places), ()), places):
            record = index.record(place.index)
            detection = record.detections[place.row]
            path = picture_path(folder, key, place)
            numbers = {
                column: value
                for column, values in record.values[key].items()
                if (value := values[place.row]) is not None
            }
            examples.append(
                Example(
                    row=key,
                    kind=kind,
                    image_name=record.name,
                    label=detection.label,
                    score=detection.score,
                    values=numbers,
                    jpeg=path.read_bytes() if path.exists() else None,
                )
            )
    return examples


def picture_path(folder: Path, key: str, place: Place) -> Path:
    """Where the picture of an example of a row is."""
    plain = key if key.isprintable() and "[" not in key else f"row-{fingerprint(key)}"
    return folder / f"{plain}_{place.index}_{place.row}.jpg"


def _heat_maps(
    record: ImageRecord, case: Case, evaluation: ImageEvaluation, keys_by_row: dict[int, list[str]]
) -> dict[tuple[str, int], Tensor]:
    """By key and detection: the map that the record holds, else the map made again."""
    size = (case.image.shape[-2], case.image.shape[-1])
    heat_maps: dict[tuple[str, int], Tensor] = {}
    evaluated: Detections | None = None
    for row, keys in keys_by_row.items():
        again = [key for key in keys if key not in record.small_maps]
        for key in set(keys) - set(again):
            heat_maps[key, row] = unpacked(record.small_maps[key][row], size)
        if again:
            if evaluated is None:
                evaluated = evaluation.detections(case)[1]
            image, seed = (
                case.image.to(evaluation.device),
                image_seed(evaluation.settings, record.key),
            )
            made, _ = evaluation.maps(again, image, evaluated[row], seed, row)
            heat_maps |= {(key, row): made[key][0] for key in again}
    return heat_maps


def _picture(image: Tensor, heat_map: Tensor, box: Sequence[float]) -> bytes:
    mixed = blend(image, heat_map.nan_to_num(0.0, 0.0, 0.0))
    picture = Image.fromarray((mixed * 255.0).round().astype(np.uint8))
    scale = _SIDE / max(picture.size)
    width, height = (max(round(length * scale), 1) for length in picture.size)
    picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    x1, y1, x2, y2 = (corner * scale for corner in box)
    corners = (max(x1, 0), max(y1, 0), min(x2, width - 1), min(y2, height - 1))
    pen = ImageDraw.Draw(picture)
    if corners[0] <= corners[2] and corners[1] <= corners[3]:
        pen.rectangle(corners, outline="#10151C", width=4)
        pen.rectangle(corners, outline=BOX_COLORS[0], width=2)
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=_QUALITY)
    return content.getvalue()
