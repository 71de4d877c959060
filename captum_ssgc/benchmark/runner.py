"""From a data set to what is made of it, in a folder that a killed run goes on from."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from captum_ssgc._interrupts import raise_if_interrupted
from captum_ssgc._printable import printable
from captum_ssgc.benchmark.description import describe
from captum_ssgc.benchmark.distributed import World, cpu_threads
from captum_ssgc.benchmark.errors import BenchmarkError
from captum_ssgc.benchmark.image_work import ImageWork
from captum_ssgc.benchmark.progress import progress_bar, tell
from captum_ssgc.benchmark.record_files import Writer, open_writer, read_index
from captum_ssgc.benchmark.records import R
from captum_ssgc.benchmark.run_checks import changed_image, check_complete
from captum_ssgc.benchmark.run_folder import RunFolder
from captum_ssgc.benchmark.sources import Source
from captum_ssgc.detector import outside_inference_mode

# One bad image is survived; so many in a row mean that something else is wrong.
FAILURES_IN_A_ROW = 20
Result = TypeVar("Result")


@outside_inference_mode()
def run_over(
    work: ImageWork[R],
    source: Source,
    output_dir: str | os.PathLike[str],
    finish: Callable[[RunFolder], Result],
    *,
    model_name: str = "",
    retry_failed: bool = False,
    show_progress: bool = False,
) -> Result | None:
    """Do something with every image of a data set, and then something with all that came out.

    Every image's record is on the disk before the next image begins. Several processes share the
    images; the first one finishes.

    Args:
        work: what is done with each image.
        source: the data set.
        output_dir: folder of the run; created, or that of an earlier run of the same.
        finish: what is made of all records, when there are those of all images.
        model_name: for readers; empty for the class of the model.
        retry_failed: try images again of which nothing could be made.
        show_progress: draw a progress bar on stderr, in the first process.

    Returns:
        What ``finish`` gives; ``None`` in all processes but the first.

    Raises:
        BenchmarkError: if the folder holds a run with other settings (with the differences), a
            record cannot be stored, an image file is not the one that a stored record is of, one
            image after the other fails, or the work itself says so. What is stored stays.
    """
    world = World.from_environment()
    folder = RunFolder(output_dir)
    folder.claim(describe(work, source, model_name))
    run = folder.fingerprint()
    with cpu_threads(work.settings.threads), warnings.catch_warnings():
        # Empty maps are counted.
        warnings.filterwarnings("ignore", message=".*all-zero map", category=UserWarning)
        with open_writer(folder.results, world.rank, run) as writer:
            stored = read_index(folder.results, run, work.kind)
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
                problem = _go_through(
                    work, source, todo, writer, len(mine), world if show_progress else None
                )
        problems = [text for text in world.gather(problem) if text]
        if problems:
            raise BenchmarkError("; ".join(dict.fromkeys(problems)))
        if not world.leads:
            return None
        check_complete(read_index(folder.results, run, work.kind), folder, source)
        return finish(folder)


def _go_through(
    work: ImageWork[R],
    source: Source,
    todo: Sequence[int],
    writer: Writer,
    total: int,
    progress: World | None,
) -> str:
    """Do the images and store their records; returns why it stopped early, or nothing."""
    failures = 0
    with progress_bar(work.task, len(todo), total, progress) as bar:
        for index in todo:
            try:
                record = _record(work, source, index)
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


def _record(work: ImageWork[R], source: Source, index: int) -> R:
    raise_if_interrupted()
    image = work.kind(index, source.key(index), source.name(index))
    try:
        image = replace(image, file=source.fingerprint(index))
        case = source.load(index)
    except Exception as error:  # whatever is wrong with an image file or its annotations
        raise_if_interrupted()
        return replace(image, failed=f"cannot be read: {_one_line(error)}")
    try:
        return work.record(case, image)
    except BenchmarkError:
        raise
    except Exception as error:  # whatever a model may raise
        raise_if_interrupted()
        return replace(image, failed=f"{type(error).__name__}: {_one_line(error)}")


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:297] + "..."
