"""What a run does with each image; everything else about a run is the runner's."""

from __future__ import annotations

from typing import Any, Protocol

import torch

from captum_ssgc.attr import Layers
from captum_ssgc.benchmark.records import R
from captum_ssgc.benchmark.sources import Case
from captum_ssgc.detector import Detector


class RunSettings(Protocol):
    """Everything that the numbers of a run depend on, besides data and model."""

    @property
    def threads(self) -> int:
        """CPU threads of each process."""

    def as_json(self) -> dict[str, Any]:
        """For the file of the run."""


class ImageWork(Protocol[R]):
    """What is computed of each image; what comes out for an image depends on nothing else."""

    @property
    def task(self) -> str:
        """What the run is called: runs of two tasks do not mix."""

    @property
    def kind(self) -> type[R]:
        """The records."""

    @property
    def settings(self) -> RunSettings:
        """What is computed."""

    @property
    def detector(self) -> Detector:
        """Of which."""

    @property
    def device(self) -> torch.device:
        """On which."""

    def layer_names(self) -> list[str]:
        """The layers that are attributed, as the model names them."""

    def record(self, case: Case, image: R) -> R:
        """Everything that is computed of one image.

        Args:
            case: the image.
            image: its record so far, which says which image it is.

        Raises:
            BenchmarkError: if the run cannot go on; all else is the image's failure.
        """


def device_of(detector: Detector) -> torch.device:
    """Where the detector computes."""
    first = next(detector.model.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def layer_names(layers: Layers | None) -> list[str]:
    """The layers that are attributed, as the model names them."""
    return [] if layers is None else list(layers.names.values())
