"""From a model and an annotated data set to what it gets wrong, and why."""

from __future__ import annotations

import os
from typing import Any

from captum_ssgc.benchmark.auditing.image_audit import ImageAudit
from captum_ssgc.benchmark.auditing.reporting import check_audited, write_report
from captum_ssgc.benchmark.auditing.settings import AuditSettings
from captum_ssgc.benchmark.auditing.summary import AuditSummary
from captum_ssgc.benchmark.checks import whole_number
from captum_ssgc.benchmark.opening import Data, open_source
from captum_ssgc.benchmark.page_store import MOST_IMAGES
from captum_ssgc.benchmark.run_folder import RunFolder
from captum_ssgc.benchmark.runner import run_over
from captum_ssgc.composites import Composite, composite_name
from captum_ssgc.detectors import wrap_detector


def audit(
    model: Any,
    data: Data,
    output_dir: str | os.PathLike[str],
    settings: AuditSettings | None = None,
    *,
    images: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    examples: int = MOST_IMAGES,
    composite: Composite | None = None,
    model_name: str = "",
    retry_failed: bool = False,
    show_progress: bool = False,
) -> AuditSummary | None:
    """What a detector gets wrong on a data set, why, and what its detections rest on.

    Of every image :func:`captum_ssgc.diagnose` tells what became of the annotated objects, and
    :func:`captum_ssgc.metrics.reliance` what the best detections rest on. As in
    :func:`captum_ssgc.benchmark.run_benchmark`, each image is stored before the next one
    begins, a run that was killed goes on with the same call, and processes that ``torchrun`` starts
    share the images.

    Args:
        model: a detection model (see :func:`captum_ssgc.wrap_detector`) or a
            :class:`captum_ssgc.Detector`, with its label names where it has any.
        data: a COCO-format JSON file, ``"synthetic"`` or ``"synthetic:N"``, or a
            :class:`captum_ssgc.data.CocoDataset` or :class:`captum_ssgc.data.SceneDataset`.
        output_dir: folder of the run; created, or that of an earlier run with the same settings.
        settings: what is looked at; ``None`` for the defaults.
        images: folder of the images of a JSON file; ``None``: looked for beside it.
        limit: the most images, from the first; ``None`` for all.
        examples: the most images on the page, those most worth a look.
        composite: what pictures show of images that are not RGB, see
            :func:`captum_ssgc.visualization.overview`; no number depends on it.
        model_name: for readers; empty for the class of the model.
        retry_failed: try images again that could not be audited.
        show_progress: draw a progress bar on stderr, in the first process.

    Returns:
        What was found out; also in ``audit.html``, ``classes.csv``, ``findings.csv`` and
        ``audit.json`` in the folder. ``None`` in all processes but the first.

    Raises:
        BenchmarkError: if the folder holds a run with other settings (with the differences), a
            record cannot be stored, an image file is not the one that a stored record is of, one
            image after the other fails, or classes and categories cannot be brought together.
            What is stored stays.
        FileNotFoundError, TypeError, ValueError: for a bad model, data set or layer, or a data set
            without annotations.

    References:
        Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV 2020,
        arXiv:2008.08115 (the kinds).

        Miller et al., "What's in the Black Box? The False Negative Mechanisms Inside Object
        Detectors", IEEE RA-L 2022, arXiv:2203.07662 (the mechanisms).

    Example:
        >>> import tempfile, torch, captum_ssgc as ssgc
        >>> from captum_ssgc.benchmark import AuditSettings
        >>> from captum_ssgc.data import SceneDataset
        >>> def corner(images):   # always a spot in the corner
        ...     boxes = torch.tensor([[[0.0, 0.0, 6.0, 6.0]]]).expand(len(images), 1, 4)
        ...     return boxes, torch.tensor([0.0, 0.9, 0, 0, 0, 0, 0]).expand(len(images), 1, 7)
        >>> settings = AuditSettings(method=None, fills="mean")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = ssgc.audit(corner, SceneDataset(0, 2, (96, 96)), folder, settings)
        >>> share = found.all.false_alarms["background"]
        >>> share.count, share.total, found.all.objects["found"].share
        (2.0, 2, 0.0)
    """
    settings = settings or AuditSettings()
    whole_number("examples", examples, 0, 10**6)
    detector = wrap_detector(model)
    detector.check_ready()
    composite_name(detector.channels, composite)  # before hours of computing
    source = open_source(data, images, limit, detector.channels)
    source.check_annotated()
    work = ImageAudit(detector, source.categories, settings)
    summary = run_over(
        work,
        source,
        output_dir,
        lambda folder: write_report(folder, work, source, examples, composite),
        model_name=model_name,
        retry_failed=retry_failed,
        show_progress=show_progress,
    )
    if summary is not None:
        check_audited(summary, RunFolder(output_dir))
    return summary
