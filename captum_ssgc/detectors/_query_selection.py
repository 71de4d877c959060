"""Detectors that choose their queries among the tokens of the image: read the choice, or pin it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from captum_ssgc._as_before import FunctionMode
from captum_ssgc._probability import softmax_score
from captum_ssgc.detections import Detections
from captum_ssgc.detectors._lookup import RowCandidates, RowDetector, rows_of_images
from captum_ssgc.detectors._precision import at_least_single
from captum_ssgc.geometry import ImageGeometry


class QuerySelection(FunctionMode):
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


class SelectingDetector(RowDetector):
    """A detector whose raw output has the ``tokens`` of its queries, or ``None``."""

    def run_from(self, raw: Any, images: Tensor, detections: Sequence[Detections]) -> Any:
        """Run again with the tokens of the detections, where tokens are chosen."""
        return raw if raw.tokens is None else self.run(images, detections)


class SelectedRows(RowCandidates):
    """Candidates that keep their token, see :func:`candidates_of`.

    Attributes:
        tokens: ``(M,)`` of each row, or ``None``.
    """

    tokens: Tensor | None

    def candidates(self, rows: Tensor) -> Tensor:
        tokens = None if self.tokens is None else self.tokens[rows]
        return candidates_of(self.places(rows), tokens, self.sizes[0])

    def places_of(self, candidates: Tensor) -> Tensor:
        return query_of(candidates, None if self.tokens is None else self.sizes[0])


class Queries(SelectedRows):
    """The queries of one image or of all, candidates as :func:`candidates_of` says; sigmoids.

    Probabilities are those of the batch at once, as vendors compute them: what stands at the end
    of a tensor may be rounded in another way.

    Args:
        geometry: of the images.
        logits: ``(N, Q, C)``.
        boxes: ``(N, Q, 4)`` centre and size, in shares of ``whole``.
        tokens: ``(N, Q)`` token of every query, or ``None``.
        image: which of the images; ``None`` for all.
        whole: ``(H, W)`` in pixels of an image; ``None``: its size.
    """

    def __init__(
        self,
        geometry: ImageGeometry,
        logits: Tensor,
        boxes: Tensor,
        tokens: Tensor | None,
        image: int | None = None,
        whole: tuple[int, int] | None = None,
    ) -> None:
        images, count = logits.shape[:2]
        super().__init__(geometry, logits.device, [count] * (images if image is None else 1))
        with torch.no_grad():
            self._probabilities = rows_of_images(self.probabilities(logits), image)
        self._logits, self._boxes = (rows_of_images(one, image) for one in (logits, boxes))
        self.tokens = None if tokens is None else rows_of_images(tokens, image)
        self._whole = whole or geometry.image_size

    @staticmethod
    def probabilities(logits: Tensor) -> Tensor:
        """``(N, Q, C)`` of a batch, by the vendor's own operations."""
        return logits.sigmoid()

    def scores(self) -> Tensor:
        return self._probabilities

    def logits(self, rows: Tensor, labels: Tensor) -> Tensor:
        return at_least_single(self._logits[rows, labels])

    def boxes(self, rows: Tensor, labels: Tensor) -> Tensor:
        return boxes_of_shares(self._boxes[rows], self._whole)


class SoftmaxQueries(Queries):
    """Softmax over the classes and "no object", which is the last."""

    @staticmethod
    def probabilities(logits: Tensor) -> Tensor:
        return logits.softmax(-1)[..., :-1]

    def with_rest(self, class_scores: Tensor) -> Tensor:
        rest = 1.0 - class_scores.sum(-1, keepdim=True)
        return torch.cat([class_scores, rest.clamp(min=0.0)], -1)

    def score(self, rows: Tensor, labels: Tensor) -> Tensor:
        return softmax_score(at_least_single(self._logits[rows]), labels)


class ClippedQueries(Queries):
    """Queries whose reported boxes are clipped to the image."""

    def reported_boxes(self, rows: Tensor, labels: Tensor) -> Tensor:
        return clip_boxes_to_image(self.boxes(rows, labels), self.geometry.image_size)


def boxes_of_shares(boxes: Tensor, whole: tuple[int, int]) -> Tensor:
    """``(K, 4)`` centre and size in shares of ``(H, W)`` pixels, to xyxy in pixels, not clipped.

    Corners in the precision that they came in, pixels in float32: as the vendors do it.
    """
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    corners = at_least_single(torch.cat([centre - half, centre + half], -1))
    height, width = whole
    return corners * corners.new_tensor([width, height, width, height])


def candidates_of(places: Tensor, tokens: Tensor | None, count: int) -> Tensor:
    """Candidate of each query ``(K,)``: the query, with its token where tokens are chosen.

    Args:
        places: ``(K,)``, which query each is.
        tokens: ``(K,)``, the token of each, or ``None``.
        count: how many queries an image has.

    Returns:
        ``(K,)``: the query, or ``token * count + query``.
    """
    return places if tokens is None else tokens * count + places


def query_of(candidates: Tensor, queries: int | None) -> Tensor:
    """The query of each candidate, in both cases of :func:`candidates_of`; -1 for none.

    Args:
        candidates: ``(K,)``.
        queries: how many there are, where tokens are chosen; ``None`` elsewhere.
    """
    if queries is None:
        return candidates
    return torch.where(candidates < 0, -1, candidates % max(queries, 1))


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
