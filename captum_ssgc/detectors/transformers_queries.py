"""transformers' detection models: DETR and its descendants, YOLOS (extra ``[transformers]``)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from captum_ssgc.detections import Detections
from captum_ssgc.detectors._lookup import ImageCandidates, LookupDetector
from captum_ssgc.detectors._precision import cast_like
from captum_ssgc.detectors._query_selection import Queries, QuerySelection, SoftmaxQueries
from captum_ssgc.geometry import ImageGeometry
from captum_ssgc.label_names import LabelNames

try:
    from transformers.models.auto.modeling_auto import MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES

    from captum_ssgc.detectors._transformers_layers import TokenGrid, recommended_layers
    from captum_ssgc.detectors._transformers_processor import (
        ProcessorCanvas,
        processor_for,
    )
except ImportError as error:
    raise ImportError(
        "detectors of transformers need transformers: pip install 'captum-ssgc[transformers]'"
    ) from error

SEGMENTERS = ("DetrForSegmentation", "ConditionalDetrForSegmentation")


@dataclass(frozen=True)
class QueryOutput:
    """One forward: the vendor's own output, and the tokens that its queries were made from."""

    vendor: Any
    geometry: ImageGeometry
    tokens: Tensor | None = None


class TransformersDetector(LookupDetector):
    """Adapter for the models that ``transformers.AutoModelForObjectDetection`` loads.

    A candidate is a query. Its score is, as the model's image processor reports it, the softmax
    over the classes and "no object" (DETR, YOLOS, Table Transformer: one label per query), or the
    sigmoid (Conditional, DAB, Deformable, LW, RF and RT-DETR, D-FINE, DEIM: several labels per
    query are possible). ``regions`` are the predicted boxes, as queries have no anchors.

    Args:
        model: a detection model in evaluation mode.
        processor: its image processor; ``None``: the one saved with the model, else the default
            one of its family.
        score_threshold: detections at or below it are not reported.
        label_names: class names, indexed by label: a list, a dictionary or a file; ``None``: those
            of the model's configuration.

    Raises:
        TypeError: if the model or the processor is of another kind.
        ValueError: if there is no processor for the model.

    Notes:
        * The processor's own code resizes, normalises and pads, on floats: bytes are not rounded
          in between, so that its canvas and ours differ by less than one byte value.
        * RT-DETR, D-FINE and other two-stage models choose their queries among the tokens of the
          image. Scoring pins the token of every wanted detection to its query; a candidate is then
          ``token * queries + query``. The vendor cuts the gradient through the choice and through
          the content of the chosen queries; it flows through the decoder's attention.

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessor
        >>> config = YolosConfig(
        ...     hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        ...     image_size=[32, 48], num_detection_tokens=5)
        >>> processor = YolosImageProcessor(size={"shortest_edge": 32, "longest_edge": 48})
        >>> detector = ssgc.wrap_detector(
        ...     YolosForObjectDetection(config).eval(), processor=processor, score_threshold=0.0)
        >>> len(detector.detect(torch.rand(1, 3, 40, 60))[0])
        5
    """

    def __init__(
        self,
        model: nn.Module,
        processor: Any = None,
        *,
        score_threshold: float = 0.5,
        label_names: LabelNames | None = None,
    ) -> None:
        known = {*MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES.values(), *SEGMENTERS}
        if not known.intersection(base.__name__ for base in type(model).__mro__):
            raise TypeError(
                "model: expected one that transformers.AutoModelForObjectDetection loads, got "
                f"{type(model).__name__}; wrap another as your own detector "
                "(captum_ssgc.detectors.CandidateDetector)."
            )
        config: Any = model.config
        super().__init__(model, label_names, classes=config.num_labels, own_names=config.id2label)
        self.preprocess = ProcessorCanvas(processor_for(model) if processor is None else processor)
        if not hasattr(self.processor, "post_process_object_detection"):
            raise TypeError(
                "processor: expected one with post_process_object_detection, got "
                f"{type(self.processor).__name__}."
            )
        self.vendor = type(self.processor).__name__
        self.score_threshold = score_threshold
        self._takes_mask = "pixel_mask" in inspect.signature(model.forward).parameters

    @property
    def processor(self) -> Any:
        """The image processor in use."""
        return self.preprocess.processor

    def run(self, images: Tensor, detections: Sequence[Detections] | None = None) -> QueryOutput:
        pixels, mask, geometry = self.preprocess(images)
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
        if self._takes_mask and pixel_mask is not None:
            inputs["pixel_mask"] = pixel_mask
        queries = self._queries()
        selection = None if queries is None else QuerySelection(queries, detections)
        with nullcontext() if selection is None else selection:
            vendor = self.model(**inputs, return_dict=True)
        logits, boxes = (getattr(vendor, name, None) for name in ("logits", "pred_boxes"))
        if logits is None or boxes is None or boxes.shape[-1] != 4:
            raise TypeError(
                f"{type(self.model).__name__} gives no class logits and upright boxes per query; "
                "wrap it as your own detector (captum_ssgc.detectors.CandidateDetector)."
            )
        return QueryOutput(vendor, geometry, None if selection is None else selection.tokens)

    def run_from(
        self, raw: QueryOutput, images: Tensor, detections: Sequence[Detections]
    ) -> QueryOutput:
        return raw if raw.tokens is None else self.run(images, detections)

    def reported(self, raw: QueryOutput) -> list[dict[str, Tensor]]:
        sizes = [raw.geometry.image_size] * len(raw.vendor.logits)
        reported: list[dict[str, Tensor]] = self.processor.post_process_object_detection(
            raw.vendor, threshold=self.score_threshold, target_sizes=sizes
        )
        return reported

    def image_candidates(self, raw: QueryOutput) -> list[ImageCandidates]:
        logits, boxes = raw.vendor.logits, raw.vendor.pred_boxes
        config: Any = self.model.config
        kind = SoftmaxQueries if logits.shape[-1] == config.num_labels + 1 else Queries
        tokens = [None] * len(logits) if raw.tokens is None else raw.tokens
        return [kind(raw.geometry, *image) for image in zip(logits, boxes, tokens, strict=True)]

    def geometry(self, image_size: tuple[int, int]) -> ImageGeometry:
        return self.preprocess.geometry(image_size)

    def target_layers(self) -> dict[str, nn.Module]:
        return {self.layer_name(layer): layer for layer in recommended_layers(self.model)}

    def reshape_transform_for(
        self, layer: nn.Module, image_size: tuple[int, int]
    ) -> Callable[[Tensor], Tensor] | None:
        config: Any = self.model.config
        canvas = self.geometry(image_size).canvas_size
        name = self.layer_name(layer).removeprefix("detr.")
        if name.startswith("model.encoder."):
            levels = getattr(config, "num_feature_levels", 1)
            return TokenGrid(canvas, levels=(levels, 1))
        if name.startswith("vit.encoder."):
            patch = config.patch_size
            patch = (patch, patch) if isinstance(patch, int) else tuple(patch)
            return TokenGrid(canvas, patch=patch, before=1, after=config.num_detection_tokens)
        return super().reshape_transform_for(layer, image_size)

    def _queries(self) -> int | None:
        config: Any = self.model.config
        two_stage = getattr(config, "two_stage", False)
        name = "two_stage_num_proposals" if two_stage else "num_queries"
        return getattr(config, name, None)
