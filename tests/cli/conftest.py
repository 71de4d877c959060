"""Images, a checkpoint of a small detector, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

from captum_ssgc.cli import main, torchvision_models
from captum_ssgc.visualization._picture import Picture

SMALL = "fasterrcnn_mobilenet_v3_large_320_fpn"


@dataclass(frozen=True)
class Outcome:
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines on stderr."""
        return self.err.splitlines()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs the command line on its arguments."""

    def command(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return command


def write_image(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return write_image(tmp_path / "photos" / "cat.png")


@pytest.fixture(scope="session")
def small_model() -> nn.Module:
    """Three classes and scores that differ from one another."""
    torch.manual_seed(0)
    model = fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=3
    ).eval()
    with torch.no_grad():
        model.roi_heads.box_predictor.cls_score.weight.normal_(std=0.2)
    return model


@pytest.fixture(scope="session")
def small_state(small_model: nn.Module) -> dict[str, Tensor]:
    return dict(small_model.state_dict())


@pytest.fixture(scope="session")
def checkpoint(small_state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict of :func:`small_model`; with ``--model`` :data:`SMALL`."""
    path = tmp_path_factory.mktemp("weights") / "small.pt"
    torch.save(small_state, path)
    return path


@pytest.fixture(scope="session")
def loaded(checkpoint: Path) -> nn.Module:
    """The model of :func:`checkpoint`, as the command line reads it."""
    model, _ = torchvision_models._from_checkpoint(SMALL, checkpoint)
    return model


@pytest.fixture
def read_once(checkpoint: Path, loaded: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """For what is not about reading checkpoints: :func:`checkpoint` is, and has been, read."""
    real = torchvision_models._from_checkpoint

    def read(name: str, path: Path) -> tuple[nn.Module, list[str] | None]:
        return (loaded, None) if (name, path) == (SMALL, checkpoint) else real(name, path)

    monkeypatch.setattr(loaded.roi_heads, "score_thresh", loaded.roi_heads.score_thresh)
    monkeypatch.setattr(torchvision_models, "_from_checkpoint", read)


@pytest.fixture
def explain_in_full(
    run: Callable[..., Outcome], checkpoint: Path, read_once: None
) -> Callable[..., Outcome]:
    """Runs ``explain`` with the small model; at most two detections, of any score."""

    def command(*arguments: object) -> Outcome:
        model = ("--model", SMALL, "--checkpoint", checkpoint, "--device", "cpu")
        return run("explain", *model, "--score-threshold", "0", "--top-k", "2", *arguments)

    return command


@pytest.fixture
def explain(
    explain_in_full: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """As :func:`explain_in_full`, but pictures have a quarter of the width and the height."""
    savefig = Picture.savefig

    def save(self: Picture, fname: Any, **options: Any) -> None:
        savefig(self, fname, **{**options, "dpi": self.dpi / 4})

    monkeypatch.setattr(Picture, "savefig", save)
    return explain_in_full
