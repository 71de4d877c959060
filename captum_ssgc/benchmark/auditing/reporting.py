"""The files of an audit: one HTML page, CSV and JSON."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from captum_ssgc.benchmark.auditing.examples import (
    images_worth_a_look,
    make_examples,
    read_examples,
)
from captum_ssgc.benchmark.auditing.files import classes_csv, coco_json, findings_csv
from captum_ssgc.benchmark.auditing.image_audit import ImageAudit
from captum_ssgc.benchmark.auditing.page import page
from captum_ssgc.benchmark.auditing.records import AuditRecord
from captum_ssgc.benchmark.auditing.settings import AuditSettings
from captum_ssgc.benchmark.auditing.summary import AuditSummary, summarise
from captum_ssgc.benchmark.errors import BenchmarkError
from captum_ssgc.benchmark.page_store import MOST_IMAGES
from captum_ssgc.benchmark.record_files import Index, read_index
from captum_ssgc.benchmark.run_folder import RunFolder
from captum_ssgc.benchmark.sources import Source
from captum_ssgc.composites import Composite

HTML, CLASSES, FINDINGS, JSON = "audit.html", "classes.csv", "findings.csv", "audit.json"


def report_audit(output_dir: str | os.PathLike[str], examples: int = MOST_IMAGES) -> AuditSummary:
    """Write the files of what is stored so far, also while a run is going on.

    Nothing is computed again; images on the page are those that a finished run has packed.

    Args:
        output_dir: folder of the run.
        examples: the most images on the page.

    Raises:
        BenchmarkError: if there is no audit in the folder, or a file cannot be written.
    """
    folder = RunFolder(output_dir)
    summary, index = _summary(folder)
    return _write(folder, summary, index, images_worth_a_look(summary, examples))


def write_report(
    folder: RunFolder,
    audit: ImageAudit,
    source: Source,
    examples: int,
    composite: Composite | None,
) -> AuditSummary:
    """Write the files of a finished run, with the images that are most worth a look."""
    summary, index = _summary(folder)
    images = images_worth_a_look(summary, examples)
    try:
        make_examples(images, index, audit, source, folder.root / "examples", composite)
    except (OSError, ValueError) as error:
        raise folder.not_written(error) from error
    return _write(folder, summary, index, images)


def check_audited(summary: AuditSummary, folder: RunFolder) -> None:
    """Raise if classes and categories fit so badly that nothing was compared."""
    counts = summary.counts
    if counts["failed"] == counts["images"]:
        return  # that is said already, image by image
    if not summary.all.object_count:
        raise BenchmarkError(
            f"nothing was compared: none of {counts['annotations']} annotations is of a class that "
            f"the detector knows, {counts['crowd']} are of crowds (categories and labels were "
            f"brought together {'; '.join(summary.labels)}). Check the label names, and use "
            f"another folder than {folder.root}."
        )


def _summary(folder: RunFolder) -> tuple[AuditSummary, Index[AuditRecord]]:
    folder.check_description(ImageAudit.task, AuditSettings.from_json)
    index = read_index(folder.results, folder.fingerprint(), AuditRecord)
    return summarise(index.records(), folder.description(), index.damaged.total()), index


def _write(
    folder: RunFolder, summary: AuditSummary, index: Index[AuditRecord], images: Sequence[int]
) -> AuditSummary:
    pages = read_examples(images, folder.root / "examples")
    files: dict[str, Callable[[], str]] = {
        CLASSES: lambda: classes_csv(summary),
        FINDINGS: lambda: findings_csv(summary, index.records()),
        JSON: lambda: coco_json(summary, index.records()),
        HTML: lambda: page(summary, index, pages),
    }
    folder.write(files)
    return summary
