"""The files of a report: Markdown, CSV and one HTML page."""

from __future__ import annotations

import os
from collections.abc import Callable

from captum_ssgc.benchmark.example_drawing import draw_examples
from captum_ssgc.benchmark.example_pages import example_images, examples_page
from captum_ssgc.benchmark.examples import read_examples
from captum_ssgc.benchmark.image_evaluation import ImageEvaluation
from captum_ssgc.benchmark.page import page
from captum_ssgc.benchmark.page_store import MOST_IMAGES, shown_in
from captum_ssgc.benchmark.record_files import Index, read_index
from captum_ssgc.benchmark.records import ImageRecord
from captum_ssgc.benchmark.run_folder import RunFolder
from captum_ssgc.benchmark.settings import BenchmarkSettings
from captum_ssgc.benchmark.sources import Source
from captum_ssgc.benchmark.summary import Summary, summarise
from captum_ssgc.benchmark.tables import as_csv, comparisons_csv, markdown
from captum_ssgc.composites import Composite

HTML, MARKDOWN, CSV = "report.html", "table.md", "table.csv"
COMPARISONS, EXAMPLES = "comparisons.csv", "examples.html"


def report(output_dir: str | os.PathLike[str], examples: int = MOST_IMAGES) -> Summary:
    """Write the report of what is stored so far, also while a run is going on.

    Nothing is computed again; pictures of examples are those that a finished run has drawn.

    Args:
        output_dir: folder of the run.
        examples: the most images in ``examples.html``.

    Returns:
        The table and all that belongs to it.

    Raises:
        BenchmarkError: if there is no run in the folder, or the report cannot be written.
    """
    folder = RunFolder(output_dir)
    summary, index = _summary(folder)
    return _write(folder, summary, index, examples)


def write_report(
    folder: RunFolder,
    evaluation: ImageEvaluation,
    source: Source,
    examples: int,
    composite: Composite | None,
) -> Summary:
    """Write the report of a finished run, with pictures of examples."""
    summary, index = _summary(folder)
    images = example_images(summary, index, examples)
    try:
        draw_examples(
            summary, index, evaluation, source, images, folder.root / "examples", composite
        )
    except (OSError, ValueError) as error:
        raise folder.not_written(error) from error
    return _write(folder, summary, index, examples)


def _summary(folder: RunFolder) -> tuple[Summary, Index[ImageRecord]]:
    folder.check_description(ImageEvaluation.task, BenchmarkSettings.from_json)
    index = read_index(folder.results, folder.fingerprint(), ImageRecord)
    return summarise(index.records(), folder.description(), index.damaged.total()), index


def _write(folder: RunFolder, summary: Summary, index: Index[ImageRecord], most: int) -> Summary:
    drawn = folder.root / "examples"
    viewer, links = examples_page(summary, example_images(summary, index, most), drawn)
    examples = read_examples(summary, index, drawn, links)
    files: dict[str, Callable[[], str]] = {
        CSV: lambda: as_csv(summary),
        COMPARISONS: lambda: comparisons_csv(summary),
        MARKDOWN: lambda: markdown(summary),
        HTML: lambda: page(summary, examples, EXAMPLES if viewer else "", shown_in(drawn)),
    }
    if viewer:
        files[EXAMPLES] = lambda: viewer
    folder.write(files)
    return summary
