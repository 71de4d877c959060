"""Ultralytics' YOLO family: boxes, oriented ones, masks and poses (extra ``[ultralytics]``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captum_ssgc._hooks import forward_hooks
from captum_ssgc._polygons import enclosing_boxes
from captum_ssgc._vendor_versions import yolo_decoded, yolo_predictions
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector
from captum_ssgc.detectors import _ultralytics as shared
from captum_ssgc.detectors._grid_heads import GridHeadDetector
from captum_ssgc.detectors._local_heads import Step, chain_of
from captum_ssgc.detectors._lookup import RowCandidates, with_cells
from captum_ssgc.detectors._precision import at_least_single, cast_like
from captum_ssgc.detectors._rows import levels_of
from captum_ssgc.geometry import ImageGeometry
from captum_ssgc.label_names import LabelNames

NO_TIME_LIMIT = 1e9  # seconds; the vendor gives up suppressing after a while and returns less


@dataclass(frozen=True)
class YoloOutput:
    """One forward: every grid point with graph, and the vendor's own output.

    Args:
        decoded: ``(N, 4 + C + ..., R)``, boxes first, then class scores, last the angles of
            oriented boxes, as the vendor decodes it.
        logits: ``(N, C, R)``.
        cells: ``(R, 4)`` xyxy on the canvas: the cell of each point.
        level_sizes: how many of the ``R`` points belong to each level.
        features: what the head took, ``(N, C, h, w)`` of each level.
        geometry: of the images.
        vendor: what the vendor suppresses or thresholds.
        prototypes: of segmentation masks, ``(N, ...)``; ``None`` for other heads.
    """

    decoded: Tensor
    logits: Tensor
    cells: Tensor
    level_sizes: list[int]
    features: list[Tensor]
    geometry: ImageGeometry
    vendor: Tensor
    prototypes: Tensor | None = None


class YoloDetector(GridHeadDetector):
    """Adapter for the YOLO models of Ultralytics, v3 to v12 and 26.

    A candidate is a grid point of a level; its score is the class sigmoid. Detections are what
    ``YOLO.predict`` reports: the vendor's own suppression of the vendor's own output.

    A segmentation model leaves out detections with an empty mask; ``Detections.masks`` are those of
    ``predict(retina_masks=True)``, which have the size of the image. A model of oriented boxes
    gives ``Detections.corners``; ``boxes``, ``regions`` and the outputs ``"left"`` to ``"bottom"``
    are those of the upright boxes that enclose them.

    Args:
        model: a ``YOLO`` object or its ``model``, in evaluation mode.
        image_size: ``(H, W)`` or the longer side of the canvas, in pixels; ``None``: as the model
            was trained.
        score_threshold: detections at or below it are not reported.
        iou_threshold: of the non-maximum suppression.
        max_detections: the most detections reported for an image.
        agnostic: suppress across classes; without effect on a one-to-one head.
        label_names: class names, indexed by label: a list, a dictionary or a file; ``None``: the
            model's own.

    Raises:
        TypeError: if the model gives no boxes.

    Notes:
        * ``predict`` rounds to bytes after resizing and fuses normalisation into convolutions in a
          copy of the model; here nothing is rounded and the model is used as it is.
        * A model with a one-to-many and a one-to-one head (v10, 26) is used as it is set:
          ``predict`` takes the one-to-many head unless told otherwise, and so does a fresh model.
          For the one-to-one head, which needs no suppression, set ``model.end2end = True``
          (the first versions of Ultralytics 8.4, and 8.3 for v10, always use the one-to-one head
          and cut the gradient before it).
        * ``regions`` are the predicted boxes, as grid points have no anchors, extended to the cell
          of the grid point where that lies beside the box.

    Example:
        >>> import captum_ssgc as ssgc
        >>> from ultralytics import YOLO  # doctest: +SKIP
        >>> detector = ssgc.wrap_detector(YOLO("yolo11n.pt"))  # doctest: +SKIP
    """

    vendor = "Ultralytics"

    def __init__(
        self,
        model: Any,
        *,
        image_size: int | Sequence[int] | None = None,
        score_threshold: float = 0.25,
        iou_threshold: float = 0.7,
        max_detections: int = 300,
        agnostic: bool = False,
        label_names: LabelNames | None = None,
    ) -> None:
        network, overrides = shared.network_of(model)
        head: Any = network.model[-1]
        if not isinstance(head, shared.vendor().head.Detect):
            raise TypeError(
                "model: expected a YOLO model for detection, oriented boxes, segmentation or pose, "
                f"got one with the head {type(head).__name__}, which gives no boxes."
            )
        super().__init__(
            network,
            label_names,
            classes=network.model[-1].nc,
            own_names=getattr(network, "names", None),
        )
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
        features: list[Tensor] = []

        def before_head(module: nn.Module, args: tuple[Any, ...]) -> None:
            features.extend(args[0])

        with forward_hooks(before={head: before_head}):
            output = self.model(cast_like(canvas, self.model))
        reported, predictions, logits, levels, prototypes = yolo_predictions(head, output)
        points = at_least_single(head.anchors.T)
        return YoloOutput(
            decoded=yolo_decoded(head, predictions),
            logits=logits,
            cells=torch.cat([points - 0.5, points + 0.5], 1) * head.strides.T,
            level_sizes=[level.shape[-2] * level.shape[-1] for level in levels],
            features=features,
            geometry=geometry,
            vendor=reported,
            prototypes=prototypes,
        )

    def reported(self, raw: YoloOutput) -> list[dict[str, Tensor]]:
        suppressed = shared.vendor().nms.non_max_suppression(
            raw.vendor.detach(),
            self.score_threshold,
            self.iou_threshold,
            agnostic=self.agnostic,
            max_det=self.max_detections,
            nc=raw.logits.shape[1],
            max_time_img=NO_TIME_LIMIT,
            rotated=self._oriented,
            end2end=self._head.end2end,
        )
        if self._oriented:
            return [_oriented_report(kept, raw.geometry) for kept in suppressed]
        found = []
        for image, kept in enumerate(suppressed):
            report = {}
            if raw.prototypes is not None:
                kept, report["masks"] = _with_masks(raw, image, kept)
            report["boxes"] = _clipped_to_image(kept[:, :4], raw.geometry)
            found.append({**report, "scores": kept[:, 4], "labels": kept[:, 5].long()})
        return found

    def row_candidates(self, raw: YoloOutput, image: int | None = None) -> RowCandidates:
        if self._oriented:
            return _OrientedPoints(raw, image, False)
        return _GridPoints(raw, image, bool(self._head.end2end or self._head.xyxy))

    def level_sizes(self, raw: YoloOutput) -> list[int]:
        return raw.level_sizes

    def head_features(self, raw: YoloOutput) -> Mapping[int, Tensor]:
        return dict(enumerate(raw.features))

    def class_chain(self, level: int) -> list[Step] | None:
        own = type(self._head).__module__ == shared.vendor().head.__name__
        branches = getattr(self._head, "cv3", None) if own and not self._head.end2end else None
        return None if branches is None else chain_of(branches[level])

    def on_the_way(self) -> Iterator[nn.Module]:
        yield from (self.model, *self.level_layers())
        yield from self._head.modules()

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

    @property
    def _oriented(self) -> bool:
        return isinstance(self._head, shared.vendor().head.OBB)


class _GridPoints(RowCandidates):
    """The grid points of one image, or of all.

    Args:
        raw: one forward.
        image: which of its images; ``None`` for all.
        corners: decoded boxes are xyxy, not centre and size.
    """

    def __init__(self, raw: YoloOutput, image: int | None, corners: bool) -> None:
        every = range(len(raw.decoded))
        self._images = every if image is None else [image]
        super().__init__(
            raw.geometry, raw.logits.device, [raw.logits.shape[-1]] * len(self._images)
        )
        self._raw, self._corners = raw, corners
        self._decoded = self._side_by_side(raw.decoded)

    def scores(self) -> Tensor:
        return self._decoded[4 : 4 + self._raw.logits.shape[1]].T

    def logits(self, rows: Tensor, labels: Tensor) -> Tensor:
        return at_least_single(self._side_by_side(self._raw.logits)[labels, rows])

    def boxes(self, rows: Tensor, labels: Tensor) -> Tensor:
        return self.geometry.boxes_to_image(at_least_single(self._on_canvas(rows)))

    def reported_boxes(self, rows: Tensor, labels: Tensor) -> Tensor:
        return _clipped_to_image(self._on_canvas(rows), self.geometry)

    def regions(self, rows: Tensor, labels: Tensor) -> Tensor:
        """The predicted boxes, and the cell that predicts each, which may lie beside it."""
        on_canvas = at_least_single(self._on_canvas(rows))
        cells = self._raw.cells[self.places(rows)]
        return self.geometry.boxes_to_image(with_cells(on_canvas, cells))

    def levels(self, rows: Tensor) -> Tensor:
        return levels_of(self.places(rows), self._raw.level_sizes)

    def _side_by_side(self, values: Tensor) -> Tensor:
        """``(N, D, R)`` of every image to ``(D, M)`` of the wanted ones."""
        chosen = [values[image] for image in self._images]
        return chosen[0] if len(chosen) == 1 else torch.cat(chosen, 1)

    def _on_canvas(self, rows: Tensor) -> Tensor:
        """``(K, 4)`` xyxy on the canvas."""
        boxes = self._decoded[:4, rows].T
        if self._corners:
            return boxes
        corners: Tensor = shared.vendor().ops.xywh2xyxy(boxes)
        return corners


class _OrientedPoints(_GridPoints):
    """The grid points of images of a model of oriented boxes.

    The vendor scales the sides of a box after it has turned it, so that only its own operations
    know where the corners are in the image, where the axes have different scales.
    """

    def boxes(self, rows: Tensor, labels: Tensor) -> Tensor:
        return enclosing_boxes(self.corners(rows, labels))

    def reported_boxes(self, rows: Tensor, labels: Tensor) -> Tensor:
        return self.boxes(rows, labels)

    def corners(self, rows: Tensor, labels: Tensor) -> Tensor:
        boxes, angles = self._turned(rows)
        scores = self._decoded[4 + labels, rows][:, None]
        kept = torch.cat([boxes, scores, labels[:, None].to(boxes.dtype), angles], 1)
        corners: Tensor = shared.oriented_boxes(kept, self.geometry).xyxyxyxy
        return corners

    def _on_canvas(self, rows: Tensor) -> Tensor:
        turned = torch.cat(self._turned(rows), 1)
        return enclosing_boxes(shared.vendor().ops.xywhr2xyxyxyxy(turned))

    def _turned(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return self._decoded[:4, rows].T, self._decoded[-1:, rows].T


def _oriented_report(kept: Tensor, geometry: ImageGeometry) -> dict[str, Tensor]:
    """Rows ``(K, 7)`` of centre, size, score, label and angle on the canvas, as reported."""
    boxes = shared.oriented_boxes(kept.detach(), geometry)
    return {
        "boxes": boxes.xyxy,
        "corners": boxes.xyxyxyxy,
        "scores": boxes.conf,
        "labels": boxes.cls.long(),
    }


def _with_masks(raw: YoloOutput, image: int, kept: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of the vendor's report whose mask is not empty, and masks ``(K, H, W)`` of these."""
    prototypes: Any = raw.prototypes
    ops, size = shared.vendor().ops, raw.geometry.image_size
    if not len(kept):
        return kept, torch.zeros(0, *size, dtype=torch.bool, device=kept.device)
    prototypes = prototypes[image].detach()
    on_canvas = ops.process_mask(
        prototypes, kept[:, 6:], kept[:, :4], raw.geometry.canvas_size, upsample=True
    )
    kept = kept[on_canvas.amax((-2, -1)) > 0]
    boxes = _clipped_to_image(kept[:, :4], raw.geometry)
    return kept, ops.process_mask_native(prototypes, kept[:, 6:], boxes, size).bool()


def _clipped_to_image(boxes: Tensor, geometry: ImageGeometry) -> Tensor:
    """Boxes ``(K, 4)`` on the canvas to image pixels, by the vendor's own operations."""
    scaled: Tensor = shared.vendor().ops.scale_boxes(
        geometry.canvas_size, boxes.clone(), geometry.image_size
    )
    return scaled


def ultralytics_detector(model: Any, **options: Any) -> Detector:
    """The adapter for a model of Ultralytics: :class:`YoloDetector`, or that of RT-DETR.

    Args:
        model: a ``YOLO`` or ``RTDETR`` object, or its ``model``.
        **options: of the adapter.

    Raises:
        TypeError: if the model gives no boxes.
    """
    network, _ = shared.network_of(model)
    if isinstance(network.model[-1], shared.vendor().head.RTDETRDecoder):
        from captum_ssgc.detectors.ultralytics_rtdetr import UltralyticsRTDETR

        return UltralyticsRTDETR(model, **options)
    return YoloDetector(model, **options)
