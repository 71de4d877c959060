"""Data sets as the benchmark reads them: images with their annotations, by index."""

from __future__ import annotations

import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor

from captum_ssgc.benchmark.checks import whole_number
from captum_ssgc.benchmark.columns import ON_ANNOTATIONS, TABLE_METRICS
from captum_ssgc.data import CLASS_NAMES, CocoDataset, SceneDataset

FIRST_SEED = 100_000
SCENES = 300
# Scenes of larger seeds were used in training.
MOST_SCENES = 1_000_000 - FIRST_SEED
MOST_LEFT_OUT = 200
Data = str | os.PathLike[str] | CocoDataset | SceneDataset


@dataclass(frozen=True, eq=False)
class Case:
    """One image and what is known about it.

    Args:
        image: ``(1, 3, H, W)`` in [0, 1].
        boxes: ``(G, 4)`` xyxy in pixels.
        categories: ``(G,)`` int64 ids.
        crowd: ``(G,)`` bool, annotations that stand for a group.
        mask: the pixels ``(H, W)`` of an annotation, ``None`` where they are not known.
        evidence: the pixels ``(H, W)`` that cause an annotation's class, ``None`` where they are
            not known.
    """

    image: Tensor
    boxes: Tensor
    categories: Tensor
    crowd: Tensor
    mask: Callable[[int], Tensor | None]
    evidence: Callable[[int], Tensor | None]


class Source(ABC):
    """A data set: what it is, and its images one at a time.

    ``categories`` are names by id; ``left_out`` says what of the data set cannot be used.
    """

    categories: dict[int, str]
    left_out: list[str]

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def key(self, index: int) -> str:
        """The same for the same image in every run, and unique."""

    @abstractmethod
    def name(self, index: int) -> str:
        """The image for readers, without folders."""

    @abstractmethod
    def load(self, index: int) -> Case:
        """Read one image.

        Raises:
            OSError, ValueError: if that is not possible.
        """

    @abstractmethod
    def fingerprint(self, index: int) -> str:
        """Of the image file; empty for images that are made, not read.

        Raises:
            OSError: if it cannot be read.
        """

    def check_measurable(self, metrics: Collection[str]) -> None:
        """Check that what is asked for can be measured on this data set.

        Raises:
            ImportError: if there are masks that need a package that is missing.
            ValueError: if the data set lacks what a metric needs.
        """
        return

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What tells this data set from others."""


class SceneSource(Source):
    """Synthetic scenes, whose evidence is known."""

    def __init__(self, scenes: SceneDataset) -> None:
        self.scenes = scenes
        self.categories = {number: name for number, name in enumerate(CLASS_NAMES) if number}
        self.left_out = []

    def __len__(self) -> int:
        return len(self.scenes)

    def key(self, index: int) -> str:
        return f"scene-{self.scenes.start_seed + index}"

    def name(self, index: int) -> str:
        return f"scene {self.scenes.start_seed + index}"

    def load(self, index: int) -> Case:
        scene = self.scenes[index]
        return Case(
            image=scene.image[None],
            boxes=scene.boxes,
            categories=scene.labels,
            crowd=scene.labels < 0,
            mask=lambda row: scene.masks[row],
            evidence=lambda row: scene.emblem_masks[row],
        )

    def fingerprint(self, index: int) -> str:
        return ""

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "synthetic scenes",
            "first_seed": self.scenes.start_seed,
            "images": len(self),
            "size": list(self.scenes.size),
            "left_out": [],
            "ignored_annotations": {},
        }


class CocoSource(Source):
    """A COCO-format data set, or its first images."""

    def __init__(self, data: CocoDataset, limit: int | None = None) -> None:
        self.data = data
        self.categories = data.categories
        self.left_out = list(data.problems)
        self._count = len(data) if limit is None else min(limit, len(data))

    def __len__(self) -> int:
        return self._count

    def key(self, index: int) -> str:
        return str(self.data[index].id)

    def name(self, index: int) -> str:
        return self.data[index].path.name

    def load(self, index: int) -> Case:
        entry = self.data[index]
        image = entry.load()
        size = (image.shape[-2], image.shape[-1])
        return Case(
            image=image,
            boxes=entry.boxes,
            categories=entry.category_ids,
            crowd=entry.crowd,
            mask=lambda row: entry.mask(row, size),
            evidence=lambda row: None,
        )

    def fingerprint(self, index: int) -> str:
        path = self.data[index].path
        if not path.is_file():
            raise FileNotFoundError(f"image file {path} does not exist.")
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]

    def check_measurable(self, metrics: Collection[str]) -> None:
        # "all" stands for evidence-energy, too, where there is evidence.
        if "evidence-energy" in metrics and not set(TABLE_METRICS) <= set(metrics):
            raise ValueError(
                "metrics: evidence-energy needs a data set whose evidence is known, such as "
                f"'synthetic'; {self.data.file.name} has none."
            )
        if not ON_ANNOTATIONS & set(metrics):
            return
        images = [self.data[index] for index in range(len(self))]
        if not any(len(image.boxes) for image in images):
            raise ValueError(
                f"metrics: the pointing games need annotations, and {self.data.file.name} has none "
                f"that can be used for its {len(self)} images; leave these metrics out, or see "
                f"what is wrong: {'; '.join(self.left_out[:3]) or 'there are none at all'}."
            )
        if any(any(image.polygons) for image in images) and find_spec("pycocotools") is None:
            raise ImportError(
                "the masks of the data set need pycocotools: pip install 'captum-ssgc[coco]'; "
                "or leave out the pointing games."
            )

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "COCO format",
            "file": self.data.file.name,
            "sha256": hashlib.sha256(self.data.file.read_bytes()).hexdigest(),
            "images": len(self),
            "left_out": self.left_out[:MOST_LEFT_OUT],
            "ignored_annotations": dict(self.data.ignored),
        }


def open_source(
    data: Data, images: str | os.PathLike[str] | None = None, limit: int | None = None
) -> Source:
    """The data set that a user names.

    Args:
        data: a COCO-format JSON file, ``"synthetic"`` or ``"synthetic:N"``, or a data set.
        images: folder of the images of a JSON file; ``None`` for the folder of the file.
        limit: the most images, from the first; ``None`` for all.

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
    if isinstance(data, SceneDataset):
        count = len(data) if limit is None else min(limit, len(data))
        source: Source = SceneSource(SceneDataset(data.start_seed, count, data.size))
    else:
        known = data if isinstance(data, CocoDataset) else CocoDataset(Path(data), images)
        source = CocoSource(known, limit)
    if not len(source):
        raise ValueError("the data set has no images.")
    return source


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
