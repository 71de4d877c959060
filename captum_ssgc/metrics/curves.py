"""Deletion and Insertion curves as they are returned."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Curves:
    """The score of each detection as pixels are removed or added.

    Args:
        fractions: ``(S + 1,)`` from 0 to 1, share of the budget that has been removed or added.
        scores: ``(K, S + 1)``; NaN where a curve is divided by an initial score of 0.
        valid: ``(K,)`` bool, whether a curve measures its map. A map that is all zero or not finite
            names no pixel, so that none is removed or added: its curve is flat, and not valid. Nor
            is a curve that could not be divided by the initial score.
        higher_is_better: false for Deletion, true for Insertion.

    Example:
        >>> import torch
        >>> from captum_ssgc.metrics import Curves
        >>> falling = torch.tensor([[1.0, 0.5, 0.0]])
        >>> Curves(torch.linspace(0, 1, 3), falling, torch.tensor([True]), False).area
        tensor([0.5000])
    """

    fractions: Tensor
    scores: Tensor
    valid: Tensor
    higher_is_better: bool

    def __len__(self) -> int:
        return self.scores.shape[0]

    @property
    def area(self) -> Tensor:
        """``(K,)`` area under each curve by the trapezoid rule; in [0, 1] for values in [0, 1]."""
        return torch.trapezoid(self.scores, self.fractions.to(self.scores), dim=-1)

    def mean(self, valid_only: bool = False) -> float:
        """The mean area over all maps, or over the valid ones; NaN where there is none."""
        area = self.area[self.valid] if valid_only else self.area
        return float(area.mean())


@dataclass(frozen=True, eq=False)
class DeletionInsertion:
    """Both curves of one list of heat maps.

    Args:
        deletion: by score, ``"s1"`` or ``"s2"``; lower is better.
        insertion: by score, ``"s1"`` or ``"s2"``; higher is better.
    """

    deletion: dict[str, Curves]
    insertion: dict[str, Curves]
