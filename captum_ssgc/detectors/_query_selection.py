"""Detectors that choose their queries among the tokens of the image: read the choice, or pin it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from captum_ssgc.detections import Detections
from captum_ssgc.detectors._rows import ChosenRows
from captum_ssgc.geometry import ImageGeometry


class QuerySelection(TorchFunctionMode):
    """Watches one forward for the ``topk`` that chooses the queries.

    Two-stage transformers score every token of the feature maps and give the best to the decoder.
    On a changed image query ``k`` would start from another token; here the tokens of the wanted
    detections stay in their places, and the rest of the choice is the image's own.

    Args:
        queries: how many the decoder takes.
        detections: one per image, whose tokens are pinned; ``None`` to leave the choice alone.

    Attributes:
        tokens: ``(N, queries)`` token of each query, ``None`` if the model chose none.
    """

    def __init__(self, queries: int, detections: Sequence[Detections] | None = None) -> None:
        super().__init__()
        self.queries = queries
        self.detections = detections
        self.tokens: Tensor | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.tokens is not None or func not in (torch.topk, Tensor.topk):
            return result
        scores = args[0] if args else (kwargs or {})["input"]
        indices = result.indices
        if scores.dim() != 2 or indices.shape[1] != min(self.queries, scores.shape[1]):
            return result
        if self.detections is not None:
            indices = torch.stack(
                [
                    _pinned(natural, chosen)
                    for natural, chosen in zip(indices, self.detections, strict=True)
                ]
            )
            result = torch.return_types.topk((scores.gather(1, indices), indices))
        self.tokens = indices
        return result


def candidates_of(queries: Tensor, tokens: Tensor | None) -> Tensor:
    """Candidate of each query ``(K,)``: the query, with its token where tokens are chosen.

    Args:
        queries: ``(K,)``.
        tokens: ``(Q,)`` token of every query, or ``None``.

    Returns:
        ``(K,)``: the query, or ``token * Q + query``.
    """
    return queries if tokens is None else tokens[queries] * len(tokens) + queries


def query_detections(
    chosen: ChosenRows, tokens: Tensor | None, image: int, geometry: ImageGeometry
) -> Detections:
    """Detections whose rows are queries, which have neither regions nor levels of their own.

    Args:
        chosen: queries of one image, boxes in its pixels.
        tokens: ``(N, Q)`` of the batch, or ``None``.
        image: its place in the batch.
        geometry: of the images.
    """
    return chosen.detections(
        candidates=candidates_of(chosen.rows, None if tokens is None else tokens[image]),
        regions=chosen.boxes,
        levels=torch.zeros_like(chosen.rows),
        image_size=geometry.image_size,
    )


def query_of(candidates: Tensor, queries: int) -> Tensor:
    """The query of each candidate, in both cases of :func:`candidates_of`."""
    return candidates % queries


def _pinned(natural: Tensor, chosen: Detections) -> Tensor:
    """``natural``, with the tokens of ``chosen`` at their own places and none of them twice."""
    candidates = chosen.candidates.to(natural.device)
    places, tokens = candidates % len(natural), candidates // len(natural)
    pinned = torch.full_like(natural, -1)
    pinned[places] = tokens
    free = pinned < 0
    others = natural[~torch.isin(natural, tokens)]
    pinned[free] = others[: int(free.sum())]
    return pinned
