"""From what a user says about the model to a detector."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from captum_ssgc.cli.labels import read_labels
from captum_ssgc.cli.messages import (
    EXPECTED_ERRORS,
    CommandError,
    one_line,
    warnings_as_lines,
)
from captum_ssgc.cli.vendors import KINDS, VENDORS

if TYPE_CHECKING:
    import torch

    from captum_ssgc.detector import Detector

DEFAULT_MODEL = "fasterrcnn_resnet50_fpn"


@dataclass(frozen=True)
class ModelChoice:
    """What the user said about the model.

    Args:
        name: ``NAME`` or ``PREFIX:NAME``.
        weights: name of torchvision's weights, ``"none"`` for random ones, or ``None``.
        checkpoint: file with a state dict, or ``None``.
        labels: file with class names, or ``None``.
        device: as torch names it, or ``"auto"``.
        score_threshold: no detection below it is wanted; vendors' own thresholds above it are
            lowered.
    """

    name: str = DEFAULT_MODEL
    weights: str | None = None
    checkpoint: Path | None = None
    labels: Path | None = None
    device: str = "auto"
    score_threshold: float = 0.5

    @property
    def title(self) -> str:
        """The model as pictures name it, without folders."""
        rest = self.name.partition(":")[2] or self.name
        files = [rest] if self.checkpoint is None else [rest, str(self.checkpoint)]
        return ", ".join(PurePath(file).name for file in files)

    def label_names(self) -> tuple[str, ...] | None:
        return None if self.labels is None else read_labels(self.labels)

    def refuse_weights(self, why: str) -> None:
        """Raise ``CommandError`` if weights or a checkpoint were given."""
        if self.weights is not None or self.checkpoint is not None:
            raise CommandError(f"--weights and --checkpoint do not apply to {self.name}: {why}.")


def load_detector(choice: ModelChoice) -> Detector:
    """The detector, with its weights, on its device.

    Raises:
        CommandError: if the name, the weights, a file or the device is not what it should be.
    """
    device = _device(choice.device)
    prefix, colon, rest = choice.name.partition(":")
    if not colon and prefix != "demo":
        prefix, rest = "torchvision", choice.name
    if prefix not in VENDORS:
        raise CommandError(f"--model {choice.name}: unknown kind {prefix!r}; expected {KINDS}.")
    try:
        with warnings_as_lines(choice.name):
            detector = VENDORS[prefix](rest, choice)
            detector.model.to(device)
    except EXPECTED_ERRORS as error:
        raise CommandError(f"--model {choice.name}: {one_line(error)}") from error
    return detector


def check_layers(detector: Detector, names: list[str] | None) -> None:
    """Check that the model has these layers.

    Raises:
        CommandError: if it lacks one, with the recommended ones.
    """
    modules = dict(detector.model.named_modules())
    for name in names or ():
        if not name or name not in modules:
            recommended = ", ".join(detector.target_layers())
            advice = f"; recommended: {recommended}" if recommended else ""
            raise CommandError(f"the model has no layer {name!r}{advice}.")


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise CommandError(f"--device {name} cannot be used here: {one_line(error)}") from error
    return device
