"""Ultralytics' RT-DETR (extra ``[ultralytics]``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from captum_ssgc._probability import sigmoid_score
from captum_ssgc.detections import Detections
from captum_ssgc.detector import EDGES, Detector, Output
from captum_ssgc.detectors import _ultralytics as shared
from captum_ssgc.detectors._precision import cast_like
from captum_ssgc.detectors._query_selection import QuerySelection, query_detections, query_of
from captum_ssgc.detectors._rows import ChosenRows
from captum_ssgc.geometry import ImageGeometry


@dataclass(frozen=True)
class RTDETROutput:
    """One forward: boxes ``(N, Q, 4)`` and logits ``(N, Q, C)`` of all queries, with graph."""

    boxes: Tensor
    logits: Tensor
    tokens: Tensor | None
    geometry: ImageGeometry
    vendor: Tensor


class UltralyticsRTDETR(Detector):
    """Adapter for RT-DETR as Ultralytics builds it.

    A candidate is a query with the token of the image that it was made from,
    ``token * queries + query``; scoring keeps that token. The score is the class sigmoid, and
    ``regions`` are the predicted boxes.

    Args:
        model: an ``RTDETR`` object or its ``model``, in evaluation mode.
        image_size: as for :class:`captum_ssgc.detectors.YoloDetector`; the image is stretched.
        score_threshold: detections at or below it are not reported.
        max_detections: the most detections reported for an image.
        label_names: class names, indexed by label; ``None``: the model's own.

    Notes:
        As with the RT-DETR of transformers, the choice of the queries is read from the vendor's
        forward, and pinned when candidates are scored.

    Example:
        >>> import captum_ssgc as ssgc
        >>> from ultralytics import RTDETR  # doctest: +SKIP
        >>> detector = ssgc.wrap_detector(RTDETR("rtdetr-l.pt"))  # doctest: +SKIP
    """

    def __init__(
        self,
        model: Any,
        *,
        image_size: int | Sequence[int] | None = None,
        score_threshold: float = 0.25,
        max_detections: int = 300,
        label_names: Sequence[str] | None = None,
    ) -> None:
        network, overrides = shared.network_of(model)
        super().__init__(network, label_names or shared.label_names_of(network))
        self.preprocess = shared.PredictCanvas(
            shared.canvas_size(network, image_size, overrides),
            shared.stride_of(network),
            scale_fill=True,
        )
        self.score_threshold, self.max_detections = score_threshold, max_detections

    def run(self, images: Tensor, detections: Sequence[Detections] | None = None) -> RTDETROutput:
        self.check_ready()
        canvas, geometry = self.preprocess(images)
        network: Any = self.model
        head = network.model[-1]
        shared.forget_inference_constants(head, "shapes", [])
        with QuerySelection(head.num_queries, detections) as selection:
            reported, (boxes, logits, *_) = network(cast_like(canvas, network))
        return RTDETROutput(
            boxes.squeeze(0), logits.squeeze(0), selection.tokens, geometry, reported
        )

    @torch.no_grad()
    def select(self, raw: RTDETROutput) -> list[Detections]:
        class_scores = raw.logits.sigmoid()
        found = []
        for image, kept in enumerate(raw.vendor.detach()):
            kept = kept[kept[:, 4] > self.score_threshold][: self.max_detections]
            reported = {
                "boxes": self._on_image(shared.vendor().ops.xywh2xyxy(kept[:, :4]), raw.geometry),
                "scores": kept[:, 4],
                "labels": kept[:, 5].long(),
            }
            chosen = ChosenRows.reported(
                class_scores[image], reported, partial(self._boxes, raw, image), "Ultralytics"
            )
            found.append(query_detections(chosen, raw.tokens, image, raw.geometry))
        return found

    @torch.no_grad()
    def candidates_above(self, raw: RTDETROutput, score_threshold: float) -> list[Detections]:
        found = []
        for image, scores in enumerate(raw.logits.sigmoid()):
            chosen = ChosenRows.above(scores, score_threshold, partial(self._boxes, raw, image))
            found.append(query_detections(chosen, raw.tokens, image, raw.geometry))
        return found

    def values(
        self, raw: RTDETROutput, detections: Sequence[Detections], output: Output
    ) -> list[Tensor]:
        values = []
        for image, chosen in enumerate(detections):
            rows = query_of(chosen.candidates.to(raw.logits.device), raw.logits.shape[1])
            if output in EDGES:
                values.append(self._boxes(raw, image, rows)[:, EDGES.index(output)])
                continue
            logits = raw.logits[image, rows, chosen.labels.to(raw.logits.device)]
            values.append(logits if output == "logit" else sigmoid_score(logits))
        return values

    def geometry(self, image_size: tuple[int, int]) -> ImageGeometry:
        return self.preprocess.geometry(image_size)

    def target_layers(self) -> dict[str, nn.Module]:
        layers = [*shared.last_backbone_stage(self.model), *shared.input_layers(self.model)]
        return {self.layer_name(layer): layer for layer in layers}

    def _boxes(self, raw: RTDETROutput, image: int, rows: Tensor) -> Tensor:
        """``(K, 4)`` xyxy in image pixels, not clipped."""
        return self._on_image(shared.vendor().ops.xywh2xyxy(raw.boxes[image, rows]), raw.geometry)

    @staticmethod
    def _on_image(boxes: Tensor, geometry: ImageGeometry) -> Tensor:
        height, width = geometry.image_size
        return boxes * boxes.new_tensor([width, height, width, height])
