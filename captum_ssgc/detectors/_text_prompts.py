"""What a zero-shot detector is asked for: phrases, and the processor that encodes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

_SIDE = 32


def phrases_of(text: Any) -> tuple[str, ...]:
    """The phrases in ``text``: those of a list, or of one string with full stops between them.

    Raises:
        TypeError: if it is neither.
        ValueError: if there is none, one is empty, or one comes twice.

    Example:
        >>> from captum_ssgc.detectors._text_prompts import phrases_of
        >>> phrases_of("a cat. a remote.")
        ('a cat', 'a remote')
    """
    if isinstance(text, str):
        text = [part for part in text.split(".") if part.strip()]
    if not isinstance(text, Iterable) or isinstance(text, (bytes, Mapping)):
        raise TypeError(f"text: expected a list of phrases, got {type(text).__name__}.")
    phrases = list(text)
    for phrase in phrases:
        if not isinstance(phrase, str):
            raise TypeError(
                f"text: expected a list of phrases, such as ['a cat', 'a remote'], got a list with "
                f"{type(phrase).__name__}."
            )
    stripped = tuple(phrase.strip() for phrase in phrases)
    if not stripped or "" in stripped:
        raise ValueError(
            "text: expected at least one phrase, none of them empty, such as ['a cat', 'a remote'],"
            f" got {phrases}."
        )
    twice = {phrase for phrase in stripped if stripped.count(phrase) > 1}
    if twice:
        raise ValueError(f"text: expected every phrase once, got {min(twice)!r} twice.")
    return stripped


def processor_with_text(model: nn.Module, processor: Any = None) -> Any:
    """The processor of a zero-shot detector, which encodes its texts.

    Args:
        model: of transformers.
        processor: one with tokenizer and image processor, or anything else that holds both, such
            as a pipeline; ``None``: the one saved with the model.

    Raises:
        TypeError: if it has no tokenizer.
        ValueError: if none was saved with the model.
    """
    config: Any = model.config
    if processor is None:
        if not config._name_or_path:
            raise ValueError(
                f"processor: a {type(model).__name__} needs one, which holds its tokenizer: "
                "wrap_detector(model, AutoProcessor.from_pretrained(folder), text=[...])."
            )
        # Code that the folder brings along is not executed.
        return transformers.AutoProcessor.from_pretrained(
            config._name_or_path, trust_remote_code=False
        )
    parts = [getattr(processor, name, None) for name in ("image_processor", "tokenizer")]
    if None in parts:
        raise TypeError(
            "processor: expected one with a tokenizer and an image processor, as AutoProcessor "
            f"loads it, got {type(processor).__name__}."
        )
    if isinstance(processor, transformers.ProcessorMixin):
        return processor
    return getattr(transformers, PROCESSOR_MAPPING_NAMES[config.model_type])(*parts)


def check_tokens(processor: Any, config: Any, phrases: tuple[str, ...]) -> None:
    """Check that a model can read each phrase, whole, and tell its way of writing from others.

    Raises:
        ValueError: for a phrase without tokens or with too many, or two that differ in capitals or
            blanks alone, where the tokenizer leaves these out.
    """
    tokenizer = processor.tokenizer
    places = getattr(getattr(config, "text_config", None), "max_position_embeddings", None)
    most = min(tokenizer.model_max_length, places or tokenizer.model_max_length)
    known: dict[tuple[str, tuple[int, ...]], str] = {}
    for phrase in phrases:
        own = tuple(tokenizer(phrase, add_special_tokens=False)["input_ids"])
        count = len(tokenizer(phrase)["input_ids"])
        if not own:
            raise ValueError(f"text: the tokenizer finds nothing to read in {phrase!r}.")
        if count > most:
            raise ValueError(
                f"text: expected at most {most} tokens in a phrase, got {count} in "
                f"{phrase[:40]!r}...: use fewer words."
            )
        other = known.setdefault((" ".join(phrase.casefold().split()), own), phrase)
        if other != phrase:
            raise ValueError(
                f"text: the tokenizer reads {other!r} and {phrase!r} alike, as capitals and blanks "
                "do not matter to it: leave one of them out."
            )


def encoded(processor: Any, phrases: tuple[str, ...]) -> dict[str, Tensor]:
    """What a processor makes of phrases, as the inputs of a model for one image."""
    blank = torch.zeros(3, _SIDE, _SIDE, dtype=torch.uint8, device="cpu")
    batch = processor(images=[blank], text=[list(phrases)], return_tensors="pt")
    return {
        name: tensor for name, tensor in batch.items() if name not in ("pixel_values", "pixel_mask")
    }


def phrase_of_tokens(tokens: Tensor, full_stop: int, phrases: int) -> Tensor:
    """Which phrase each token of ``cat. remote.`` belongs to, ``(T,)`` int64.

    A full stop ends a phrase and belongs to it; what comes before the first phrase belongs to it,
    what comes behind the last to that one, so that every token has its phrase.

    Raises:
        ValueError: if there are not as many full stops as phrases.

    Example:
        >>> import torch
        >>> from captum_ssgc.detectors._text_prompts import phrase_of_tokens
        >>> phrase_of_tokens(torch.tensor([101, 7, 8, 1012, 9, 1012, 102]), 1012, 2)
        tensor([0, 0, 0, 0, 1, 1, 1])
    """
    stops = tokens == full_stop
    if int(stops.sum()) != phrases:
        raise ValueError(
            f"text: expected {phrases} phrases with full stops between them, but the tokenizer "
            f"leaves {int(stops.sum())} of them: the text may be longer than it allows."
        )
    return (stops.cumsum(0) - stops.long()).clamp(max=phrases - 1)
