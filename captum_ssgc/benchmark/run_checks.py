"""Whether stored results belong to the images, are complete, and hold what was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from captum_ssgc.benchmark.columns import ON_ANNOTATIONS
from captum_ssgc.benchmark.errors import BenchmarkError
from captum_ssgc.benchmark.record_files import Index
from captum_ssgc.benchmark.run_folder import RunFolder
from captum_ssgc.benchmark.sources import Source
from captum_ssgc.benchmark.summary import Summary


def changed_image(stored: Index[Any], source: Source, mine: Iterable[int]) -> str:
    """Which image is not the one that its stored results are of, or nothing."""
    for index in mine:
        line = stored.lines.get(index)
        if line is None or line.failed:
            continue
        try:
            same = source.fingerprint(index) == line.image
        except OSError:
            same = False
        if not same:
            return (
                f"{source.name(index)} is not the file that the stored results were measured on: "
                "use the images of that run, or another folder for the results"
            )
    return ""


def check_complete(stored: Index[Any], folder: RunFolder, source: Source) -> None:
    """Raise ``BenchmarkError`` if images are missing."""
    missing = len(source) - len(stored.lines)
    if missing:
        raise BenchmarkError(
            f"{missing} of {len(source)} images are missing in {folder.results}: the processes "
            "need one folder that all machines see. Copy the files of the other machines there "
            "and run the same again with one process."
        )


def check_measured(summary: Summary, folder: RunFolder) -> None:
    """Raise if what was asked for could not be measured on a single detection."""
    counts, metrics = summary.counts, summary.settings.metrics
    if counts["failed"] == counts["images"]:
        return  # that is said already, image by image
    threshold = summary.settings.score_threshold
    if not counts["evaluated"]:
        raise BenchmarkError(
            f"nothing was measured: none of {counts['reported']} detections in {counts['images']} "
            f"images has a score above {threshold:g}; choose a lower score_above "
            f"(--score-threshold) and another folder than {folder.root}."
        )
    asked = [name for name in metrics if name in ON_ANNOTATIONS]
    if asked and not counts["matched"]:
        raise BenchmarkError(
            f"{' and '.join(asked)} could not be measured: none of {counts['evaluated']} "
            "detections overlaps an annotation of its class with an IoU above "
            f"{summary.settings.iou_threshold:g} (categories and labels were brought together "
            f"{'; '.join(summary.labels)}). Everything else is in {folder.root}; check the label "
            "names and the boxes, or leave these metrics out."
        )
