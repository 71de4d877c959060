"""Ultralytics' YOLO family: detection, segmentation and pose heads (extra ``[ultralytics]``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from captum_ssgc.detections import Detections
from captum_ssgc.detector import EDGES, Detector, Output
from captum_ssgc.detectors import _ultralytics as shared
from captum_ssgc.detectors._precision import cast_like
from captum_ssgc.detectors._rows import ChosenRows, levels_of
from captum_ssgc.geometry import ImageGeometry

NO_TIME_LIMIT = 1e9  # seconds; the vendor gives up suppressing after a while and returns less


@dataclass(frozen=True)
class YoloOutput:
    """One forward: every grid point with graph, and the vendor's own output.

    Args:
        decoded: ``(N, 4 + C + ..., R)``, boxes first, then class scores, as the vendor decodes it.
        logits: ``(N, C, R)``.
        level_sizes: how many of the ``R`` points belong to each level.
        geometry: of the images.
        vendor: what the vendor suppresses or thresholds.
        prototypes: of segmentation masks, ``(N, ...)``; ``None`` for other heads.
    """

    decoded: Tensor
    logits: Tensor
    level_sizes: list[int]
    geometry: ImageGeometry
    vendor: Tensor
    prototypes: Tensor | None = None


class YoloDetector(Detector):
    """Adapter for the YOLO models of Ultralytics, v3 to v12 and 26.

    A candidate is a grid point of a level; its score is the class sigmoid. Detections are what
    ``YOLO.predict`` reports: the vendor's own suppression of the vendor's own output. For a
    segmentation model that leaves out detections with an empty mask.

    Args:
        model: a ``YOLO`` object or its ``model``, in evaluation mode.
        image_size: ``(H, W)`` or the longer side of the canvas, in pixels; ``None``: as the model
            was trained.
        score_threshold: detections at or below it are not reported.
        iou_threshold: of the non-maximum suppression.
        max_detections: the most detections reported for an image.
        agnostic: suppress across classes; without effect on a one-to-one head.
        label_names: class names, indexed by label; ``None``: the model's own.

    Raises:
        TypeError: if the model gives no upright boxes.

    Notes:
        * ``predict`` rounds to bytes after resizing and fuses normalisation into convolutions in a
          copy of the model; here nothing is rounded and the model is used as it is.
        * A model with a one-to-many and a one-to-one head (v10, 26) is used as it is set:
          ``predict`` takes the one-to-many head unless told otherwise, and so does a fresh model.
          For the one-to-one head, which needs no suppression, set ``model.end2end = True``.
        * ``regions`` are the predicted boxes, as grid points have no anchors.

    Example:
        >>> import captum_ssgc as ssgc
        >>> from ultralytics import YOLO  # doctest: +SKIP
        >>> detector = ssgc.wrap_detector(YOLO("yolo11n.pt"))  # doctest: +SKIP
    """

    def __init__(
        self,
        model: Any,
        *,
        image_size: int | Sequence[int] | None = None,
        score_threshold: float = 0.25,
        iou_threshold: float = 0.7,
        max_detections: int = 300,
        agnostic: bool = False,
        label_names: Sequence[str] | None = None,
    ) -> None:
        network, overrides = shared.network_of(model)
        head: Any = network.model[-1]
        heads = shared.vendor().head
        if not isinstance(head, heads.Detect) or isinstance(head, heads.OBB):
            raise TypeError(
                "model: expected a YOLO model for detection, segmentation or pose, got one with "
                f"the head {type(head).__name__}, which gives no upright boxes."
            )
        super().__init__(network, label_names or shared.label_names_of(network))
        self.preprocess = shared.PredictCanvas(
            shared.canvas_size(network, image_size, overrides), shared.stride_of(network)
        )
        self.score_threshold, self.iou_threshold = score_threshold, iou_threshold
        self.max_detections, self.agnostic = max_detections, agnostic

    def run(self, images: Tensor, detections: Sequence[Detections] | None = None) -> YoloOutput:
        canvas, geometry = self.preprocess(images)
        return self.run_on_canvas(canvas, geometry)

    def run_on_canvas(self, canvas: Tensor, geometry: ImageGeometry) -> YoloOutput:
        """:meth:`run` for images that have already been resized and padded.

        Args:
            canvas: ``(N, 3, h, w)`` RGB in [0, 1], sides multiples of the stride.
            geometry: of the images.
        """
        self.check_ready()
        head = self._head
        shared.forget_inference_constants(head, "shape", None)
        reported, predictions = self.model(cast_like(canvas, self.model))
        prototypes = None
        if isinstance(reported, tuple):
            reported, prototypes = reported
        if "one2one" in predictions:
            predictions = predictions["one2one" if head.end2end else "one2many"]
        return YoloOutput(
            decoded=head._inference(predictions),
            logits=predictions["scores"],
            level_sizes=[level.shape[-2] * level.shape[-1] for level in predictions["feats"]],
            geometry=geometry,
            vendor=reported,
            prototypes=prototypes,
        )

    def run_from(
        self, raw: YoloOutput, images: Tensor, detections: Sequence[Detections]
    ) -> YoloOutput:
        return raw

    @torch.no_grad()
    def select(self, raw: YoloOutput) -> list[Detections]:
        suppressed = shared.vendor().nms.non_max_suppression(
            raw.vendor.detach(),
            self.score_threshold,
            self.iou_threshold,
            agnostic=self.agnostic,
            max_det=self.max_detections,
            nc=raw.logits.shape[1],
            max_time_img=NO_TIME_LIMIT,
            end2end=self._head.end2end,
        )
        found = []
        for image, kept in enumerate(suppressed):
            kept = self._with_mask(raw, image, kept)
            reported = {"boxes": kept[:, :4], "scores": kept[:, 4], "labels": kept[:, 5].long()}
            scores, boxes_of = self._class_scores(raw, image), partial(self._boxes, raw, image)
            chosen = ChosenRows.reported(scores, reported, boxes_of, "Ultralytics")
            found.append(self._detections(raw, image, chosen))
        return found

    @torch.no_grad()
    def candidates_above(self, raw: YoloOutput, score_threshold: float) -> list[Detections]:
        found = []
        for image in range(len(raw.decoded)):
            scores, boxes_of = self._class_scores(raw, image), partial(self._boxes, raw, image)
            chosen = ChosenRows.above(scores, score_threshold, boxes_of)
            found.append(self._detections(raw, image, chosen))
        return found

    def values(
        self, raw: YoloOutput, detections: Sequence[Detections], output: Output
    ) -> list[Tensor]:
        values = []
        for image, chosen in enumerate(detections):
            rows, labels = (
                index.to(raw.logits.device) for index in (chosen.candidates, chosen.labels)
            )
            if output in EDGES:
                boxes = raw.geometry.boxes_to_image(self._boxes(raw, image, rows))
                values.append(boxes[:, EDGES.index(output)])
            elif output == "logit":
                values.append(raw.logits[image, labels, rows])
            else:
                values.append(raw.decoded[image, 4 + labels, rows])
        return values

    def geometry(self, image_size: tuple[int, int]) -> ImageGeometry:
        return self.preprocess.geometry(image_size)

    def target_layers(self) -> dict[str, nn.Module]:
        layers = [*self.level_layers(), *shared.last_backbone_stage(self.model)]
        return {self.layer_name(layer): layer for layer in layers}

    def level_layers(self) -> list[nn.Module]:
        return shared.input_layers(self.model)

    @property
    def _head(self) -> Any:
        network: Any = self.model
        return network.model[-1]

    def _detections(self, raw: YoloOutput, image: int, chosen: ChosenRows) -> Detections:
        canvas, image_size = raw.geometry.canvas_size, raw.geometry.image_size
        on_image = shared.vendor().ops.scale_boxes(canvas, chosen.boxes.clone(), image_size)
        return replace(chosen, boxes=on_image).detections(
            candidates=chosen.rows,
            regions=raw.geometry.boxes_to_image(self._boxes(raw, image, chosen.rows)),
            levels=levels_of(chosen.rows, raw.level_sizes),
            image_size=image_size,
        )

    @staticmethod
    def _with_mask(raw: YoloOutput, image: int, kept: Tensor) -> Tensor:
        """The rows of the vendor's report whose segmentation mask is not empty."""
        if raw.prototypes is None or not len(kept):
            return kept
        masks = shared.vendor().ops.process_mask(
            raw.prototypes[image], kept[:, 6:], kept[:, :4], raw.geometry.canvas_size, upsample=True
        )
        return kept[masks.amax((-2, -1)) > 0]

    @staticmethod
    def _class_scores(raw: YoloOutput, image: int) -> Tensor:
        """``(R, C)``."""
        return raw.decoded[image, 4 : 4 + raw.logits.shape[1]].T

    def _boxes(self, raw: YoloOutput, image: int, rows: Tensor) -> Tensor:
        """``(K, 4)`` xyxy on the canvas."""
        boxes = raw.decoded[image, :4, rows].T
        corners = self._head.end2end or self._head.xyxy
        return boxes if corners else shared.vendor().ops.xywh2xyxy(boxes)


def ultralytics_detector(model: Any, **options: Any) -> Detector:
    """The adapter for a model of Ultralytics: :class:`YoloDetector`, or that of RT-DETR.

    Args:
        model: a ``YOLO`` or ``RTDETR`` object, or its ``model``.
        **options: of the adapter.

    Raises:
        TypeError: if the model gives no upright boxes.
    """
    network, _ = shared.network_of(model)
    if isinstance(network.model[-1], shared.vendor().head.RTDETRDecoder):
        from captum_ssgc.detectors.ultralytics_rtdetr import UltralyticsRTDETR

        return UltralyticsRTDETR(model, **options)
    return YoloDetector(model, **options)
