"""What a user says about the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath

from captum_ssgc.cli.labels import read_labels
from captum_ssgc.cli.messages import CommandError

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
