"""From a model and a data set to a report, in a folder that a killed run goes on from."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from captum_ssgc._printable import printable
from captum_ssgc.benchmark.description import describe
from captum_ssgc.benchmark.distributed import World, cpu_threads
from captum_ssgc.benchmark.errors import BenchmarkError
from captum_ssgc.benchmark.image_evaluation import ImageEvaluation
from captum_ssgc.benchmark.opening import Data, open_source
from captum_ssgc.benchmark.progress import progress_bar, tell
from captum_ssgc.benchmark.record_files import Writer, open_writer, read_index
from captum_ssgc.benchmark.records import ImageRecord
from captum_ssgc.benchmark.reporting import write_report
from captum_ssgc.benchmark.run_checks import changed_image, check_complete, check_measured
from captum_ssgc.benchmark.run_folder import RunFolder
from captum_ssgc.benchmark.settings import BenchmarkSettings
from captum_ssgc.benchmark.sources import Source
from captum_ssgc.benchmark.summary import Summary
from captum_ssgc.detectors import wrap_detector

# One bad image is survived; so many in a row mean that something else is wrong.
FAILURES_IN_A_ROW = 20


def run_benchmark(
    model: Any,
    data: Data,
    output_dir: str | os.PathLike[str],
    settings: BenchmarkSettings | None = None,
    *,
    images: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    model_name: str = "",
    retry_failed: bool = False,
    show_progress: bool = False,
) -> Summary | None:
    """Measure attribution methods on a detector and a data set, and write a report.

    Every image's results are on the disk before the next image begins: a run that was killed goes
    on where it was when it is started again with the same arguments. Started by ``torchrun``, the
    processes share the images; the numbers are the same for any number of processes.

    Args:
        model: a detection model (see :func:`captum_ssgc.wrap_detector`) or a
            :class:`captum_ssgc.Detector`; for COCO data sets with its label names where it has any.
        data: a COCO-format JSON file, ``"synthetic"`` or ``"synthetic:N"`` for scenes whose
            evidence is known, or a :class:`captum_ssgc.data.CocoDataset` or
            :class:`captum_ssgc.data.SceneDataset`.
        output_dir: folder of the run; created, or that of an earlier run with the same settings.
        settings: what is measured, and how; ``None`` for the paper's table.
        images: folder of the images of a JSON file; ``None`` for the folder of the file.
        limit: the most images, from the first; ``None`` for all.
        model_name: for the report; empty for the class of the model.
        retry_failed: try images again that could not be evaluated.
        show_progress: draw a progress bar on stderr, in the first process.

    Returns:
        The table and all that belongs to it; also in ``report.html``, ``table.md``,
        ``table.csv`` and ``comparisons.csv`` in the folder. ``None`` in all processes but the
        first.

    Raises:
        BenchmarkError: if the folder holds a run with other settings (with the differences), a
            result cannot be stored, an image file is not the one that stored results are of, one
            image after the other cannot be evaluated, or nothing of what was asked for could be
            measured. What is stored stays.
        FileNotFoundError, TypeError, ValueError: for a bad model, data set or layer.

    Example:
        >>> import tempfile, torch, captum_ssgc as ssgc
        >>> from captum_ssgc.benchmark import BenchmarkSettings, run_benchmark
        >>> from captum_ssgc.data import SceneDataset
        >>> def one_box(images):   # the whole image, scored by its brightness
        ...     boxes = torch.tensor([[[0.0, 0.0, 64.0, 64.0]]]).expand(len(images), 1, 4)
        ...     return boxes, images.mean((1, 2, 3)).reshape(-1, 1, 1)
        >>> settings = BenchmarkSettings(
        ...     methods="d-rise", metrics="deletion-insertion", score_above=0.1, drise_masks=4)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     detector = ssgc.wrap_detector(one_box, label_names=["spot"])
        ...     result = run_benchmark(detector, SceneDataset(0, 1, (64, 64)), folder, settings)
        >>> [row.title for row in result.rows]
        ['D-RISE', 'Noise', 'The box itself', 'Centre prior']
    """
    settings = settings or BenchmarkSettings()
    world = World.from_environment()
    detector = wrap_detector(model)
    detector.check_ready()
    source = open_source(data, images, limit)
    source.check_measurable(settings.metrics)
    evaluation = ImageEvaluation(detector, source.categories, settings)
    folder = RunFolder(output_dir)
    folder.claim(describe(evaluation, source, model_name))
    run = folder.fingerprint()
    with cpu_threads(settings.threads), warnings.catch_warnings():
        # Empty maps have a column of their own.
        warnings.filterwarnings("ignore", message=".*all-zero map", category=UserWarning)
        with open_writer(folder.results, world.rank, run) as writer:
            stored = read_index(folder.results, run)
            mine = world.share(len(source))
            if show_progress and world.leads:
                tell(source.left_out, "left out of the data set")
                tell([f"{count} x {why}" for why, count in stored.damaged.items()],
                      "stored lines that are done again")  # fmt: skip
            problem = changed_image(stored, source, mine)
            if not problem:
                todo = [
                    index
                    for index in mine
                    if index not in stored.lines or (retry_failed and stored.lines[index].failed)
                ]
                problem = _evaluate(
                    evaluation, source, todo, writer, len(mine), world if show_progress else None
                )
        problems = [text for text in world.gather(problem, evaluation.device) if text]
        if problems:
            raise BenchmarkError("; ".join(dict.fromkeys(problems)))
        if not world.leads:
            return None
        check_complete(folder, source)
        summary = write_report(folder, evaluation, source)
    check_measured(summary, folder)
    return summary


def _evaluate(
    evaluation: ImageEvaluation,
    source: Source,
    todo: Sequence[int],
    writer: Writer,
    total: int,
    progress: World | None,
) -> str:
    """Evaluate images and store their records; returns why it stopped early, or nothing."""
    failures = 0
    with progress_bar(len(todo), total, progress) as bar:
        for index in todo:
            try:
                record = _record(evaluation, source, index)
            except BenchmarkError as error:
                return str(error)
            try:
                writer.append(record)
            except OSError as error:
                return (
                    f"the results of {record.name} cannot be stored: {error}. What was stored "
                    "before is safe; make room and run the same again"
                )
            failures = failures + 1 if record.failed else 0
            bar.update()
            if record.failed and not bar.disable:
                bar.write(printable(f"{record.name}: {record.failed}"), file=sys.stderr)
            if failures == FAILURES_IN_A_ROW:
                return (
                    f"{failures} images in a row could not be evaluated, the last one because: "
                    f"{record.failed}; put that right and run the same again with retry_failed "
                    "(--retry-failed), or without it to go on with the images after them"
                )
    return ""


def _record(evaluation: ImageEvaluation, source: Source, index: int) -> ImageRecord:
    image = ImageRecord(index, source.key(index), source.name(index))
    try:
        image = replace(image, file=source.fingerprint(index))
        case = source.load(index)
    except Exception as error:  # whatever is wrong with an image file or its annotations
        return replace(image, failed=f"cannot be read: {_one_line(error)}")
    try:
        return evaluation.record(case, image)
    except BenchmarkError:
        raise
    except Exception as error:  # whatever a model may raise
        return replace(image, failed=f"{type(error).__name__}: {_one_line(error)}")


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:297] + "..."
