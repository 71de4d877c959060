"""Draws the examples of a finished run: a picture of each, and their images for the viewer."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from captum_ssgc.benchmark.example_pages import ExampleImage, viewer_page
from captum_ssgc.benchmark.examples import kinds_of, picture_path
from captum_ssgc.benchmark.image_evaluation import GROUP, ImageEvaluation, image_seed
from captum_ssgc.benchmark.page_store import open_pictures, store_page
from captum_ssgc.benchmark.record_files import Index
from captum_ssgc.benchmark.records import ImageRecord
from captum_ssgc.benchmark.run_folder import write_whole
from captum_ssgc.benchmark.small_maps import unpacked
from captum_ssgc.benchmark.sources import Case, Source
from captum_ssgc.benchmark.summary import Summary
from captum_ssgc.composites import Composite, composite_name, composite_of
from captum_ssgc.detections import Detections
from captum_ssgc.visualization import BOX_COLORS, blend

_SIDE = 360
_QUALITY = 85


def draw_examples(
    summary: Summary,
    index: Index[ImageRecord],
    evaluation: ImageEvaluation,
    source: Source,
    images: Sequence[ExampleImage],
    folder: Path,
    composite: Composite | None,
) -> None:
    """Draw all that is not in ``folder`` yet.

    Maps that a record does not hold are made again, with the seeds of the run: keeping those of
    every detection would take more room than the data set itself.

    Args:
        summary: of the run.
        index: of its records.
        evaluation: makes the maps.
        source: of the images.
        images: those that the viewer shows.
        folder: of the pictures.
        composite: what of the images is shown.

    Raises:
        OSError, ValueError: if a file cannot be written, or an image no longer be read.
    """
    open_pictures(folder, composite, composite_name(evaluation.detector.channels, composite))
    pictures: dict[int, list[tuple[str, int, Path]]] = {}
    for key, _, place in kinds_of(summary):
        path = picture_path(folder, key, place)
        if not path.exists():
            pictures.setdefault(place.index, []).append((key, place.row, path))
    pages = {image.index: image for image in images if not image.path(folder).exists()}
    for number in sorted({*pictures, *pages}):
        record, case = index.record(number), source.load(number)
        drawn, page = pictures.get(number, []), pages.get(number)
        wanted = {(key, row) for key, row, _ in drawn}
        if page is not None:
            wanted |= {(key, row) for key in summary.examples for row in page.rows}
        detections = evaluation.detections(case)[1]
        heat_maps = _heat_maps(record, case, evaluation, detections, wanted)
        for key, row, path in drawn:
            box = record.detections[row].box
            write_whole(path, _picture(case.image, heat_maps[key, row], box, composite))
        if page is not None:
            shown = viewer_page(summary, page, record, case, detections, heat_maps)
            store_page(page.path(folder), replace(shown, composite=composite))


def _heat_maps(
    record: ImageRecord,
    case: Case,
    evaluation: ImageEvaluation,
    detections: Detections,
    wanted: Iterable[tuple[str, int]],
) -> dict[tuple[str, int], Tensor]:
    """By key and detection: the map that the record holds, else the map made again."""
    size = (case.image.shape[-2], case.image.shape[-1])
    heat_maps: dict[tuple[str, int], Tensor] = {}
    again: list[tuple[str, int]] = []
    for key, row in sorted(wanted):
        if key in record.small_maps:
            heat_maps[key, row] = unpacked(record.small_maps[key][row], size)
        else:
            again.append((key, row))
    keys, rows = sorted({key for key, _ in again}), sorted({row for _, row in again})
    image, seed = case.image.to(evaluation.device), image_seed(evaluation.settings, record.key)
    for start in range(0, len(rows), GROUP):
        group = rows[start : start + GROUP]
        made, _ = evaluation.maps(keys, image, detections[group], seed)
        heat_maps |= {
            (key, row): made[key][at].cpu() for key in keys for at, row in enumerate(group)
        }
    return heat_maps


def _picture(
    image: Tensor, heat_map: Tensor, box: Sequence[float], composite: Composite | None
) -> bytes:
    pixels = composite_of(image[0].numpy(), composite)[0]
    mixed = blend(pixels, heat_map.nan_to_num(0.0, 0.0, 0.0))
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
