"""From any model of transformers to the adapter that fits it."""

from __future__ import annotations

from typing import Any

from captum_ssgc.detectors._owl import OwlDetector
from captum_ssgc.detectors._transformers_base import TransformersBase
from captum_ssgc.detectors.transformers_queries import TransformersDetector
from captum_ssgc.detectors.transformers_text import (
    ZERO_SHOT,
    GroundingDetector,
    OMDetDetector,
    TextPromptDetector,
)

_ADAPTERS: dict[str, type[TextPromptDetector]] = {
    "grounding-dino": GroundingDetector,
    "mm-grounding-dino": GroundingDetector,
    "omdet-turbo": OMDetDetector,
    "owlv2": OwlDetector,
    "owlvit": OwlDetector,
}
_PROMPTS = ("text", "query_image")


def transformers_detector(model: Any, processor: Any = None, **options: Any) -> TransformersBase:
    """The adapter for a model of transformers: one that looks for phrases, or for its own classes.

    Args:
        model: that ``AutoModelForObjectDetection`` or its zero-shot counterpart loads.
        processor: see the adapters.
        **options: of the adapter.

    Raises:
        TypeError: if the text is missing, or is given to a model that takes none.
    """
    ancestors = {base.__name__ for base in type(model).__mro__}
    zero_shot = ancestors.intersection(ZERO_SHOT)
    prompts = [name for name in _PROMPTS if options.get(name) is not None]
    if not zero_shot:
        if prompts:
            raise TypeError(
                f"{prompts[0]}: a {type(model).__name__} looks for its own classes; what looks for "
                "a text is what AutoModelForZeroShotObjectDetection loads."
            )
        return TransformersDetector(model, processor, **options)
    if not prompts:
        raise TypeError(
            f"a {type(model).__name__} looks for what a text says: wrap_detector(model, processor, "
            "text=['a cat', 'a remote'])."
        )
    adapter = _ADAPTERS.get(model.config.model_type)
    if adapter is None or ("query_image" in prompts and adapter is not OwlDetector):
        raise TypeError(
            f"{prompts[-1]}: no adapter for it and a {type(model).__name__}; wrap it as your own "
            "detector (captum_ssgc.detectors.CandidateDetector)."
        )
    return adapter(model, processor, **options)
