"""What the adapters of Ultralytics models share: their letterbox, layers and settings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import PurePath
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ssgc.geometry import ImageGeometry

FILL = 114 / 255


@cache
def vendor() -> Any:
    """What is used of Ultralytics; importing it changes how tensors and arrays are printed.

    Raises:
        ImportError: if it is not installed.
    """
    try:
        from ultralytics.data.augment import LetterBox
        from ultralytics.nn.modules import head
        from ultralytics.utils import nms, ops
        from ultralytics.utils.checks import check_imgsz
    except ImportError as error:
        raise ImportError(
            "detectors of Ultralytics need ultralytics (AGPL-3.0): "
            "pip install 'captum-ssgc[ultralytics]'"
        ) from error
    return SimpleNamespace(
        LetterBox=LetterBox, check_imgsz=check_imgsz, head=head, nms=nms, ops=ops
    )


@dataclass(frozen=True)
class PredictCanvas:
    """The resizing and padding of ``YOLO.predict``, as a differentiable function of the image.

    The vendor's own ``LetterBox`` says where the image goes; for a single image, and for a batch
    of one size, that is a rectangle whose sides are multiples of the stride.

    Args:
        size: ``(H, W)`` that the image is fitted into, in canvas pixels.
        stride: of the coarsest level, in canvas pixels.
        scale_fill: stretch the image to ``size`` without padding.
    """

    size: tuple[int, int]
    stride: int
    scale_fill: bool = False

    def __call__(self, images: Tensor) -> tuple[Tensor, ImageGeometry]:
        """Images ``(N, 3, H, W)`` to the canvas ``(N, 3, h, w)`` and how they lie there."""
        geometry, content, padding = self._layout((images.shape[-2], images.shape[-1]))
        if content != geometry.image_size:
            images = F.interpolate(images, content, mode="bilinear", align_corners=False)
        return F.pad(images, padding, value=FILL), geometry

    def geometry(self, image_size: tuple[int, int]) -> ImageGeometry:
        """How an image of ``(H, W)`` lies on the canvas."""
        return self._layout(image_size)[0]

    def _layout(
        self, image_size: tuple[int, int]
    ) -> tuple[ImageGeometry, tuple[int, int], list[int]]:
        canvas, (top, left), (height, width) = _letterboxed(
            self.size, self.stride, self.scale_fill, image_size
        )
        padding = [left, canvas[1] - left - width, top, canvas[0] - top - height]
        scale = (height / image_size[0], width / image_size[1])
        return ImageGeometry(image_size, canvas, scale, (top, left)), (height, width), padding


@lru_cache(maxsize=64)
def _letterboxed(
    size: tuple[int, int], stride: int, scale_fill: bool, image_size: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Sizes of the canvas, the offset ``(top, left)`` on it, and the size of the resized image.

    They are read off a black image, as the padding is grey: the vendor's ``LetterBox`` has no other
    call that all its versions share.
    """
    letterbox = vendor().LetterBox(size, auto=not scale_fill, scale_fill=scale_fill, stride=stride)
    black = letterbox(image=np.zeros((*image_size, 3), np.uint8))[..., 0] == 0
    y, x = (black.any(axis).nonzero()[0] for axis in (1, 0))
    canvas = (black.shape[0], black.shape[1])
    return canvas, (int(y[0]), int(x[0])), (len(y), len(x))


def oriented_boxes(rows: Tensor, geometry: ImageGeometry) -> Any:
    """What ``YOLO.predict`` reports as ``Results.obb``, by the predictor's own method.

    Args:
        rows: ``(K, 7)``: centre, size, score, label and angle, on the canvas.
        geometry: of the image.
    """
    from ultralytics.models.yolo.obb import OBBPredictor

    canvas = torch.empty(1, 1, *geometry.canvas_size, device="meta")
    image = SimpleNamespace(shape=(*geometry.image_size, 3))
    predictor: Any = SimpleNamespace(model=SimpleNamespace(names={}))
    return OBBPredictor.construct_result(predictor, rows, canvas, image, "").obb


def network_of(model: Any) -> tuple[Any, dict[str, Any]]:
    """The network inside a ``YOLO`` object, and the settings of that object.

    Raises:
        TypeError: if there is no torch network, as in an exported model.
    """
    overrides = getattr(model, "overrides", None)
    network = model.model if isinstance(overrides, dict) else model
    if not isinstance(getattr(network, "model", None), nn.Sequential):
        raise TypeError(
            f"model: expected a torch model of Ultralytics, got {_exported(network)}; load the .pt "
            "file that was exported."
        )
    return network, overrides if isinstance(overrides, dict) else {}


def _exported(network: Any) -> str:
    """What a ``YOLO`` object holds of an exported model, and which function reads that."""
    file = str(network) if isinstance(network, (str, os.PathLike)) else ""
    reader = {".onnx": "onnx_detector", ".torchscript": "torchscript_detector"}.get(
        PurePath(file).suffix
    )
    if not file:
        return type(network).__name__
    what = f"the export {file}"
    return f"{what}: pass the file to captum_ssgc.detectors.{reader}" if reader else what


def canvas_size(
    model: nn.Module, image_size: int | Sequence[int] | None, overrides: dict[str, Any]
) -> tuple[int, int]:
    """``(H, W)`` as ``YOLO.predict`` takes it: the argument, the user's setting, the training's."""
    trained = getattr(model, "args", None)
    trained = trained.get("imgsz") if isinstance(trained, dict) else getattr(trained, "imgsz", None)
    wanted = image_size or overrides.get("imgsz") or trained or 640
    height, width = vendor().check_imgsz(wanted, stride=stride_of(model), min_dim=2)
    return height, width


def stride_of(model: Any) -> int:
    """The stride that the canvas must be a multiple of."""
    return max(int(model.stride.max()), 32)


def input_layers(model: Any) -> list[nn.Module]:
    """The modules that feed the head, one per level."""
    head = model.model[-1]
    return [model.model[index if index >= 0 else head.i + index] for index in head.f]


def last_backbone_stage(model: Any) -> list[nn.Module]:
    """The last module of the backbone, as the model's own description divides it."""
    backbone = model.yaml.get("backbone") if isinstance(model.yaml, dict) else None
    return [model.model[len(backbone) - 1]] if backbone else []


def forget_inference_constants(head: Any, shape_name: str, forgotten: Any) -> None:
    """Have the head make its anchors anew if they were last made in inference mode.

    Tensors of inference mode break every gradient through them.
    """
    if isinstance(head.anchors, Tensor) and head.anchors.is_inference():
        setattr(head, shape_name, forgotten)
