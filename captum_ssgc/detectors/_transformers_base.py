"""What the adapters of transformers share: one forward, its queries, layers and token grids."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from captum_ssgc._hooks import forward_hooks
from captum_ssgc.detections import Detections
from captum_ssgc.detectors._lookup import LookupDetector
from captum_ssgc.detectors._precision import cast_like
from captum_ssgc.detectors._query_selection import QuerySelection, SelectingDetector
from captum_ssgc.detectors._transformers_layers import recommended_layers, token_grid
from captum_ssgc.detectors._transformers_processor import ProcessorCanvas
from captum_ssgc.geometry import ImageGeometry
from captum_ssgc.label_names import LabelNames


@dataclass(frozen=True)
class QueryOutput:
    """One forward of a model with queries.

    Args:
        vendor: its own output.
        logits: ``(N, Q, C)``, with graph.
        boxes: ``(N, Q, 4)`` centre and size in shares, with graph.
        geometry: of the images.
        tokens: ``(N, Q)`` token of the image that each query was made from; ``None`` where
            queries are not chosen by the image.
    """

    vendor: Any
    logits: Tensor
    boxes: Tensor
    geometry: ImageGeometry
    tokens: Tensor | None = None


class TransformersBase(SelectingDetector, LookupDetector):
    """One forward of a model of transformers that gives logits and boxes for each query.

    Args:
        model: in evaluation mode.
        processor: its image processor, or a processor that holds one.
        score_threshold: detections at or below it are not reported.
        label_names: class names.
        classes: how many there are.
        own_names: those that the model has itself.
    """

    #: What the vendor's output calls logits and boxes.
    outputs = ("logits", "pred_boxes")

    def __init__(
        self,
        model: nn.Module,
        processor: Any,
        score_threshold: float,
        label_names: LabelNames | None,
        classes: int,
        own_names: LabelNames | None = None,
    ) -> None:
        super().__init__(model, label_names, classes=classes, own_names=own_names)
        self.preprocess = ProcessorCanvas(processor)
        self.vendor = type(self.processor).__name__
        self.score_threshold = score_threshold
        self._takes_mask = "pixel_mask" in inspect.signature(model.forward).parameters

    @property
    def processor(self) -> Any:
        """The image processor in use."""
        return self.preprocess.processor

    def further_inputs(self, count: int) -> Mapping[str, Tensor]:
        """What ``count`` images are given to the model with, such as a text."""
        return {}

    def run(self, images: Tensor, detections: Sequence[Detections] | None = None) -> QueryOutput:
        pixels, mask, geometry = self.preprocess(images)
        self.preprocess.geometries.note(geometry)
        return self.run_on_canvas(pixels, mask, geometry, detections)

    def run_on_canvas(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None,
        geometry: ImageGeometry,
        detections: Sequence[Detections] | None = None,
    ) -> QueryOutput:
        """:meth:`run` for what an image processor has already made of the images.

        Args:
            pixel_values: ``(N, 3, h, w)``.
            pixel_mask: ``(N, h, w)``, 1 where there is image; ``None`` where there is no padding.
            geometry: of the images.
            detections: as for :meth:`run`.
        """
        self.check_ready()
        inputs = {"pixel_values": cast_like(pixel_values, self.model)}
        inputs |= self.further_inputs(len(pixel_values))
        if self._takes_mask and pixel_mask is not None:
            inputs["pixel_mask"] = pixel_mask
        queries = self._queries()
        selection = None if queries is None else QuerySelection(queries, detections)
        with nullcontext() if selection is None else selection:
            vendor = self._forward(inputs)
        logits, boxes = (getattr(vendor, name, None) for name in self.outputs)
        if logits is None or boxes is None or boxes.shape[-1] != 4:
            raise TypeError(
                f"{type(self.model).__name__} gives no class logits and upright boxes per query; "
                "wrap it as your own detector (captum_ssgc.detectors.CandidateDetector)."
            )
        tokens = None if selection is None else selection.tokens
        return QueryOutput(vendor, logits, boxes, geometry, tokens)

    def _forward(self, inputs: Mapping[str, Tensor]) -> Any:
        """The vendor's forward."""
        places = {}
        if inputs["pixel_values"].dtype == torch.float16:
            places = {one: _finite for one in self.model.modules() if _embeds_places(one)}
        with forward_hooks(places):
            return self.model(**inputs, return_dict=True)

    def reported(self, raw: QueryOutput) -> list[dict[str, Tensor]]:
        reported: list[dict[str, Tensor]] = self.processor.post_process_object_detection(
            raw.vendor, threshold=self.score_threshold, target_sizes=image_sizes(raw)
        )
        return reported

    def geometry(self, image_size: tuple[int, int]) -> ImageGeometry:
        return self.preprocess.geometry(image_size, self.channels)

    def target_layers(self) -> dict[str, nn.Module]:
        return {self.layer_name(layer): layer for layer in recommended_layers(self.model)}

    def reshape_transform_for(
        self, layer: nn.Module, image_size: tuple[int, int]
    ) -> Callable[[Tensor], Tensor] | None:
        canvas = self.geometry(image_size).canvas_size
        grid = token_grid(self.model, self.layer_name(layer), canvas)
        return super().reshape_transform_for(layer, image_size) if grid is None else grid

    def _queries(self) -> int | None:
        config: Any = self.model.config
        proposals = getattr(config, "two_stage_num_proposals", None)
        if proposals is not None and getattr(config, "two_stage", False):
            return int(proposals)
        return getattr(config, "num_queries", None)


def _embeds_places(module: nn.Module) -> bool:
    return type(module).__name__.endswith("SinePositionEmbedding")


def _finite(module: nn.Module, args: Any, output: Any) -> Any:
    """Places of padding, which are not finite in float16; nothing reads them but gradients."""
    return tree_map_only(Tensor, torch.nan_to_num, output)


def image_sizes(raw: QueryOutput) -> list[tuple[int, int]]:
    """``(H, W)`` of every image, as the vendor's post-processing takes them."""
    return [raw.geometry.image_size] * len(raw.logits)
