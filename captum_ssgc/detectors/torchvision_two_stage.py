"""torchvision's two-stage family: Faster, Mask and Keypoint R-CNN, any backbone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import resize_boxes
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.boxes import clip_boxes_to_image

from captum_ssgc._hooks import StopForward, forward_hooks
from captum_ssgc._probability import softmax_score
from captum_ssgc.detections import Detections
from captum_ssgc.detector import EDGES, Detector, Output
from captum_ssgc.detectors._precision import cast_like
from captum_ssgc.detectors._rows import ChosenRows, rows_above
from captum_ssgc.detectors._torchvision import (
    CanvasGeometries,
    canvas_geometry,
    last_stage,
    pyramid_layers,
)
from captum_ssgc.geometry import ImageGeometry


@dataclass(frozen=True)
class TwoStageOutput:
    """One forward: features with graph; with a full run, also what the RoI head made of them."""

    features: dict[str, Tensor]
    geometry: ImageGeometry
    image_sizes: list[tuple[int, int]]
    proposals: list[Tensor]
    class_logits: Tensor | None = None
    box_regression: Tensor | None = None
    on_canvas: list[dict[str, Tensor]] | None = None
    reported: list[dict[str, Tensor]] | None = None


class TwoStageDetector(Detector):
    """Adapter for :class:`torchvision.models.detection.generalized_rcnn.GeneralizedRCNN`.

    A candidate is a region proposal; its score is the softmax of the RoI head at that proposal.
    Scoring keeps the proposals of the reference image, so the region proposal network does not
    run for it. ``class_scores`` include the background in column 0, as torchvision's labels do.

    Args:
        model: a Faster, Mask or Keypoint R-CNN in evaluation mode.
        label_names: class names, indexed by label (index 0 is the background).
        level_layers: one layer (module or name) for each feature map that regions are pooled from,
            where the backbone is not one of torchvision's.

    Raises:
        TypeError: if ``model`` is no ``GeneralizedRCNN``.
        ValueError: for a layer that the model does not have.

    Example:
        >>> import torch, torchvision, captum_ssgc as ssgc
        >>> model = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        ...     weights=None, weights_backbone=None, box_score_thresh=0.0).eval()
        >>> detector = ssgc.wrap_detector(model)
        >>> found = detector.detect(torch.rand(1, 3, 64, 96))[0]
        >>> found.class_scores.shape[1]
        91
    """

    def __init__(
        self,
        model: nn.Module,
        label_names: Sequence[str] | None = None,
        *,
        level_layers: Sequence[nn.Module | str] = (),
    ) -> None:
        if not isinstance(model, GeneralizedRCNN):
            raise TypeError(f"model: expected a GeneralizedRCNN, got {type(model).__name__}.")
        super().__init__(model, label_names)
        self._heads: Any = model.roi_heads
        self._given_levels = [self.module_named(layer) for layer in level_layers]
        self._geometries = CanvasGeometries()

    def run(self, images: Tensor, detections: Sequence[Detections] | None = None) -> TwoStageOutput:
        self.check_ready()
        read: dict[str, Any] = {}
        model: Any = self.model
        images = cast_like(images, model)
        heads = model.roi_heads

        def before_rpn(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            read["images"], read["features"] = args[0], args[1]
            if detections is not None:
                raise StopForward
            return (args[0], _detached(args[1]), *args[2:])

        def before_heads(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            read["proposals"] = args[1]
            return (_detached(args[0]), *args[1:])

        def after_predictor(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            read["class_logits"], read["box_regression"] = output

        def after_heads(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            read["on_canvas"] = [dict(result) for result in output[0]]

        after = {heads.box_predictor: after_predictor, heads: after_heads}
        before = {model.rpn: before_rpn, heads: before_heads}
        with forward_hooks(after, before), suppress(StopForward):
            read["reported"] = model(list(images.unbind(0)))
        canvas: ImageList = read.pop("images")
        geometry = canvas_geometry((images.shape[-2], images.shape[-1]), canvas)
        if detections is not None:
            read["proposals"] = self._proposals_of(detections, geometry, images.device)
        return TwoStageOutput(geometry=geometry, image_sizes=canvas.image_sizes, **read)

    def run_from(
        self, raw: TwoStageOutput, images: Tensor, detections: Sequence[Detections]
    ) -> TwoStageOutput:
        proposals = self._proposals_of(detections, raw.geometry, images.device)
        return TwoStageOutput(raw.features, raw.geometry, raw.image_sizes, proposals)

    @torch.no_grad()
    def select(self, raw: TwoStageOutput) -> list[Detections]:
        if raw.reported is None or raw.on_canvas is None:
            raise ValueError("select needs a run without detections.")
        found = []
        for image, (scores, boxes) in enumerate(self._head_output(raw)):
            rows = _proposal_rows(scores, boxes, raw.on_canvas[image])
            names = ("labels", "scores", "boxes")
            labels, values, on_image = (raw.reported[image][name].detach() for name in names)
            chosen = ChosenRows(rows, labels, values, on_image, scores[rows])
            found.append(self._detections(raw, image, chosen))
        return found

    @torch.no_grad()
    def candidates_above(self, raw: TwoStageOutput, score_threshold: float) -> list[Detections]:
        found = []
        for image, (scores, boxes) in enumerate(self._head_output(raw)):
            rows, labels = rows_above(scores, score_threshold, first_label=1)
            sizes = list(raw.image_sizes[image]), list(raw.geometry.image_size)
            on_image = resize_boxes(boxes[rows, labels], *sizes)
            chosen = ChosenRows(rows, labels, scores[rows, labels], on_image, scores[rows])
            found.append(self._detections(raw, image, chosen))
        return found

    def values(
        self, raw: TwoStageOutput, detections: Sequence[Detections], output: Output
    ) -> list[Tensor]:
        heads = self._heads
        if raw.reported is None:
            proposals = raw.proposals
        else:
            proposals = [
                rows[chosen.candidates]
                for rows, chosen in zip(raw.proposals, detections, strict=True)
            ]
        labels = torch.cat([chosen.labels for chosen in detections]).to(proposals[0].device)
        pooled = heads.box_roi_pool(raw.features, proposals, raw.image_sizes)
        class_logits, box_regression = heads.box_predictor(heads.box_head(pooled))
        row = torch.arange(len(labels), device=labels.device)
        if output == "score":
            values = softmax_score(class_logits, labels)
        elif output == "logit":
            values = class_logits[row, labels]
        else:
            boxes = heads.box_coder.decode(box_regression, proposals)[row, labels]
            values = raw.geometry.boxes_to_image(boxes)[:, EDGES.index(output)]
        return list(values.split([len(chosen) for chosen in detections]))

    def geometry(self, image_size: tuple[int, int]) -> ImageGeometry:
        return self._geometries(self.model.transform, image_size)

    def target_layers(self) -> dict[str, nn.Module]:
        backbone: Any = self.model.backbone
        layers = self.level_layers()
        layers = [*layers, *last_stage(backbone)] if layers else [backbone]
        return {self.layer_name(layer): layer for layer in layers}

    def level_layers(self) -> list[nn.Module]:
        if self._given_levels:
            return list(self._given_levels)
        backbone: Any = self.model.backbone
        names = getattr(self._heads.box_roi_pool, "featmap_names", [])
        return [layer for name, layer in pyramid_layers(backbone).items() if name in names]

    def covers_image(self, layer: nn.Module) -> bool:
        return layer not in set(self._heads.modules())

    def _head_output(self, raw: TwoStageOutput) -> list[tuple[Tensor, Tensor]]:
        """Of each image the scores ``(R, C)`` and the boxes ``(R, C, 4)`` on its canvas."""
        if raw.class_logits is None:
            raise ValueError("candidates need a run without detections.")
        counts = [len(proposals) for proposals in raw.proposals]
        scores = raw.class_logits.softmax(-1).split(counts)
        boxes = self._heads.box_coder.decode(raw.box_regression, raw.proposals).split(counts)
        clipped = map(clip_boxes_to_image, boxes, raw.image_sizes)
        return list(zip(scores, clipped, strict=True))

    def _detections(self, raw: TwoStageOutput, image: int, chosen: ChosenRows) -> Detections:
        proposals = raw.proposals[image][chosen.rows]
        return chosen.detections(
            candidates=chosen.rows,
            regions=raw.geometry.boxes_to_image(proposals),
            levels=self._levels(proposals),
            image_size=raw.geometry.image_size,
        )

    @staticmethod
    def _proposals_of(
        detections: Sequence[Detections], geometry: ImageGeometry, device: torch.device
    ) -> list[Tensor]:
        return [geometry.boxes_to_canvas(chosen.regions.to(device)) for chosen in detections]

    def _levels(self, proposals: Tensor) -> Tensor:
        pool = self._heads.box_roi_pool
        if not isinstance(pool, MultiScaleRoIAlign) or len(pool.featmap_names) == 1:
            return torch.zeros(len(proposals), dtype=torch.int64, device=proposals.device)
        return pool.map_levels([proposals])


def _detached(features: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: feature.detach() for name, feature in features.items()}


def _proposal_rows(scores: Tensor, boxes: Tensor, reported: dict[str, Tensor]) -> Tensor:
    """First row with exactly the reported score and box at the reported label."""
    labels = reported["labels"]
    same = (scores[:, labels] == reported["scores"]) & (
        boxes[:, labels] == reported["boxes"][None]
    ).all(-1)
    if not bool(same.any(0).all()):
        missing = int((~same.any(0)).sum())
        raise ValueError(
            f"{missing} of {len(labels)} detections were not found among the candidates: this "
            "model's roi_heads do not post-process as torchvision's do; wrap it as your own "
            "detector (captum_ssgc.detectors.CandidateDetector)."
        )
    return same.to(torch.uint8).argmax(0)
