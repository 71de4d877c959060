"""From a model and a data set to the table of its attribution methods."""

from __future__ import annotations

import os
from typing import Any

from captum_ssgc.benchmark.checks import whole_number
from captum_ssgc.benchmark.image_evaluation import ImageEvaluation
from captum_ssgc.benchmark.opening import Data, open_source
from captum_ssgc.benchmark.page_store import MOST_IMAGES
from captum_ssgc.benchmark.reporting import write_report
from captum_ssgc.benchmark.run_checks import check_measured
from captum_ssgc.benchmark.run_folder import RunFolder
from captum_ssgc.benchmark.runner import run_over
from captum_ssgc.benchmark.settings import BenchmarkSettings
from captum_ssgc.benchmark.summary import Summary
from captum_ssgc.composites import Composite, composite_name
from captum_ssgc.detectors import wrap_detector


def run_benchmark(
    model: Any,
    data: Data,
    output_dir: str | os.PathLike[str],
    settings: BenchmarkSettings | None = None,
    *,
    images: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    examples: int = MOST_IMAGES,
    composite: Composite | None = None,
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
        images: folder of the images of a JSON file; ``None``: looked for beside it.
        limit: the most images, from the first; ``None`` for all.
        examples: the most images in ``examples.html``, where the examples of the report are shown
            with the maps of all methods.
        composite: what pictures show of images that are not RGB, see
            :func:`captum_ssgc.visualization.overview`; no number depends on it.
        model_name: for the report; empty for the class of the model.
        retry_failed: try images again that could not be evaluated.
        show_progress: draw a progress bar on stderr, in the first process.

    Returns:
        The table and all that belongs to it; also in ``report.html``, ``examples.html``,
        ``table.md``, ``table.csv`` and ``comparisons.csv`` in the folder. ``None`` in all processes
        but the first.

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
    whole_number("examples", examples, 0, 10**6)
    detector = wrap_detector(model)
    detector.check_ready()
    composite_name(detector.channels, composite)  # before hours of computing
    source = open_source(data, images, limit, detector.channels)
    source.check_measurable(settings.metrics)
    evaluation = ImageEvaluation(detector, source.categories, settings)
    summary = run_over(
        evaluation,
        source,
        output_dir,
        lambda folder: write_report(folder, evaluation, source, examples, composite),
        model_name=model_name,
        retry_failed=retry_failed,
        show_progress=show_progress,
    )
    if summary is not None:
        check_measured(summary, RunFolder(output_dir))
    return summary
