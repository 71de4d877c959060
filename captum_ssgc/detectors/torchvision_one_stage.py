"""torchvision's one-stage family: RetinaNet, FCOS, SSD and SSDlite, any backbone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.fcos import FCOS
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNet
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.transform import resize_boxes
from torchvision.ops.boxes import clip_boxes_to_image

from captum_ssgc._hooks import StopForward, forward_hooks
from captum_ssgc._probability import sigmoid_score, softmax_score
from captum_ssgc.detections import Detections
from captum_ssgc.detector import EDGES, Detector, Output
from captum_ssgc.detectors._precision import cast_like
from captum_ssgc.detectors._rows import ChosenRows, levels_of
from captum_ssgc.detectors._torchvision import (
    CanvasGeometries,
    canvas_geometry,
    feature_layers,
    last_stage,
)
from captum_ssgc.geometry import ImageGeometry


@dataclass(frozen=True)
class OneStageOutput:
    """One forward: the head's output with graph; with a full run, also what was reported.

    Args:
        head: tensors ``(N, R, ...)`` by torchvision's names.
        anchors: ``(R, 4)`` xyxy on the canvas.
        level_sizes: how many of the ``R`` rows belong to each level.
        geometry: of the images.
        content_size: ``(H, W)`` of the image on the canvas, without padding.
        reported: the vendor's detections, ``None`` where only candidates were wanted.
    """

    head: dict[str, Tensor]
    anchors: Tensor
    level_sizes: list[int]
    geometry: ImageGeometry
    content_size: tuple[int, int]
    reported: list[dict[str, Tensor]] | None = None


class OneStageDetector(Detector):
    """Adapter for torchvision's RetinaNet, FCOS, SSD and SSDlite.

    A candidate is an anchor (FCOS: a point) of a level; the score is the number that the model
    reports: sigmoid (RetinaNet), softmax (SSD), or ``sqrt(class * centerness)`` (FCOS). Scoring
    stops after the head. ``class_scores`` have torchvision's columns: 0 is the background.

    Args:
        model: a RetinaNet, FCOS or SSD in evaluation mode.
        label_names: class names, indexed by label (index 0 is the background).
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

    def __init__(
        self,
        model: nn.Module,
        label_names: Sequence[str] | None = None,
        *,
        level_layers: Sequence[nn.Module | str] = (),
    ) -> None:
        if not isinstance(model, (RetinaNet, FCOS, SSD)):
            raise TypeError(
                f"model: expected a RetinaNet, FCOS or SSD, got {type(model).__name__}."
            )
        super().__init__(model, label_names)
        self._geometries = CanvasGeometries()
        self._given_levels = [self.module_named(layer) for layer in level_layers]
        if len(level_layers) not in (0, self._level_count()):
            raise ValueError(
                f"level_layers: expected {self._level_count()}, one for each level of this model, "
                f"got {len(level_layers)}."
            )

    def run(self, images: Tensor, detections: Sequence[Detections] | None = None) -> OneStageOutput:
        self.check_ready()
        read: dict[str, Any] = {}
        model: Any = self.model
        images = cast_like(images, model)

        def after_head(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            read["head"] = dict(output)
            return {name: tensor.detach() for name, tensor in output.items()}

        def after_anchors(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            read["canvas"], read["features"] = args[0], args[1]
            read["anchors"] = output[0]
            if detections is not None:
                raise StopForward

        hooks = {model.head: after_head, model.anchor_generator: after_anchors}
        reported = None
        with forward_hooks(hooks), suppress(StopForward):
            reported = model(list(images.unbind(0)))
        canvas: ImageList = read["canvas"]
        return OneStageOutput(
            head=read["head"],
            anchors=read["anchors"],
            level_sizes=self._level_sizes(read["features"], len(read["anchors"])),
            geometry=canvas_geometry((images.shape[-2], images.shape[-1]), canvas),
            content_size=canvas.image_sizes[0],
            reported=reported,
        )

    def run_from(
        self, raw: OneStageOutput, images: Tensor, detections: Sequence[Detections]
    ) -> OneStageOutput:
        return raw

    @torch.no_grad()
    def select(self, raw: OneStageOutput) -> list[Detections]:
        if raw.reported is None:
            raise ValueError("select needs a run without detections.")
        found = []
        for image, reported in enumerate(raw.reported):
            scores = self._class_scores(raw, image)
            boxes_of = partial(self._reported_boxes, raw, image)
            chosen = ChosenRows.reported(scores, reported, boxes_of, "torchvision")
            found.append(self._detections(raw, image, chosen))
        return found

    @torch.no_grad()
    def candidates_above(self, raw: OneStageOutput, score_threshold: float) -> list[Detections]:
        background = isinstance(self.model, SSD)  # the others have no softmax, and no such class
        found = []
        for image in range(len(raw.head["cls_logits"])):
            scores = self._class_scores(raw, image)
            boxes_of = partial(self._reported_boxes, raw, image)
            chosen = ChosenRows.above(scores, score_threshold, boxes_of, int(background))
            found.append(self._detections(raw, image, chosen))
        return found

    def values(
        self, raw: OneStageOutput, detections: Sequence[Detections], output: Output
    ) -> list[Tensor]:
        values = []
        for image, chosen in enumerate(detections):
            rows, labels = (
                index.to(raw.anchors.device) for index in (chosen.candidates, chosen.labels)
            )
            row = torch.arange(len(rows), device=rows.device)
            if output in EDGES:
                boxes = raw.geometry.boxes_to_image(self._boxes(raw, image, rows))
                values.append(boxes[:, EDGES.index(output)])
                continue
            logits = raw.head["cls_logits"][image, rows]
            if output == "logit":
                values.append(logits[row, labels])
            elif isinstance(self.model, SSD):
                values.append(softmax_score(logits, labels))
            elif isinstance(self.model, FCOS):
                centerness = raw.head["bbox_ctrness"][image, rows, 0].sigmoid()
                values.append((sigmoid_score(logits[row, labels]) * centerness).sqrt())
            else:
                values.append(sigmoid_score(logits[row, labels]))
        return values

    def geometry(self, image_size: tuple[int, int]) -> ImageGeometry:
        generator: Any = self.model.anchor_generator
        steps = getattr(generator, "steps", None) or ()  # of SSD, which need not divide its canvas
        geometry = self._geometries(self.model.transform, image_size)
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

    def _level_sizes(self, features: Sequence[Tensor], rows: int) -> list[int]:
        generator: Any = self.model.anchor_generator
        cells = [feature.shape[-2] * feature.shape[-1] for feature in features]
        if not isinstance(self.model, SSD):  # one head for all levels
            return [count * (rows // sum(cells)) for count in cells]
        per_cell = generator.num_anchors_per_location()
        return [count * anchors for count, anchors in zip(cells, per_cell, strict=True)]

    def _detections(self, raw: OneStageOutput, image: int, chosen: ChosenRows) -> Detections:
        return chosen.detections(
            candidates=chosen.rows,
            regions=raw.geometry.boxes_to_image(self._regions(raw, image, chosen.rows)),
            levels=levels_of(chosen.rows, raw.level_sizes),
            image_size=raw.geometry.image_size,
        )

    def _class_scores(self, raw: OneStageOutput, image: int) -> Tensor:
        """``(R, C)``, by the vendor's operations on tensors of the vendor's shapes."""
        logits = raw.head["cls_logits"]
        if isinstance(self.model, SSD):
            return logits[image].softmax(-1)
        levels = [level[image] for level in logits.split(raw.level_sizes, 1)]
        if isinstance(self.model, RetinaNet):
            return torch.cat([torch.sigmoid(level) for level in levels])
        centerness = raw.head["bbox_ctrness"].split(raw.level_sizes, 1)
        return torch.cat(
            [
                torch.sqrt(torch.sigmoid(level) * torch.sigmoid(centred[image]))
                for level, centred in zip(levels, centerness, strict=True)
            ]
        )

    def _boxes(self, raw: OneStageOutput, image: int, rows: Tensor) -> Tensor:
        """``(K, 4)`` xyxy on the canvas, not clipped."""
        coder: Any = self.model.box_coder
        decode = coder.decode if isinstance(self.model, FCOS) else coder.decode_single
        boxes: Tensor = decode(raw.head["bbox_regression"][image, rows], raw.anchors[rows])
        return boxes

    def _reported_boxes(self, raw: OneStageOutput, image: int, rows: Tensor) -> Tensor:
        boxes = clip_boxes_to_image(self._boxes(raw, image, rows), raw.content_size)
        return resize_boxes(boxes, list(raw.content_size), list(raw.geometry.image_size))

    def _regions(self, raw: OneStageOutput, image: int, rows: Tensor) -> Tensor:
        if isinstance(self.model, FCOS):
            return self._boxes(raw, image, rows)
        return raw.anchors[rows]
