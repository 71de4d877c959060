"""One small detector, written to ONNX files in every layout that people have."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import captum_ssgc as ssgc
from captum_ssgc.detectors import Candidates

SIZE = (64, 96)
STRIDES = (8, 16, 32)
CLASSES = 3
ROWS = sum((SIZE[0] // stride) * (SIZE[1] // stride) for stride in STRIDES)
PIXELS = torch.tensor([SIZE[1], SIZE[0]] * 2, dtype=torch.float32)


class Pyramid(nn.Module):
    """Raw maps ``(N, 5 + C, h, w)`` of three levels, each from its own feature map."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 4, 1)
        self.features = nn.ModuleList(
            nn.Sequential(nn.Conv2d(8, 8, 3, one // 4, 1), nn.ReLU()) for one in STRIDES
        )
        self.heads = nn.ModuleList(nn.Conv2d(8, 5 + CLASSES, 1) for _ in STRIDES)
        for parameter in self.parameters():
            parameter.data.mul_(3.0)

    def forward(self, images: Tensor) -> list[Tensor]:
        stem = self.stem(images).relu()
        pairs = zip(self.features, self.heads, strict=True)
        return [head(feature(stem)) * 0.3 for feature, head in pairs]


def pyramid() -> Pyramid:
    torch.manual_seed(4)
    return Pyramid().eval()


def rows(maps: list[Tensor]) -> Tensor:
    """``(N, R, 5 + C)`` raw, level by level."""
    return torch.cat([one.flatten(2) for one in maps], 2).transpose(1, 2)


def centres(raw: Tensor) -> Tensor:
    """Raw rows to ``cx, cy, w, h`` in pixels."""
    cells, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(
            torch.arange(SIZE[0] // stride), torch.arange(SIZE[1] // stride), indexing="ij"
        )
        cells.append(torch.stack([x, y], -1).reshape(-1, 2).float())
        strides.append(torch.full((cells[-1].shape[0], 1), float(stride)))
    stride = torch.cat(strides)
    return torch.cat([(raw[..., :2] + torch.cat(cells)) * stride, raw[..., 2:4].exp() * stride], -1)


def corners(boxes: Tensor) -> Tensor:
    return torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], -1)


def scores(raw: Tensor) -> Tensor:
    return raw[..., 4:5].sigmoid() * raw[..., 5:].sigmoid()


def truth(maps: list[Tensor]) -> Candidates:
    """What every file must be read as."""
    raw = rows(maps)
    counts = torch.tensor([one.shape[-2] * one.shape[-1] for one in maps])
    levels = torch.arange(len(maps)).repeat_interleave(counts)
    cells = [
        [x * stride, y * stride, (x + 1) * stride, (y + 1) * stride]
        for stride in STRIDES
        for y in range(SIZE[0] // stride)
        for x in range(SIZE[1] // stride)
    ]
    places = torch.tensor(cells, dtype=torch.float32)
    return Candidates(corners(centres(raw)), scores(raw), levels=levels, cells=places)


class Written(nn.Module):
    """The pyramid with what makes a layout's outputs of its raw maps."""

    def __init__(self, network: nn.Module, layout: Callable[..., Any]) -> None:
        super().__init__()
        self.network, self.layout = network, layout

    def forward(self, images: Tensor, *more: Tensor) -> Any:
        return self.layout(self.network(images), *more)


def save(
    path: Path,
    module: nn.Module,
    names: list[str],
    images: tuple[Tensor, ...] = (torch.zeros(1, 3, *SIZE),),
    metadata: dict[str, Any] | None = None,
    **options: Any,
) -> Path:
    """Export with PyTorch's own exporter, and add what Ultralytics would write into the file."""
    import onnx

    options = {"opset_version": 13, "dynamo": False, "input_names": ["images"], **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, images, str(path), output_names=names, **options)
    if metadata:
        model = onnx.load(path)
        for key, value in metadata.items():
            text = value if isinstance(value, str) else json.dumps(value)
            model.metadata_props.append(onnx.StringStringEntryProto(key=key, value=text))
        onnx.save(model, path)
    return path


def from_shapes(maps: list[Tensor]) -> tuple[Tensor, ...]:
    """Cells and strides by the shapes of the maps, as exports for all sizes make them."""
    parts = []
    for one, stride in zip(maps, STRIDES, strict=True):
        height, width = one.shape[2:]
        larger = nn.functional.interpolate(one, scale_factor=2.0, mode="nearest")
        one = nn.functional.interpolate(larger, size=(height, width), mode="bilinear")
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        cells = torch.stack([x, y], -1).reshape(-1, 2).float()
        raw = one.reshape(one.shape[0], one.shape[1], height * width).transpose(1, 2)
        sides = raw[..., 2:4].exp() * torch.full((height * width, 1), stride).float()
        parts.append((torch.cat([(raw[..., :2] + cells) * stride, sides], -1), raw[..., 4:]))
    boxes, raw = (torch.cat(each, 1) for each in zip(*parts, strict=True))
    return corners(boxes), raw[..., :1].sigmoid() * raw[..., 1:].sigmoid()


def exported(name: str, folder: Path, **settings: Any) -> tuple[ssgc.Detector, Path]:
    """A YOLO with random weights and its own export, of the canvas (96, 128)."""
    pytest.importorskip("ultralytics")
    from detectors.ultralytics_families import yolo
    from ultralytics import YOLO
    from ultralytics.utils import LOGGER

    family = yolo(name)
    vendor = YOLO(f"{name.removesuffix('-e2e')}.yaml")
    vendor.model = copy.deepcopy(family.detector.model)
    vendor.model.pt_path = str(folder / "it.pt")
    level = LOGGER.level
    LOGGER.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = vendor.export(
                format="onnx", imgsz=(96, 128), simplify=False, verbose=False, **settings
            )
    finally:
        LOGGER.setLevel(level)
    return family.detector, Path(path)
