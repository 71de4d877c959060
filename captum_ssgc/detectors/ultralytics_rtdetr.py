"""Ultralytics' RT-DETR (extra ``[ultralytics]``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from captum_ssgc.detections import Detections
from captum_ssgc.detectors import _ultralytics as shared
from captum_ssgc.detectors._lookup import LookupDetector, RowCandidates
from captum_ssgc.detectors._precision import cast_like
from captum_ssgc.detectors._query_selection import (
    Queries,
    QuerySelection,
    SelectingDetector,
    boxes_of_shares,
)
from captum_ssgc.geometry import ImageGeometry
from captum_ssgc.label_names import LabelNames


@dataclass(frozen=True)
class RTDETROutput:
    """One forward: boxes ``(N, Q, 4)`` and logits ``(N, Q, C)`` of all queries, with graph."""

    boxes: Tensor
    logits: Tensor
    tokens: Tensor | None
    geometry: ImageGeometry
    vendor: Tensor


class UltralyticsRTDETR(SelectingDetector, LookupDetector):
    """Adapter for RT-DETR as Ultralytics builds it.

    A candidate is a query with the token of the image that it was made from,
    ``token * queries + query``; scoring keeps that token. The score is the class sigmoid, and
    ``regions`` are the predicted boxes.

    Args:
        model: an ``RTDETR`` object or its ``model``, in evaluation mode.
        image_size: as for :class:`captum_ssgc.detectors.YoloDetector`; the image is stretched.
        score_threshold: detections at or below it are not reported.
        max_detections: the most detections reported for an image.
        label_names: class names, indexed by label: a list, a dictionary or a file; ``None``: the
            model's own.

    Notes:
        As with the RT-DETR of transformers, the choice of the queries is read from the vendor's
        forward, and pinned when candidates are scored.

    Example:
        >>> import captum_ssgc as ssgc
        >>> from ultralytics import RTDETR  # doctest: +SKIP
        >>> detector = ssgc.wrap_detector(RTDETR("rtdetr-l.pt"))  # doctest: +SKIP
    """

    vendor = "Ultralytics"

    def __init__(
        self,
        model: Any,
        *,
        image_size: int | Sequence[int] | None = None,
        score_threshold: float = 0.25,
        max_detections: int = 300,
        label_names: LabelNames | None = None,
    ) -> None:
        network, overrides = shared.network_of(model)
        super().__init__(
            network,
            label_names,
            classes=network.model[-1].nc,
            own_names=getattr(network, "names", None),
        )
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

    def reported(self, raw: RTDETROutput) -> list[dict[str, Tensor]]:
        found = []
        for kept in raw.vendor.detach():
            kept = kept[kept[:, 4] > self.score_threshold][: self.max_detections]
            boxes = boxes_of_shares(kept[:, :4], raw.geometry.image_size)
            found.append({"boxes": boxes, "scores": kept[:, 4], "labels": kept[:, 5].long()})
        return found

    def row_candidates(self, raw: RTDETROutput, image: int | None = None) -> RowCandidates:
        return Queries(raw.geometry, raw.logits, raw.boxes, raw.tokens, image)

    def geometry(self, image_size: tuple[int, int]) -> ImageGeometry:
        return self.preprocess.geometry(image_size)

    def target_layers(self) -> dict[str, nn.Module]:
        # The finest first: the best as measured, see choosing_a_layer.
        layers = [*shared.input_layers(self.model), *shared.last_backbone_stage(self.model)]
        return {self.layer_name(layer): layer for layer in layers}
