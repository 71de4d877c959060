"""torchvision's one-stage family: RetinaNet, FCOS, SSD and SSDlite, any backbone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.fcos import FCOS, FCOSHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import (
    RetinaNet,
    RetinaNetClassificationHead,
    RetinaNetHead,
)
from torchvision.models.detection.ssd import (
    SSD,
    SSDClassificationHead,
    SSDFeatureExtractorVGG,
    SSDHead,
)
from torchvision.models.detection.ssdlite import SSDLiteClassificationHead, SSDLiteHead
from torchvision.models.detection.transform import resize_boxes
from torchvision.ops.boxes import clip_boxes_to_image

from captum_ssgc._hooks import StopForward, forward_hooks, left_alone
from captum_ssgc._layer_names import modules_in_order
from captum_ssgc._outputs import EDGES, Output, kind_of
from captum_ssgc._probability import softmax_score
from captum_ssgc.detections import Detections
from captum_ssgc.detectors._final_output import final_reports
from captum_ssgc.detectors._grid_heads import GridHeadDetector
from captum_ssgc.detectors._local_heads import Step, chain_of
from captum_ssgc.detectors._lookup import RowCandidates, rows_of_images
from captum_ssgc.detectors._precision import at_least_single, own_images
from captum_ssgc.detectors._rows import levels_of
from captum_ssgc.detectors._torchvision import (
    CanvasGeometries,
    around_layers,
    canvas_geometry,
    coco_names,
    feature_layers,
    last_stage,
)
from captum_ssgc.geometry import ImageGeometry
from captum_ssgc.label_names import LabelNames


@dataclass(frozen=True)
class OneStageOutput:
    """One forward: the head's output with graph; with a full run, also what was reported.

    Args:
        head: tensors ``(N, R, ...)`` by torchvision's names.
        anchors: ``(R, 4)`` xyxy on the canvas.
        level_sizes: how many of the ``R`` rows belong to each level.
        features: what the head took, ``(N, C, h, w)`` of each level.
        geometry: of the images.
        content_size: ``(H, W)`` of the image on the canvas, without padding.
        reported: the vendor's detections, ``None`` where only candidates were wanted.
    """

    head: dict[str, Tensor]
    anchors: Tensor
    level_sizes: list[int]
    features: list[Tensor]
    geometry: ImageGeometry
    content_size: tuple[int, int]
    reported: Any = None


class OneStageDetector(GridHeadDetector):
    """Adapter for torchvision's RetinaNet, FCOS, SSD and SSDlite.

    A candidate is an anchor (FCOS: a point) of a level; the score is the number that the model
    reports: sigmoid (RetinaNet), softmax (SSD), or ``sqrt(class * centerness)`` (FCOS). Scoring
    stops after the head. ``class_scores`` have torchvision's columns: 0 is the background.

    Args:
        model: a RetinaNet, FCOS or SSD in evaluation mode.
        label_names: class names, with or without the background's at index 0: a list, a dictionary
            or a file; ``None``: COCO's, where there are 91.
        level_layers: one layer (module or name) for each level of the pyramid, where the backbone
            is not one of torchvision's.

    Raises:
        TypeError: if ``model`` is none of these.
        ValueError: for a layer that the model does not have, or another number of them.

    Notes:
        * ``regions`` are the anchors; for FCOS, whose points have no size of their own, the
          predicted boxes, as for every detector without anchors.
        * The logit of FCOS is the class logit; its score depends on the centerness, too.

    Example:
        >>> import torch, torchvision, captum_ssgc as ssgc
        >>> model = torchvision.models.detection.ssdlite320_mobilenet_v3_large(
        ...     weights=None, weights_backbone=None, num_classes=5, score_thresh=0.0).eval()
        >>> detector = ssgc.wrap_detector(model)
        >>> detector.detect(torch.rand(1, 3, 64, 96))[0].class_scores.shape[1]
        5
    """

    vendor = "torchvision"
    window_share = 0.75

    def __init__(
        self,
        model: nn.Module,
        label_names: LabelNames | None = None,
        *,
        level_layers: Sequence[nn.Module | str] = (),
    ) -> None:
        if not isinstance(model, (RetinaNet, FCOS, SSD)):
            raise TypeError(
                f"model: expected a RetinaNet, FCOS or SSD, got {type(model).__name__}."
            )
        head: Any = model.head.classification_head
        classes: int | None = getattr(head, "num_classes", getattr(head, "num_columns", None))
        super().__init__(
            model, label_names, classes=classes, background=True, own_names=coco_names(classes)
        )
        if isinstance(model, SSD):  # its default boxes lie in the middle of their cells
            self.window_share = 0.5
        self._geometries = CanvasGeometries()
        self._given_levels = modules_in_order(self.model, "level_layers", level_layers)
        if len(self._given_levels) not in (0, self._level_count()):
            raise ValueError(
                f"level_layers: expected {self._level_count()}, one for each level of this model, "
                f"got {len(self._given_levels)}."
            )

    def run(self, images: Tensor, detections: Sequence[Detections] | None = None) -> OneStageOutput:
        self.check_ready()
        read: dict[str, Any] = {}
        model: Any = self.model
        images = own_images(images, model)

        def before_head(module: nn.Module, args: tuple[Any, ...]) -> None:
            read["features"] = list(args[0])

        def after_head(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            read["head"] = dict(output)
            return {name: tensor.detach() for name, tensor in output.items()}

        def after_anchors(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            read["canvas"], read["anchors"] = args[0], output[0]
            if detections is not None:
                raise StopForward

        hooks = {model.head: after_head, model.anchor_generator: after_anchors}
        reported = None
        with forward_hooks(hooks, {model.head: before_head}), suppress(StopForward):
            reported = model(list(images.unbind(0)))
        canvas: ImageList = read["canvas"]
        geometry = canvas_geometry((images.shape[-2], images.shape[-1]), canvas)
        self._geometries.note(geometry)
        return OneStageOutput(
            head=read["head"],
            anchors=read["anchors"],
            level_sizes=self._level_sizes(read["features"], len(read["anchors"])),
            features=read["features"],
            geometry=geometry,
            content_size=canvas.image_sizes[0],
            reported=reported,
        )

    def reported(self, raw: OneStageOutput) -> list[dict[str, Tensor]]:
        if raw.reported is None:
            raise ValueError("select needs a run without detections.")
        return final_reports(raw.reported, len(raw.head["cls_logits"]))

    def row_candidates(self, raw: OneStageOutput, image: int | None = None) -> RowCandidates:
        kind = next(kind for family, kind in _KINDS.items() if isinstance(self.model, family))
        return kind(raw, image, self.model.box_coder)

    @property
    def softmax(self) -> bool:  # type: ignore[override]
        return isinstance(self.model, SSD)

    def level_sizes(self, raw: OneStageOutput) -> list[int]:
        return raw.level_sizes

    def class_chain(self, level: int) -> list[Step] | None:
        model: Any = self.model
        head = model.head.classification_head
        if type(model.head) not in _HEADS:
            return None
        if type(head) is RetinaNetClassificationHead:
            parts = [chain_of(head.conv), chain_of(head.cls_logits)]
        elif type(head) in (SSDClassificationHead, SSDLiteClassificationHead):
            parts = [self._before_head(level), chain_of(head.module_list[level])]
        else:
            return None
        return None if None in parts else [step for part in parts for step in part or ()]

    def on_the_way(self) -> Iterator[nn.Module]:
        head: Any = self.model.head
        yield from around_layers(self.model, self.level_layers())
        yield from head.modules()

    def modules_apart(self, outputs: Collection[Output]) -> Sequence[nn.Module]:
        head: Any = self.model.head
        if type(head) not in _HEADS or not left_alone(head.modules()):  # others may mix the two
            return []
        kinds = {kind_of(output) for output in outputs}
        if kinds <= set(EDGES):
            return [head.classification_head]
        # The centerness, which the score of FCOS depends on, comes from the head of the boxes.
        of_classes = {"logit"} if isinstance(self.model, FCOS) else {"score", "logit"}
        return [head.regression_head] if kinds <= of_classes else []

    def _before_head(self, level: int) -> list[Step]:
        """What SSD's backbone does to its first level on the way to the head."""
        if level or not self._normalises_first():
            return []
        backbone: Any = self.model.backbone
        scale = backbone.scale_weight.detach().view(1, -1, 1, 1)
        return [Step(lambda features: scale * nn.functional.normalize(features))]

    def _normalises_first(self) -> bool:
        backbone: Any = self.model.backbone
        forward = getattr(type(backbone), "forward", None)
        return forward is SSDFeatureExtractorVGG.forward and not self._given_levels

    def head_features(self, raw: OneStageOutput) -> Mapping[int, Tensor]:
        return dict(
            enumerate(raw.features[1:], 1) if self._normalises_first() else enumerate(raw.features)
        )

    def geometry(self, image_size: tuple[int, int]) -> ImageGeometry:
        generator: Any = self.model.anchor_generator
        steps = getattr(generator, "steps", None) or ()  # of SSD, which need not divide its canvas
        geometry = self._geometries(self.model.transform, image_size, self.channels)
        return replace(geometry, level_strides=tuple(map(float, steps)))

    def target_layers(self) -> dict[str, nn.Module]:
        backbone: Any = self.model.backbone
        layers = [*self.level_layers(), *last_stage(backbone)]
        return {self.layer_name(layer): layer for layer in layers}

    def level_layers(self) -> list[nn.Module]:
        if self._given_levels:
            return list(self._given_levels)
        count = self._level_count()
        backbone: Any = self.model.backbone
        layers = feature_layers(backbone) or [backbone]
        return layers if len(layers) == count else []

    def _level_count(self) -> int:
        generator: Any = self.model.anchor_generator
        return len(generator.num_anchors_per_location())

    def _level_sizes(self, features: Sequence[Tensor], row_count: int) -> list[int]:
        generator: Any = self.model.anchor_generator
        cells = [feature.shape[-2] * feature.shape[-1] for feature in features]
        if not isinstance(self.model, SSD):  # one head for all levels
            return [count * (row_count // sum(cells)) for count in cells]
        per_cell = generator.num_anchors_per_location()
        return [count * anchors for count, anchors in zip(cells, per_cell, strict=True)]


class _Anchors(RowCandidates):
    """The anchors of RetinaNet: sigmoids.

    Args:
        raw: one forward.
        image: which of its images; ``None`` for all.
        coder: the model's ``box_coder``.
    """

    def __init__(self, raw: OneStageOutput, image: int | None, coder: Any) -> None:
        sizes = [len(raw.anchors)] * (len(raw.head["cls_logits"]) if image is None else 1)
        super().__init__(raw.geometry, raw.anchors.device, sizes)
        self._raw, self._coder = raw, coder
        self._head = {name: rows_of_images(tensor, image) for name, tensor in raw.head.items()}

    def scores(self) -> Tensor:
        return torch.cat([torch.sigmoid(level) for level in self._levels_of("cls_logits")])

    def logits(self, rows: Tensor, labels: Tensor) -> Tensor:
        return at_least_single(self._head["cls_logits"][rows, labels])

    def boxes(self, rows: Tensor, labels: Tensor) -> Tensor:
        return self.geometry.boxes_to_image(self._on_canvas(rows))

    def reported_boxes(self, rows: Tensor, labels: Tensor) -> Tensor:
        size = self._raw.content_size
        clipped = clip_boxes_to_image(self._on_canvas(rows), size)
        return resize_boxes(clipped, list(size), list(self.geometry.image_size))

    def regions(self, rows: Tensor, labels: Tensor) -> Tensor:
        return self.geometry.boxes_to_image(self._raw.anchors[self.places(rows)])

    def levels(self, rows: Tensor) -> Tensor:
        return levels_of(self.places(rows), self._raw.level_sizes)

    def _levels_of(self, name: str) -> tuple[Tensor, ...]:
        """What the head gave, level by level: the vendor's operations on the vendor's shapes."""
        return self._head[name].split(self._raw.level_sizes * len(self.sizes))

    def _on_canvas(self, rows: Tensor) -> Tensor:
        """``(K, 4)`` xyxy, not clipped."""
        decode = getattr(self._coder, "decode_single", None) or self._coder.decode
        anchors = self._raw.anchors[self.places(rows)]
        boxes: Tensor = decode(self._head["bbox_regression"][rows], anchors)
        return boxes


class _Points(_Anchors):
    """The points of FCOS: roots of class times centerness; the box is the region of a point."""

    def scores(self) -> Tensor:
        pairs = zip(self._levels_of("cls_logits"), self._levels_of("bbox_ctrness"), strict=True)
        return torch.cat(
            [
                torch.sqrt(torch.sigmoid(level) * torch.sigmoid(centerness))
                for level, centerness in pairs
            ]
        )

    def score(self, rows: Tensor, labels: Tensor) -> Tensor:
        centerness = at_least_single(self._head["bbox_ctrness"][rows, 0]).sigmoid()
        return (super().score(rows, labels) * centerness).sqrt()

    def regions(self, rows: Tensor, labels: Tensor) -> Tensor:
        return self.boxes(rows, labels)


class _DefaultBoxes(_Anchors):
    """The default boxes of SSD: softmax with the background."""

    first_label = 1

    def scores(self) -> Tensor:
        return self._head["cls_logits"].softmax(-1)

    def score(self, rows: Tensor, labels: Tensor) -> Tensor:
        return softmax_score(at_least_single(self._head["cls_logits"][rows]), labels)


_HEADS = (RetinaNetHead, FCOSHead, SSDHead, SSDLiteHead)
_KINDS = {RetinaNet: _Anchors, FCOS: _Points, SSD: _DefaultBoxes}
