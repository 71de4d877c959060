"""transformers' zero-shot detectors, which look for what a text says (``[transformers]``)."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from captum_ssgc.detectors._lookup import RowCandidates
from captum_ssgc.detectors._query_selection import ClippedQueries, Queries
from captum_ssgc.detectors._rows import reported_rows
from captum_ssgc.detectors._text_candidates import PhraseQueries
from captum_ssgc.label_names import LabelNames

try:
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES,
    )

    from captum_ssgc.detectors._text_prompts import (
        check_tokens,
        encoded,
        phrase_of_tokens,
        phrases_of,
        processor_with_text,
    )
    from captum_ssgc.detectors._transformers_base import (
        QueryOutput,
        TransformersBase,
        image_sizes,
    )
except ImportError as error:
    raise ImportError(
        "detectors of transformers need transformers: pip install 'captum-ssgc[transformers]'"
    ) from error

#: The classes that look for a text.
ZERO_SHOT = frozenset(MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES.values())


def is_zero_shot(model_type: str) -> bool:
    """Whether the models of a family look for a text."""
    return model_type in MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES


class TextPromptDetector(TransformersBase):
    """Adapter for the models that ``transformers.AutoModelForZeroShotObjectDetection`` loads.

    A label is a phrase of ``text``, and ``class_scores`` has one column for each. What a candidate
    is, and how well a phrase fits it, depends on the model:

    * Grounding DINO, MM Grounding DINO: a query, made from a token of the image, which is pinned.
      The model scores the tokens of the text; a phrase has the best of its tokens, where its full
      stop counts as one of them, and the first and the last token of the text belong to the first
      and the last phrase. The best phrase of a query thus has the score that the processor
      reports, and the label is that phrase.
    * OWL-ViT, OWLv2: a patch of the image, with one label.
    * OMDet-Turbo: a query, made from a token, which is pinned; non-maximum suppression follows.

    Args:
        model: a zero-shot detection model in evaluation mode.
        processor: with its tokenizer, as ``transformers.AutoProcessor`` loads it; ``None``: the one
            saved with the model.
        text: phrases such as ``["a cat", "a remote"]``; a single string may hold several, with
            full stops between them.
        query_image: instead of text, a picture of what OWL-ViT or OWLv2 should look for: a path,
            Pillow image, array or tensor (see :func:`captum_ssgc.explain`). The score is the
            sigmoid of the logit, where the processor reports its share of the best one's.
        score_threshold: detections at or below it are not reported; ``None``: as the processor
            has it.
        label_names: names to show instead of the phrases.

    Raises:
        TypeError: if the model is of another kind, the processor has no tokenizer, or neither text
            nor query image is given.
        ValueError: if the text has no phrases, or the model cannot take it whole.

    Example:
        >>> import captum_ssgc as ssgc
        >>> from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor
        >>> name = "IDEA-Research/grounding-dino-tiny"
        >>> model = AutoModelForZeroShotObjectDetection.from_pretrained(name)  # doctest: +SKIP
        >>> processor = AutoProcessor.from_pretrained(name)  # doctest: +SKIP
        >>> detector = ssgc.wrap_detector(
        ...     model.eval(), processor, text=["a cat", "a remote"])  # doctest: +SKIP
        >>> detector.label_names  # doctest: +SKIP
        ('a cat', 'a remote')
    """

    def __init__(
        self,
        model: nn.Module,
        processor: Any = None,
        *,
        text: Any,
        score_threshold: float | None = None,
        label_names: LabelNames | None = None,
    ) -> None:
        self.phrases = phrases_of(text)
        self.text = ", ".join(self.phrases)
        self.text_processor = processor_with_text(model, processor)
        check_tokens(self.text_processor, model.config, self.phrases)
        super().__init__(
            model,
            self.text_processor,
            self._default_threshold() if score_threshold is None else score_threshold,
            self.phrases if label_names is None else label_names,
            len(self.phrases),
        )
        self._prompt = self._encoded()

    def further_inputs(self, count: int) -> Mapping[str, Tensor]:
        device = next(self.model.parameters()).device
        return {name: torch.cat([one.to(device)] * count) for name, one in self._prompt.items()}

    def row_candidates(self, raw: QueryOutput, image: int | None = None) -> RowCandidates:
        kind, options = self._candidates(raw)
        return kind(raw.geometry, raw.logits, raw.boxes, raw.tokens, image, **options)

    def _candidates(self, raw: QueryOutput) -> tuple[type[Queries], dict[str, Any]]:
        """The kind of candidates, and its options."""
        return Queries, {}

    def _encoded(self) -> dict[str, Tensor]:
        return encoded(self.text_processor, self.phrases)

    def _post_processing(self) -> Any:
        return self.text_processor.post_process_grounded_object_detection

    def _default_threshold(self) -> float:
        return float(signature(self._post_processing()).parameters["threshold"].default)


class GroundingDetector(TextPromptDetector):
    """Grounding DINO and MM Grounding DINO; see :class:`TextPromptDetector`."""

    def reported(self, raw: QueryOutput) -> list[dict[str, Tensor]]:
        reports = self._post_processing()(
            raw.vendor,
            input_ids=self.further_inputs(len(raw.logits))["input_ids"],
            threshold=self.score_threshold,
            target_sizes=image_sizes(raw),
        )
        found = []
        for image, report in zip(self.image_candidates(raw), reports, strict=True):
            # The vendor writes the tokens above a threshold as a label; ours is a phrase.
            scores = image.scores()
            one = {name: report[name].to(image.device) for name in ("boxes", "scores")}
            one["labels"] = torch.zeros_like(one["scores"], dtype=torch.int64)
            best = scores.amax(1, keepdim=True)
            rows = reported_rows(best, one, image.reported_boxes, self.vendor)
            found.append({**one, "labels": scores[rows].argmax(1)})
        return found

    def _candidates(self, raw: QueryOutput) -> tuple[type[Queries], dict[str, Any]]:
        return PhraseQueries, {"phrase_of": self._phrase_of}

    def _encoded(self) -> dict[str, Tensor]:
        if any("." in phrase for phrase in self.phrases):
            raise ValueError(
                "text: Grounding DINO tells phrases apart by full stops: leave full stops out of "
                f"the phrases, got {list(self.phrases)}."
            )
        prompt = super()._encoded()
        config: Any = self.model.config
        tokens = prompt["input_ids"][0]
        if len(tokens) > config.max_text_len:
            raise ValueError(
                f"text: expected at most {config.max_text_len} tokens, got {len(tokens)}: ask for "
                "fewer phrases at a time."
            )
        full_stop = self.text_processor.tokenizer.convert_tokens_to_ids(".")
        self._phrase_of = phrase_of_tokens(tokens, full_stop, len(self.phrases))
        return prompt


class OMDetDetector(TextPromptDetector):
    """OMDet-Turbo; see :class:`TextPromptDetector`."""

    outputs = ("decoder_class_logits", "decoder_coord_logits")

    def reported(self, raw: QueryOutput) -> list[dict[str, Tensor]]:
        reported: list[dict[str, Tensor]] = self._post_processing()(
            raw.vendor, threshold=self.score_threshold, target_sizes=image_sizes(raw)
        )
        return reported

    def _candidates(self, raw: QueryOutput) -> tuple[type[Queries], dict[str, Any]]:
        return ClippedQueries, {}
