"""torchvision's two-stage family: Faster, Mask and Keypoint R-CNN, any backbone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.transform import resize_boxes
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.boxes import clip_boxes_to_image

from captum_ssgc._hooks import StopForward, forward_hooks, left_alone
from captum_ssgc._layer_names import modules_in_order
from captum_ssgc._probability import softmax_score
from captum_ssgc.detections import Detections
from captum_ssgc.detector import OUTPUTS, LocalGradients, Output
from captum_ssgc.detectors._final_output import final_reports
from captum_ssgc.detectors._lookup import LookupDetector, RowCandidates, values_of
from captum_ssgc.detectors._pooling_gradients import (
    is_known_pooling,
    pooling_gradients,
    treats_rows_alone,
)
from captum_ssgc.detectors._precision import at_least_single, own_images
from captum_ssgc.detectors._torchvision import (
    CanvasGeometries,
    around_layers,
    canvas_geometry,
    coco_names,
    last_stage,
    pyramid_layers,
)
from captum_ssgc.geometry import ImageGeometry
from captum_ssgc.label_names import LabelNames


@dataclass(frozen=True)
class TwoStageOutput:
    """One forward: features with graph; with a full run, also what the RoI head made of them.

    A run for detections has the places of theirs among the proposals instead.
    """

    features: dict[str, Tensor]
    geometry: ImageGeometry
    image_sizes: list[tuple[int, int]]
    proposals: list[Tensor]
    class_logits: Tensor | None = None
    box_regression: Tensor | None = None
    reported: Any = None
    places: list[Tensor] | None = None


class TwoStageDetector(LookupDetector):
    """Adapter for :class:`torchvision.models.detection.generalized_rcnn.GeneralizedRCNN`.

    A candidate is a region proposal; its score is the softmax of the RoI head at that proposal.
    Scoring keeps the proposals of the reference image, so the region proposal network does not
    run for it; where regions of the head may see one another (modules of other makes, hooks of
    yours), it does, and they are put in their places among the others. ``class_scores`` include the
    background in column 0, as torchvision's labels do.

    Args:
        model: a Faster, Mask or Keypoint R-CNN in evaluation mode.
        label_names: class names, with or without the background's at index 0: a list, a dictionary
            or a file; ``None``: COCO's, where there are 91.
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

    vendor = "torchvision"
    window_share = 0.75

    def __init__(
        self,
        model: nn.Module,
        label_names: LabelNames | None = None,
        *,
        level_layers: Sequence[nn.Module | str] = (),
    ) -> None:
        if not isinstance(model, GeneralizedRCNN):
            raise TypeError(f"model: expected a GeneralizedRCNN, got {type(model).__name__}.")
        self._heads: Any = model.roi_heads
        class_layer = getattr(self._heads.box_predictor, "cls_score", None)
        classes: int | None = getattr(class_layer, "out_features", None)
        super().__init__(
            model, label_names, classes=classes, background=True, own_names=coco_names(classes)
        )
        self._given_levels = modules_in_order(self.model, "level_layers", level_layers)
        self._geometries = CanvasGeometries()

    def run(self, images: Tensor, detections: Sequence[Detections] | None = None) -> TwoStageOutput:
        self.check_ready()
        read: dict[str, Any] = {}
        model: Any = self.model
        images = own_images(images, model)
        heads = model.roi_heads
        alone = self._regions_alone()
        pools_otherwise = self._pools_otherwise()
        ends_early = detections is not None and alone and left_alone([model.rpn, heads])
        ends_early = ends_early and not pools_otherwise

        def before_rpn(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            read["images"], read["features"] = args[0], args[1]
            if ends_early:
                raise StopForward
            return (args[0], _detached(args[1]), *args[2:])

        def before_heads(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            read["features"], read["proposals"] = args[0], args[1]  # what others made of them
            if pools_otherwise:
                return args
            return end(args)

        def before_pooling(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            if len(args) < 2:
                return args
            read["features"], read["proposals"] = args[0], args[1]
            return end(args)

        def end(args: tuple[Any, ...]) -> tuple[Any, ...]:
            if detections is not None:
                raise StopForward
            return (_detached(args[0]), *args[1:])

        def after_predictor(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            read["class_logits"], read["box_regression"] = output

        after = {heads.box_predictor: after_predictor}
        before = {model.rpn: before_rpn, heads: before_heads}
        if pools_otherwise:
            before[heads.box_roi_pool] = before_pooling
        with forward_hooks(after, before), suppress(StopForward):
            read["reported"] = model(list(images.unbind(0)))
        canvas: ImageList = read.pop("images")
        geometry = canvas_geometry((images.shape[-2], images.shape[-1]), canvas)
        self._geometries.note(geometry)
        others = read.pop("proposals", None)
        raw = TwoStageOutput(
            geometry=geometry, image_sizes=canvas.image_sizes, proposals=others or [], **read
        )
        if detections is None:
            return raw
        return self._for_detections(raw, None if alone else others, detections)

    def run_from(
        self, raw: TwoStageOutput, images: Tensor, detections: Sequence[Detections]
    ) -> TwoStageOutput:
        others = None if self._regions_alone() else raw.proposals
        return self._for_detections(raw, others, detections)

    def reported(self, raw: TwoStageOutput) -> list[dict[str, Tensor]]:
        if raw.reported is None:
            raise ValueError("select needs a run without detections.")
        return final_reports(raw.reported, len(raw.proposals))

    def row_candidates(self, raw: TwoStageOutput, image: int | None = None) -> RowCandidates:
        if raw.class_logits is None or raw.box_regression is None:
            raise ValueError("candidates need a run without detections.")
        logits, regression = raw.class_logits, raw.box_regression
        if image is None:
            return self._of_head(raw, raw.proposals, logits, regression)
        counts = [len(some) for some in raw.proposals]
        own = (raw.proposals[image], logits.split(counts)[image], regression.split(counts)[image])
        return self._of_head(raw, [own[0]], *own[1:])

    def scored_candidates(
        self, raw: TwoStageOutput, detections: Sequence[Detections]
    ) -> RowCandidates:
        proposals, places = self._scored(raw, detections)
        outputs = [
            self._heads.box_predictor(self._heads.box_head(pooled))
            for pooled in self._pooled(raw, proposals)
        ]
        logits, regression = map(torch.cat, zip(*outputs, strict=True))
        return self._of_head(raw, proposals, logits, regression, places)

    def local_outputs(self) -> tuple[str, ...]:
        known = is_known_pooling(self._heads.box_roi_pool) and self._regions_alone()
        return OUTPUTS if known and left_alone(self._around_pooling()) else ()

    def _around_pooling(self) -> Iterator[nn.Module]:
        """The layers of the levels, and what stands around or between them and the region head."""
        model: Any = self.model
        yield from around_layers(model, self.level_layers())
        yield from (model.rpn, self._heads, self._heads.box_roi_pool)

    def head_features(self, raw: TwoStageOutput) -> Mapping[int, Tensor]:
        names = getattr(self._heads.box_roi_pool, "featmap_names", raw.features)
        return dict(enumerate(one for name, one in raw.features.items() if name in names))

    def local_gradients(
        self,
        raw: TwoStageOutput,
        features: Mapping[int, Tensor],
        detections: Detections,
        output: Output,
    ) -> LocalGradients | None:
        """One backward of the sum to the pooled features, as regions do not see one another."""
        heads = self._heads
        if output not in self.local_outputs():
            return None
        [proposals], places = self._scored(raw, [detections])
        detached = _detached(raw.features)
        with torch.no_grad():
            pooled = heads.box_roi_pool(detached, [proposals], raw.image_sizes)
        pooled.requires_grad_()
        logits, regression = heads.box_predictor(heads.box_head(pooled))
        candidates = self._of_head(raw, [proposals], logits, regression, places)
        [values] = values_of(candidates, [detections], output)
        (slopes,) = torch.autograd.grad(values.sum(), pooled)
        regions = (proposals, detections.levels.tolist())
        gradients = pooling_gradients(heads.box_roi_pool, features, *regions, pooled, slopes)
        return None if gradients is None else LocalGradients(values.detach(), gradients)

    def geometry(self, image_size: tuple[int, int]) -> ImageGeometry:
        return self._geometries(self.model.transform, image_size, self.channels)

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
        layers = pyramid_layers(backbone)
        return [layer for name, layer in layers.items() if name in names]

    def covers_image(self, layer: nn.Module) -> bool:
        return layer not in set(self._heads.modules())

    def _pools_otherwise(self) -> bool:
        """Whether the region head may change features or regions before it pools them."""
        heads = self._heads
        own = type(heads).forward is RoIHeads.forward and "forward" not in vars(heads)
        pool = heads.box_roi_pool
        return not own and is_known_pooling(pool) and left_alone([pool])

    def _regions_alone(self) -> bool:
        """Whether no region of the head sees another one."""
        heads = self._heads
        return treats_rows_alone(heads.box_head) and treats_rows_alone(heads.box_predictor)

    def _pooled(self, raw: TwoStageOutput, proposals: list[Tensor]) -> Iterator[Tensor]:
        """What the head sees at once: regions of several images only where none sees another."""
        pool = self._heads.box_roi_pool
        if self._regions_alone():
            yield pool(raw.features, proposals, raw.image_sizes)
            return
        for image, own in enumerate(proposals):
            features = {name: one[image : image + 1] for name, one in raw.features.items()}
            yield pool(features, [own], raw.image_sizes[image : image + 1])

    def _scored(
        self, raw: TwoStageOutput, detections: Sequence[Detections]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """What the head has to see of each image, and where in it the detections are."""
        if raw.places is not None:
            return raw.proposals, raw.places
        pairs = zip(raw.proposals, detections, strict=True)
        rows = [chosen.candidates.to(proposals.device) for proposals, chosen in pairs]
        if not self._regions_alone():
            return raw.proposals, rows
        proposals = [of_image[own] for of_image, own in zip(raw.proposals, rows, strict=True)]
        return proposals, [torch.arange(len(own), device=own.device) for own in rows]

    @staticmethod
    def _for_detections(
        raw: TwoStageOutput, others: list[Tensor] | None, detections: Sequence[Detections]
    ) -> TwoStageOutput:
        """A run with the regions of detections, alone or in their places among others."""
        device = next(iter(raw.features.values())).device
        counts = [len(chosen) for chosen in detections]
        regions = torch.cat([chosen.regions.to(device) for chosen in detections])
        proposals = list(raw.geometry.boxes_to_canvas(regions).split(counts))
        places = [torch.arange(count, device=device) for count in counts]
        if others is not None:
            rows = [chosen.candidates.to(device) for chosen in detections]
            pairs = [_put_in(*each) for each in zip(others, proposals, rows, strict=True)]
            proposals, places = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        return TwoStageOutput(raw.features, raw.geometry, raw.image_sizes, proposals, places=places)

    def _of_head(
        self,
        raw: TwoStageOutput,
        proposals: list[Tensor],
        logits: Tensor,
        regression: Tensor,
        wanted: list[Tensor] | None = None,
    ) -> RowCandidates:
        content = raw.image_sizes[0]
        return _Proposals(self._heads, raw.geometry, proposals, logits, regression, content, wanted)


class _Proposals(RowCandidates):
    """The region proposals of images, with what the head made of them.

    Args:
        heads: the model's ``roi_heads``.
        geometry: of the images.
        proposals: ``(R_n, 4)`` of each image, on the canvas.
        class_logits: ``(R, C)`` of all of them.
        box_regression: ``(R, 4 C)``.
        content_size: ``(H, W)`` of an image on the canvas, without padding.
        wanted: of each image the places of the candidates that will be asked for, in their order;
            ``None``: any.
    """

    first_label = 1

    def __init__(
        self,
        heads: Any,
        geometry: ImageGeometry,
        proposals: list[Tensor],
        class_logits: Tensor,
        box_regression: Tensor,
        content_size: tuple[int, int],
        wanted: list[Tensor] | None,
    ) -> None:
        super().__init__(geometry, class_logits.device, [len(some) for some in proposals])
        self._proposals = proposals[0] if len(proposals) == 1 else torch.cat(proposals)
        self._heads, self._content_size = heads, content_size
        self._logits, self._regression, self._wanted = class_logits, box_regression, wanted

    def places_of(self, candidates: Tensor) -> Tensor:
        return super().places_of(candidates) if self._wanted is None else torch.cat(self._wanted)

    def scores(self) -> Tensor:
        return self._logits.softmax(-1)

    def logits(self, rows: Tensor, labels: Tensor) -> Tensor:
        return at_least_single(self._logits[rows, labels])

    def score(self, rows: Tensor, labels: Tensor) -> Tensor:
        return softmax_score(at_least_single(self._logits[rows]), labels)

    def boxes(self, rows: Tensor, labels: Tensor) -> Tensor:
        return self.geometry.boxes_to_image(self._on_canvas(rows, labels))

    def reported_boxes(self, rows: Tensor, labels: Tensor) -> Tensor:
        clipped = clip_boxes_to_image(self._on_canvas(rows, labels), self._content_size)
        return resize_boxes(clipped, list(self._content_size), list(self.geometry.image_size))

    def regions(self, rows: Tensor, labels: Tensor) -> Tensor:
        return self.geometry.boxes_to_image(self._proposals[rows])

    def levels(self, rows: Tensor) -> Tensor:
        pool = self._heads.box_roi_pool
        if not len(rows) or not isinstance(pool, MultiScaleRoIAlign) or len(pool.featmap_names) < 2:
            return torch.zeros_like(rows)
        levels: Tensor = pool.map_levels([self._proposals[rows]])
        return levels

    def _on_canvas(self, rows: Tensor, labels: Tensor) -> Tensor:
        if not len(rows):
            return self._proposals[rows]
        codes = self._regression[rows].unflatten(1, (-1, 4))
        codes = codes[torch.arange(len(rows), device=rows.device), labels]
        boxes: Tensor = self._heads.box_coder.decode_single(codes, self._proposals[rows])
        return boxes


def _detached(features: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: feature.detach() for name, feature in features.items()}


def _put_in(proposals: Tensor, regions: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Proposals ``(R, 4)`` with these regions ``(K, 4)`` in these rows, and where they are.

    Behind the others are those whose row a changed image does not have.
    """
    missing = rows >= len(proposals)
    places = torch.where(missing, len(proposals) + missing.cumsum(0) - 1, rows)
    result = torch.cat([proposals, regions[missing]])
    result[places] = regions
    return result, places
