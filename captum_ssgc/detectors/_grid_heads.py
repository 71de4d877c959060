"""Detectors whose head is a chain of small convolutions on each level of a feature pyramid."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from captum_ssgc._hooks import left_alone
from captum_ssgc._probability import sigmoid_score, softmax_score
from captum_ssgc._windows import WindowGradient
from captum_ssgc.detections import Detections
from captum_ssgc.detector import LocalGradients, Output
from captum_ssgc.detectors._local_heads import (
    CROPS_AT_ONCE,
    SAME,
    Step,
    alike_together,
    cell_outputs,
    gradients_at_cells,
)
from captum_ssgc.detectors._lookup import LookupDetector
from captum_ssgc.detectors._precision import at_least_single


class GridHeadDetector(LookupDetector):
    """A detector with ``A`` candidates in each cell of each level, one class head for all of them.

    Attributes:
        softmax: the classes of a candidate share a softmax; otherwise each is a sigmoid.
    """

    softmax = False

    @abstractmethod
    def class_chain(self, level: int) -> list[Step] | None:
        """From a level's features to ``(N, A C, h, w)``; ``None`` where that is no chain."""

    @abstractmethod
    def on_the_way(self) -> Iterable[nn.Module]:
        """The layers of the levels, and what stands around or between them and the scores."""

    @abstractmethod
    def level_sizes(self, raw: Any) -> list[int]:
        """How many candidates each level has; those of a cell follow one another."""

    def local_outputs(self) -> tuple[str, ...]:
        levels = range(len(self.level_layers()))
        chains = [self.class_chain(level) for level in levels]
        known = bool(chains) and None not in chains
        return ("score", "logit") if known and left_alone(self.on_the_way()) else ()

    def local_gradients(
        self, raw: Any, features: Mapping[int, Tensor], detections: Detections, output: Output
    ) -> LocalGradients | None:
        if output not in self.local_outputs():
            return None
        with torch.no_grad():
            values = self.values(raw, [detections], output)[0]
        starts = [0, *accumulate(self.level_sizes(raw))]
        candidates, levels = detections.candidates.tolist(), detections.levels.tolist()
        gradients: dict[int, WindowGradient] = {}
        for level in sorted(set(levels)):
            chain = self.class_chain(level)
            if chain is None or level not in features:
                return None
            given, size = features[level].detach(), self.level_sizes(raw)[level]
            grid = (given.shape[-2], given.shape[-1])
            per_cell = size // (grid[0] * grid[1])
            if per_cell * grid[0] * grid[1] != size:
                return None
            mine = [row for row, its_level in enumerate(levels) if its_level == level]
            places = [divmod(candidates[row] - starts[level], per_cell) for row in mine]
            cells = [divmod(cell, grid[1]) for cell, _ in places]
            order = alike_together(cells, chain, grid)
            for start in range(0, len(mine), CROPS_AT_ONCE):
                some = order[start : start + CROPS_AT_ONCE]
                part = [mine[place] for place in some]
                windows = self._of_level(
                    given,
                    [cells[place] for place in some],
                    [places[place][1] for place in some],
                    per_cell,
                    detections.labels[part].to(values.device),
                    chain,
                    output,
                    values[part],
                )
                if windows is None:
                    return None
                gradients.update(zip(part, windows, strict=True))
        return LocalGradients(values, [gradients[row] for row in range(len(candidates))])

    def _of_level(
        self,
        features: Tensor,
        cells: Sequence[tuple[int, int]],
        anchors: Sequence[int],
        per_cell: int,
        labels: Tensor,
        chain: Sequence[Step],
        output: Output,
        expected: Tensor,
    ) -> list[WindowGradient] | None:
        """``None`` if the values differ from what the model gave: the head does more."""
        [outputs], leaves, windows = cell_outputs(features, cells, chain)
        index = torch.arange(len(cells), device=outputs.device)
        own = torch.tensor(anchors, device=outputs.device)
        logits = at_least_single(outputs.unflatten(1, (per_cell, -1))[index, own])
        if output == "logit":
            values = logits[index, labels]
        elif self.softmax:
            values = softmax_score(logits, labels)
        else:
            values = sigmoid_score(logits[index, labels])
        if not torch.allclose(values.detach(), expected, rtol=SAME, atol=SAME * 0.01):
            return None
        return gradients_at_cells([values.sum()], leaves, windows)
