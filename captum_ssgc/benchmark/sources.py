"""Data sets as the benchmark reads them: images with their annotations, by index."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from torch import Tensor


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

    def check_annotated(self) -> None:
        """Check that there is something to compare detections with.

        Raises:
            ValueError: if no image has an annotation.
        """
        return

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What tells this data set from others."""
