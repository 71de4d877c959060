"""The search for few patches that are enough, written apart from what runs the detector.

A search is a generator: it yields sets of patches that are to be visible and is sent their scores,
so that many searches can share batches.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Sets = Sequence[Tensor]
Search = Generator[Sets, Tensor, "Found"]


@dataclass(frozen=True, eq=False)
class Found:
    """Patches ``(P,)`` bool, the score that belongs to them, and whether each is needed."""

    patches: Tensor
    score: float
    irreducible: bool


def search(order: Tensor, least: float, keeps: bool, budget: int) -> Search:
    """Yields sets of patches that are to be visible, and takes their scores."""

    def enough(values: Tensor) -> list[bool]:
        return [(value >= least) == keeps for value in values.tolist()]

    def shown(sets: Sets) -> Sets:
        return sets if keeps else [~one for one in sets]

    count = len(order)
    counts = _growing(count)[: max(budget - 1, 0)]
    sets = [_first(order, number) for number in [*counts, count]]
    values = yield shown(sets)
    budget -= len(sets)
    place = enough(values).index(True) if any(enough(values)) else None
    if place is None:
        return Found(sets[-1], float(values[-1]), False)
    below = counts[place - 1] if place else 0
    best, score = sets[place], float(values[place])
    between = list(range(below + 1, int(best.sum())))[: max(budget, 0)]
    if between:
        sets = [_first(order, number) for number in between]
        values = yield shown(sets)
        budget -= len(sets)
        if any(enough(values)):
            place = enough(values).index(True)
            best, score = sets[place], float(values[place])
    return (yield from _pruned(best, score, keeps, budget, enough, shown))


def _pruned(
    best: Tensor,
    score: float,
    keeps: bool,
    budget: int,
    enough: Callable[[Tensor], list[bool]],
    shown: Callable[[Sets], Sets],
) -> Search:
    """Leave patches out for as long as what is left is enough."""
    while budget >= int(best.sum()) > 1:
        members = best.nonzero().flatten().tolist()
        values = yield shown([_without(best, [member]) for member in members])
        budget -= len(members)
        each = [
            (value if keeps else -value, member)
            for value, member, is_enough in zip(values.tolist(), members, enough(values))
            if is_enough
        ]
        if not each:
            return Found(best, score, True)
        spare = [member for _, member in sorted(each, reverse=True)]
        together = _growing(len(spare))[: max(budget, 1)]
        sets = [_without(best, spare[:number]) for number in [*together, len(spare)]]
        sets = [one for one in sets if bool(one.any())][: max(budget, 1)]
        values = yield shown(sets)
        budget -= len(sets)
        fitting = [place for place, is_enough in enumerate(enough(values)) if is_enough]
        place = fitting[-1] if fitting else 0
        best, score = sets[place], float(values[place])
    return Found(best, score, int(best.sum()) == 1)


def _growing(most: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12, 16, ... below ``most``."""
    numbers, number = [1, 3], 2
    while number < most:
        numbers += [number, number * 3 // 2]
        number *= 2
    return sorted({number for number in numbers if number < most})


def _first(order: Tensor, count: int) -> Tensor:
    chosen = torch.zeros(len(order), dtype=torch.bool, device="cpu")
    chosen[order[:count]] = True
    return chosen


def _without(patches: Tensor, members: Sequence[int]) -> Tensor:
    left = patches.clone()
    left[list(members)] = False
    return left
