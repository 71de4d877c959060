"""The candidates of zero-shot detectors, with a score for each phrase."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from captum_ssgc.detectors._lookup import with_cells
from captum_ssgc.detectors._precision import at_least_single
from captum_ssgc.detectors._query_selection import Queries
from captum_ssgc.geometry import ImageGeometry


class PhraseQueries(Queries):
    """Queries with a logit for each token of a text: a phrase has the best of its tokens."""

    def __init__(
        self,
        geometry: ImageGeometry,
        logits: Tensor,
        boxes: Tensor,
        tokens: Tensor | None,
        phrase_of: Tensor,
    ) -> None:
        super().__init__(geometry, logits, boxes, tokens)
        self._phrase_of = phrase_of

    def scores(self) -> Tensor:
        return self._best(self._logits.sigmoid())

    def logits(self, rows: Tensor, labels: Tensor) -> Tensor:
        best = self._best(at_least_single(self._logits[rows]))
        return best.gather(1, labels[:, None])[:, 0]

    def _best(self, values: Tensor) -> Tensor:
        """``(R, T)`` of tokens to ``(R, P)`` of phrases."""
        columns = range(int(self._phrase_of[-1]) + 1)
        of_text = values[:, : len(self._phrase_of)]
        parts = [of_text[:, (self._phrase_of == one).to(values.device)] for one in columns]
        return torch.stack([part.amax(1) for part in parts], 1)


class ClippedQueries(Queries):
    """Queries whose boxes are clipped to the image."""

    def reported_boxes(self, rows: Tensor, labels: Tensor) -> Tensor:
        return clip_boxes_to_image(self.boxes(rows, labels), self.geometry.image_size)


class Patches(Queries):
    """The patches of one image; ``side`` of them in each direction."""

    def __init__(
        self,
        geometry: ImageGeometry,
        logits: Tensor,
        boxes: Tensor,
        tokens: Tensor | None,
        whole: tuple[int, int],
        side: int,
    ) -> None:
        super().__init__(geometry, logits, boxes, tokens, whole)
        self._side = side

    def regions(self, rows: Tensor, labels: Tensor) -> Tensor:
        corner = torch.stack([rows % self._side, rows // self._side], 1)
        cells = torch.cat([corner, corner + 1], 1) / self._side
        height, width = self.geometry.canvas_size
        cells = cells * cells.new_tensor([width, height, width, height])
        return with_cells(self.boxes(rows, labels), self.geometry.boxes_to_image(cells))
