"""What a user says about the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from captum_ssgc.cli.messages import CommandError, one_line
from captum_ssgc.label_names import fit_label_names

DEFAULT_MODEL = "fasterrcnn_resnet50_fpn"


@dataclass(frozen=True)
class ModelChoice:
    """What the user said about the model.

    Args:
        name: ``NAME`` or ``PREFIX:NAME``.
        weights: name of torchvision's weights, ``"none"`` for random ones, or ``None``.
        checkpoint: file with a state dict, or ``None``.
        labels: file with class names, ``"coco"``, or ``None``.
        device: as torch names it, or ``"auto"``.
        score_threshold: no detection below it is wanted; vendors' own thresholds above it are
            lowered.
        onnx: how an ONNX file is read: ``layout``, ``boxes``, ``scores`` and ``size`` of
            :func:`captum_ssgc.detectors.onnx_detector`, where the user says.
        text: phrases that a zero-shot detector is to look for.
    """

    name: str = DEFAULT_MODEL
    weights: str | None = None
    checkpoint: Path | None = None
    labels: str | None = None
    device: str = "auto"
    score_threshold: float = 0.5
    onnx: Mapping[str, Any] = field(default_factory=dict)
    text: Sequence[str] = ()

    @property
    def title(self) -> str:
        """The model as pictures name it, without folders."""
        rest = self.name.partition(":")[2] or self.name
        files = [rest] if self.checkpoint is None else [rest, str(self.checkpoint)]
        return ", ".join(PurePath(file).name for file in files)

    @property
    def lowest_reported(self) -> float:
        """Low enough to tell how close an image was where nothing reached the threshold."""
        return min(0.05, self.score_threshold)

    def check_labels(self) -> None:
        """Raise ``CommandError`` if there are no class names in the file."""
        if self.labels is None:
            return
        try:
            fit_label_names(self.labels)
        except (ValueError, TypeError, OSError) as error:
            text = one_line(error).removeprefix("label_names: ")
            raise CommandError(
                f"--labels {self.labels} cannot be read as class names: {text}"
            ) from error

    def refuse_weights(self, why: str) -> None:
        """Raise ``CommandError`` if weights or a checkpoint were given."""
        if self.weights is not None or self.checkpoint is not None:
            raise CommandError(f"--weights and --checkpoint do not apply to {self.name}: {why}.")
