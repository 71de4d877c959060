"""transformers' detection models: DETR and its descendants, YOLOS (extra ``[transformers]``)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from torch import nn

from captum_ssgc._hooks import left_alone
from captum_ssgc._outputs import Output
from captum_ssgc.detectors._lookup import RowCandidates
from captum_ssgc.detectors._query_selection import Queries, SoftmaxQueries
from captum_ssgc.label_names import LabelNames

try:
    from transformers.models.auto.modeling_auto import MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES

    from captum_ssgc.detectors._transformers_base import QueryOutput, TransformersBase
    from captum_ssgc.detectors._transformers_processor import processor_for
except ImportError as error:
    raise ImportError(
        "detectors of transformers need transformers: pip install 'captum-ssgc[transformers]'"
    ) from error

_CHOICE = ("enc_output", "enc_score_head", "enc_bbox_head")
SEGMENTERS = ("DetrForSegmentation", "ConditionalDetrForSegmentation")


class TransformersDetector(TransformersBase):
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
        super().__init__(
            model,
            processor_for(model) if processor is None else processor,
            score_threshold,
            label_names,
            config.num_labels,
            config.id2label,
        )
        if not hasattr(self.processor, "post_process_object_detection"):
            raise TypeError(
                "processor: expected one with post_process_object_detection, got "
                f"{type(self.processor).__name__}."
            )

    def modules_apart(self, outputs: Collection[Output]) -> Sequence[nn.Module]:
        """Where RT-DETR and its kin choose their queries: the vendor cuts every gradient behind."""
        network: Any = getattr(self.model, "model", None)
        named = [getattr(network, name, None) for name in _CHOICE]
        parts = [part for part in named if isinstance(part, nn.Module)]
        if len(parts) < len(named) or not type(network).__module__.startswith("transformers."):
            return []
        known = [self.model, network, *(one for part in parts for one in part.modules())]
        return [network.enc_output] if left_alone(known) else []  # what follows has no graph then

    def row_candidates(self, raw: QueryOutput, image: int | None = None) -> RowCandidates:
        config: Any = self.model.config
        softmax = raw.logits.shape[-1] == config.num_labels + 1
        kind = SoftmaxQueries if softmax else Queries
        return kind(raw.geometry, raw.logits, raw.boxes, raw.tokens, image)
