"""What torchvision's detection models share: their transform and their backbones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSDFeatureExtractorVGG
from torchvision.models.detection.ssdlite import SSDLiteFeatureExtractorMobileNet
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool, LastLevelP6P7

from captum_ssgc.detectors._content import check_content, noise
from captum_ssgc.detectors._feature_modules import feature_modules
from captum_ssgc.detectors._last_module import last_module_of
from captum_ssgc.detectors._measured import MeasuredGeometries
from captum_ssgc.geometry import ImageGeometry
from captum_ssgc.label_names import COCO

COCO_CLASSES = 91


def coco_names(classes: int | None) -> str | None:
    """What own names a model of torchvision with this many classes has: COCO's, or none."""
    return COCO if classes == COCO_CLASSES else None


class CanvasGeometries(MeasuredGeometries):
    """How a transform lays images of each size on its canvas."""

    def __call__(self, transform: Any, image_size: tuple[int, int], channels: int) -> ImageGeometry:
        source = type(transform).__name__

        def measure() -> ImageGeometry:
            canvas, _ = transform(list(noise(image_size, transform, channels)))
            geometry = canvas_geometry(image_size, canvas)
            check_content(canvas.tensors, geometry, source)
            return geometry

        state = f"{channels} {transform!r} {sorted(map(str, vars(transform).items()))}"
        return self.of(image_size, source, state, measure)


def canvas_geometry(image_size: tuple[int, int], canvas: ImageList) -> ImageGeometry:
    """How images of ``(H, W)`` lie on the canvas that torchvision's transform made of them."""
    height, width = canvas.image_sizes[0]
    return ImageGeometry(
        image_size=image_size,
        canvas_size=(canvas.tensors.shape[-2], canvas.tensors.shape[-1]),
        scale=(height / image_size[0], width / image_size[1]),
    )


def feature_layers(backbone: nn.Module) -> list[nn.Module]:
    """The modules whose outputs are the backbone's feature maps, finest first.

    A level that only subsamples another one is represented by that one's module. Empty where maps
    are made without a module of their own.
    """
    if isinstance(backbone, SSDFeatureExtractorVGG):
        return [backbone.features, *backbone.extra]
    if isinstance(backbone, SSDLiteFeatureExtractorMobileNet):
        return [*backbone.features, *backbone.extra]
    return list(pyramid_layers(backbone).values())


def pyramid_layers(backbone: nn.Module) -> dict[str, nn.Module]:
    """The modules behind a backbone's several outputs, by the names of these, finest first.

    torchvision's own are read; others run once, as names that stages have need not be theirs.
    """
    pyramid, body = getattr(backbone, "fpn", None), getattr(backbone, "body", None)
    own = type(backbone) is BackboneWithFPN and type(body) is IntermediateLayerGetter
    if not own or not isinstance(pyramid, FeaturePyramidNetwork):
        return feature_modules(backbone)
    stages: Any = body
    blocks, extra = list(pyramid.layer_blocks), pyramid.extra_blocks
    names = [str(stages.return_layers[child]) for child in stages if child in stages.return_layers]
    layers: dict[str, nn.Module] = dict(zip(names, blocks, strict=False))
    if isinstance(extra, LastLevelP6P7):
        return {**layers, "p6": extra.p6, "p7": extra.p7}
    if isinstance(extra, LastLevelMaxPool):
        return {**layers, "pool": blocks[-1]}
    return layers if extra is None else feature_modules(backbone)


def last_stage(backbone: nn.Module) -> list[nn.Module]:
    """The last stage of the network below a feature pyramid, if it is one module that runs."""
    body = getattr(backbone, "body", None)
    return [] if body is None else last_module_of(body)


def around_layers(model: Any, layers: Sequence[nn.Module]) -> Iterator[nn.Module]:
    """The layers, the model, and what of its backbone may stand around or behind them.

    What is inside of layers, or in the trunk below a pyramid, comes before them.
    """
    yield from (model, *layers)
    backbone = [model.backbone]
    while backbone:
        part = backbone.pop()
        yield part
        if part not in layers and type(part) is not IntermediateLayerGetter:
            backbone += part.children()
