"""From what a user calls a data set to the data set."""

from __future__ import annotations

import os
import re
from pathlib import Path

from captum_ssgc.benchmark.checks import whole_number
from captum_ssgc.benchmark.coco_source import CocoSource
from captum_ssgc.benchmark.scene_source import SceneSource
from captum_ssgc.benchmark.sources import Source
from captum_ssgc.data import CocoDataset, SceneDataset

FIRST_SEED = 100_000
SCENES = 300
# Scenes of larger seeds were used in training.
MOST_SCENES = 1_000_000 - FIRST_SEED
Data = str | os.PathLike[str] | CocoDataset | SceneDataset


def open_source(
    data: Data,
    images: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    channels: int = 3,
) -> Source:
    """The data set that a user names.

    Args:
        data: a COCO-format JSON file, ``"synthetic"`` or ``"synthetic:N"``, or a data set.
        images: folder of the images of a JSON file; ``None``: looked for beside it.
        limit: the most images, from the first; ``None`` for all.
        channels: that images must have.

    Raises:
        TypeError: for a ``data`` or ``limit`` of a wrong type.
        FileNotFoundError, ValueError: if there is no such data set, or no image in it.
    """
    if limit is not None:
        whole_number("limit", limit, 1, 2**63 - 1)
    if not isinstance(data, (str, os.PathLike, CocoDataset, SceneDataset)):
        raise TypeError(
            "data: expected a COCO-format JSON file, 'synthetic', 'synthetic:N' or a data set, got "
            f"{type(data).__name__}."
        )
    if isinstance(data, str) and re.fullmatch(r"synthetic(:.*)?", data):
        data = SceneDataset(FIRST_SEED, _scene_count(data))
    if images is not None and isinstance(data, (CocoDataset, SceneDataset)):
        raise ValueError("images: for a JSON file; this data set has images of its own.")
    if isinstance(data, SceneDataset):
        count = len(data) if limit is None else min(limit, len(data))
        source: Source = SceneSource(SceneDataset(data.start_seed, count, data.size))
    else:
        known = data if isinstance(data, CocoDataset) else coco_dataset(data, images)
        source = CocoSource(known, limit, channels)
    if not len(source):
        raise ValueError("the data set has no images.")
    return source


def coco_dataset(
    file: str | os.PathLike[str], images: str | os.PathLike[str] | None = None
) -> CocoDataset:
    """A COCO-format JSON file whose images are there.

    Args:
        file: the JSON file.
        images: folder of its images; ``None``: looked for beside it.

    Raises:
        FileNotFoundError, ValueError: if there is no such data set, or none of its images.
    """
    data = CocoDataset(Path(file), images)
    data.check_images()
    return data


def _scene_count(text: str) -> int:
    number = text.partition(":")[2]
    if not number:
        return SCENES
    # The length first: nobody has to turn a number of a million digits into an integer.
    fits = number.isascii() and number.isdecimal() and len(number) <= len(str(MOST_SCENES))
    if not fits or not 1 <= int(number) <= MOST_SCENES:
        raise ValueError(
            "data: expected synthetic:N with a number of scenes of at least 1 and at most "
            f"{MOST_SCENES}, got {text[:40]!r}."
        )
    return int(number)
