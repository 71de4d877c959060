"""OWL-ViT and OWLv2, which look for a text or for what is on another picture."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from captum_ssgc.detectors._query_selection import Queries
from captum_ssgc.detectors._text_candidates import Patches
from captum_ssgc.detectors._transformers_base import QueryOutput, image_sizes
from captum_ssgc.detectors.transformers_text import TextPromptDetector
from captum_ssgc.images import ImageSource, load_image
from captum_ssgc.label_names import LabelNames


class OwlDetector(TextPromptDetector):
    """OWL-ViT and OWLv2; see :class:`TextPromptDetector`."""

    def __init__(
        self,
        model: nn.Module,
        processor: Any = None,
        *,
        text: Any = None,
        query_image: ImageSource | None = None,
        score_threshold: float | None = None,
        label_names: LabelNames | None = None,
    ) -> None:
        if (text is None) == (query_image is None):
            raise TypeError("expected either text=... or query_image=..., one of them.")
        self._guided = query_image is not None
        self._query: Tensor | None = None
        text = ["query image"] if text is None else text
        super().__init__(
            model, processor, text=text, score_threshold=score_threshold, label_names=label_names
        )
        if query_image is not None:
            self._query = self._embedded(load_image(query_image))

    def reported(self, raw: QueryOutput) -> list[dict[str, Tensor]]:
        if not self._guided:
            return super().reported(raw)
        found = []
        sizes = torch.tensor(image_sizes(raw)[:1], device=raw.logits.device)
        for number, image in enumerate(self.image_candidates(raw)):
            one = SimpleNamespace(
                logits=raw.logits[[number]], target_pred_boxes=raw.boxes[[number]]
            )
            reports = self._post_processing()(one, self.score_threshold, target_sizes=sizes)
            boxes = reports[0]["boxes"] if reports else raw.boxes.new_zeros(0, 4)
            everything = torch.arange(image.count, device=image.device)
            all_boxes = image.reported_boxes(everything, everything)
            away = (all_boxes[None] - boxes[:, None]).abs().amax(-1)
            rows = away.argmin(1)
            labels = torch.zeros_like(rows)
            found.append({"boxes": boxes, "labels": labels, "scores": image.scores()[rows, 0]})
        return found

    def _forward(self, inputs: Mapping[str, Tensor]) -> Any:
        if self._query is None:
            return super()._forward(inputs)
        model: Any = self.model
        features, feature_map = self._features(inputs["pixel_values"])
        query = self._query.to(features).expand(len(features), -1, -1)
        logits = model.class_predictor(image_feats=features, query_embeds=query)[0]
        return SimpleNamespace(logits=logits, pred_boxes=model.box_predictor(features, feature_map))

    def _features(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        model: Any = self.model
        feature_map: Tensor = model.image_embedder(pixel_values=pixels)[0]
        return feature_map.flatten(1, 2), feature_map

    @torch.no_grad()
    def _embedded(self, image: Tensor) -> Tensor:
        """What the model takes for the object of a picture, ``(1, 1, C)``."""
        self.check_ready()
        parameter = next(self.model.parameters())
        features, feature_map = self._features(self.preprocess(image)[0].to(parameter))
        model: Any = self.model
        embedded: Tensor = model.embed_image_query(features, feature_map)[0]
        return embedded

    def _candidates(self, raw: QueryOutput) -> tuple[type[Queries], dict[str, Any]]:
        config: Any = self.model.config
        side = config.vision_config.image_size // config.vision_config.patch_size
        return Patches, {"whole": self.preprocess.whole(raw.geometry.image_size), "side": side}

    def _post_processing(self) -> Any:
        if self._guided:
            return self.text_processor.image_processor.post_process_image_guided_detection
        return self.text_processor.image_processor.post_process_object_detection
