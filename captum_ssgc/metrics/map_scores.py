"""One number per heat map, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class MapScores:
    """One value per heat map.

    Args:
        values: ``(K,)`` float.
        valid: ``(K,)`` bool, whether the value measures the map. A map that points nowhere (all
            zero, NaN or infinite) is not valid; it keeps the worst value of its metric, so that a
            plain mean counts it as a miss.
        higher_is_better: the direction of the metric.

    Example:
        >>> import torch
        >>> from captum_ssgc.metrics import pointing_game
        >>> maps = torch.zeros(2, 4, 4)
        >>> maps[0, 1, 1] = 1.0
        >>> result = pointing_game(maps, boxes=torch.tensor([[0.0, 0.0, 2.0, 2.0]] * 2))
        >>> result.values, result.valid, result.mean(), result.mean(valid_only=True)
        (tensor([1., 0.]), tensor([ True, False]), 0.5, 1.0)
    """

    values: Tensor
    valid: Tensor
    higher_is_better: bool

    def __len__(self) -> int:
        return self.values.shape[0]

    def mean(self, valid_only: bool = False) -> float:
        """The mean over all maps, or over the valid ones; NaN where there is none."""
        values = self.values[self.valid] if valid_only else self.values
        return float(values.mean())
