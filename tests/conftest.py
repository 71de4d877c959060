"""Detectors and data that many tests share."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torchvision
from hypothesis import HealthCheck, settings
from PIL import Image
from small_backbones import pyramid
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN

ROOT = Path(__file__).resolve().parents[1]
# Programs, not tests: looking for doctests would import them, and one registers a method.
collect_ignore = ["benchmarks"]

# How long an example takes says how busy the machine is.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_collection_finish() -> None:
    """Looking through all that tests share for garbage, again and again, takes seconds."""
    gc.set_threshold(700, 10, 100)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real photos and a real detector; skips where it is absent."""
    folder = Path(os.environ.get("CAPTUM_SSGC_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "coco_val_50" / "instances.json").exists():
        pytest.skip(f"no real data at {folder} (set CAPTUM_SSGC_DATA)")
    return folder


@pytest.fixture(scope="session")
def accelerator() -> Iterator[torch.device]:
    """A GPU, computing in full single precision; skips where there is none.

    ``CAPTUM_SSGC_DEVICE`` names another device, such as ``mps``, or ``cpu`` to try the tests.
    """
    device = torch.device(os.environ.get("CAPTUM_SSGC_DEVICE", "cuda"))
    if device.type == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here (CAPTUM_SSGC_DEVICE names another device)")
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield device


def perturb_class_head(head: nn.Linear | nn.Conv2d, spread: float) -> None:
    """Make random scores differ from one another, as a trained head's do."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        head.weight.copy_(torch.randn(head.weight.shape, generator=generator) * spread)


@pytest.fixture(scope="session")
def faster_rcnn() -> nn.Module:
    """A Faster R-CNN with random weights that reports everything it finds."""
    torch.manual_seed(0)
    model = FasterRCNN(
        pyramid(),
        num_classes=7,
        box_score_thresh=0.0,
        min_size=96,
        max_size=200,
        rpn_post_nms_top_n_test=60,
        box_detections_per_img=40,
    ).eval()
    model.roi_heads.box_roi_pool.canonical_scale = 56  # several levels on a small image
    perturb_class_head(model.roi_heads.box_predictor.cls_score, 0.03)
    return model


@pytest.fixture(scope="session")
def image() -> Tensor:
    """Neither axis is a multiple of the canvas' divisor, before or after the resize."""
    return torch.rand(1, 3, 75, 101, generator=torch.Generator().manual_seed(3))


class Blobs(nn.Module):
    """A detector that one can compute by hand: two levels, two boxes each, two classes.

    Level 0 pools the image into 4 x 4 cells, level 1 into 2 x 2. The score of a candidate is the
    mean over its box's cells, class 1 of the red channel and class 0 of half the green channel.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.AdaptiveAvgPool2d(4)
        self.coarse = nn.AdaptiveAvgPool2d(2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        height, width = images.shape[-2:]
        fine, coarse = self.fine(images), self.coarse(images)
        scores = torch.stack(
            [
                self._classes(fine[..., :2, :2]),
                self._classes(fine[..., 2:, 2:]),
                self._classes(coarse[..., :1, :]),
                self._classes(coarse[..., :, 1:]),
            ],
            dim=1,
        )
        shares = [(0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1), (0, 0, 1, 0.5), (0.5, 0, 1, 1)]
        boxes = torch.tensor(shares) * torch.tensor([width, height, width, height])
        return boxes.expand(len(images), 4, 4), scores

    @staticmethod
    def _classes(cells: Tensor) -> Tensor:
        means = cells.mean((-2, -1))
        return torch.stack([means[:, 1] / 2, means[:, 0]], dim=1)


@pytest.fixture
def blobs() -> nn.Module:
    return Blobs().eval()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a reader: two photos, names of classes."""
    from captum_ssgc import demo

    pixels = (demo.scene(26).image * 255).round().byte().permute(1, 2, 0).numpy()
    (tmp_path / "photos").mkdir()
    for path in ("photo.jpg", "photos/a.jpg", "photos/b.jpg"):
        Image.fromarray(pixels).save(tmp_path / path, quality=95)
    (tmp_path / "names.txt").write_text("cat\ndog\nbird\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The detector in the box in the place of one whose weights would be downloaded."""
    from captum_ssgc import demo

    asked: list[str] = []

    def model(weights: str) -> nn.Module:
        asked.append(weights)
        return demo.detector()

    monkeypatch.setattr(torchvision.models.detection, "fasterrcnn_resnet50_fpn", model)
    return asked
