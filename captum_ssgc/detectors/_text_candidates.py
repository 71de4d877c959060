"""The candidates of zero-shot detectors, with a score for each phrase."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from captum_ssgc.detectors._lookup import with_cells
from captum_ssgc.detectors._precision import at_least_single
from captum_ssgc.detectors._query_selection import Queries


class PhraseQueries(Queries):
    """Queries with a logit for each token of a text: a phrase has the best of its tokens.

    Args:
        phrase_of: ``(T,)`` int64, the phrase of each token of the text.
    """

    def __init__(self, *queries: Any, phrase_of: Tensor) -> None:
        super().__init__(*queries)
        self._phrase_of = phrase_of

    def scores(self) -> Tensor:
        return self._best(super().scores())

    def logits(self, rows: Tensor, labels: Tensor) -> Tensor:
        best = self._best(at_least_single(self._logits[rows]))
        return best.gather(1, labels[:, None])[:, 0]

    def _best(self, values: Tensor) -> Tensor:
        """``(R, T)`` of tokens to ``(R, P)`` of phrases."""
        of_text = values[:, : len(self._phrase_of)]
        phrases = range(int(self._phrase_of[-1]) + 1)
        parts = [of_text[:, (self._phrase_of == one).to(values.device)] for one in phrases]
        return torch.stack([part.amax(1) for part in parts], 1)


class Patches(Queries):
    """The patches of images, each with one label.

    Args:
        whole: as for :class:`Queries`.
        side: how many patches there are in each direction.
    """

    def __init__(self, *queries: Any, whole: tuple[int, int], side: int) -> None:
        super().__init__(*queries)
        self._whole, self._side = whole, side

    @staticmethod
    def probabilities(logits: Tensor) -> Tensor:
        best = logits.max(-1, keepdim=True)  # the vendor takes the sigmoid of this one alone
        return logits.sigmoid().scatter(-1, best.indices, best.values.sigmoid())

    def regions(self, rows: Tensor, labels: Tensor) -> Tensor:
        places = self.places(rows)
        corner = torch.stack([places % self._side, places // self._side], 1)
        cells = torch.cat([corner, corner + 1], 1) / self._side
        height, width = self.geometry.canvas_size
        cells = cells * cells.new_tensor([width, height, width, height])
        return with_cells(self.boxes(rows, labels), self.geometry.boxes_to_image(cells))
