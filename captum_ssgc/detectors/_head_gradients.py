"""Gradients of values that depend on a few cells, by way of the maps where a head ends.

One backward of the sum of all values reaches these maps, as no candidate sees another, which a
second one of a weighted sum shows; from there each value goes back to its own window.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from captum_ssgc._windows import WindowGradient
from captum_ssgc.detectors._local_heads import (
    CROPS_AT_ONCE,
    SAME,
    Step,
    alike_together,
    cell_outputs,
    gradients_at_cells,
)

Cell = tuple[int, int]


@dataclass(frozen=True)
class LocalHead:
    """What follows a level's layer, as far as it is local.

    Args:
        steps: from the layer's map.
        ends: which results everything behind is made of.
        modules: that give these.
    """

    steps: Sequence[Step]
    ends: Sequence[int]
    modules: Sequence[nn.Module]


def cell_of_row(row: int, size: int, grid: tuple[int, int], anchors_last: bool) -> Cell:
    """Where a row of a level lies, if the anchors of a cell follow one another, or grids do."""
    cells = grid[0] * grid[1]
    column = row // (size // cells) if anchors_last else row % cells
    return divmod(column, grid[1])


def anchors_come_last(value: Tensor, size: int, ends: Sequence[Tensor]) -> bool | None:
    """Whether the rows of a cell follow one another; ``None`` where rows are laid out otherwise.

    Args:
        value: made of the last row but one of a level, with graph.
        size: how many rows the level has.
        ends: leaves ``(1, F, h, w)`` of this level.
    """
    grid = (ends[0].shape[-2], ends[0].shape[-1])
    if size < 2 or size % (grid[0] * grid[1]):
        return None
    slopes = torch.autograd.grad(value, list(ends), retain_graph=True, allow_unused=True)
    reached = [slope for slope in slopes if slope is not None]
    hit = [tuple(cell) for cell in _hit(reached).nonzero().tolist()] if reached else []
    for last in (True, False):
        if hit == [cell_of_row(size - 2, size, grid, last)]:
            return last
    return None


def head_gradients(
    heads: Mapping[int, LocalHead],
    ends: Mapping[nn.Module, Tensor],
    values: Tensor,
    features: Mapping[int, Tensor],
    places: Sequence[tuple[int, Cell]],
) -> list[WindowGradient] | None:
    """Gradients of values at the features of their levels.

    Args:
        heads: by level.
        ends: what they lead to, ``(1, F, h, w)``, as leaves of the graph.
        values: ``(K,)``, with graph.
        features: ``(1, C, h, w)`` by level.
        places: level and cell of each value.

    Returns:
        ``None`` if a value depends on other cells, too, or the features do not lead to the ends.
    """
    slopes = _slopes(heads, ends, values, places)
    if slopes is None:
        return None
    gradients: dict[int, WindowGradient] = {}
    for level in {level for level, _ in places}:
        head = heads[level]
        given_features = features[level].detach()
        mine = [row for row, place in enumerate(places) if place[0] == level]
        grid = (given_features.shape[-2], given_features.shape[-1])
        order = alike_together([places[row][1] for row in mine], head.steps, grid)
        for start in range(0, len(mine), CROPS_AT_ONCE):
            part = [mine[row] for row in order[start : start + CROPS_AT_ONCE]]
            cells = [places[row][1] for row in part]
            outputs, leaves, windows = cell_outputs(given_features, cells, head.steps, head.ends)
            if not all(
                _same(output, _at(ends[module], cells), ends[module])
                for output, module in zip(outputs, head.modules, strict=True)
            ):
                return None
            given = [torch.stack(each) for each in zip(*(slopes[row] for row in part), strict=True)]
            part_gradients = gradients_at_cells(outputs, leaves, windows, given)
            gradients.update(zip(part, part_gradients, strict=True))
    return [gradients[row] for row in range(len(places))]


def _slopes(
    heads: Mapping[int, LocalHead],
    ends: Mapping[nn.Module, Tensor],
    values: Tensor,
    places: Sequence[tuple[int, Cell]],
) -> list[list[Tensor]] | None:
    """For each value its gradients ``(F,)`` at the ends; ``None`` if it has any in other cells.

    In a weighted sum each cell's gradient is its value's times the weight, unless another value
    depends on this cell, too.
    """
    at_ends: dict[int, list[Tensor]] = {}
    for turn in _turns(places):
        own, beside = _of_turn(heads, ends, values[turn], [places[row] for row in turn])
        others = [beside]
        for weights in _weights(len(turn)):
            factors = values.new_tensor(weights)
            weighted, _ = _of_turn(heads, ends, values[turn] * factors, [places[r] for r in turn])
            once = _joined(own)
            lengths = torch.tensor([sum(map(len, one)) for one in own], device=values.device)
            factors = factors.repeat_interleave(lengths, output_size=len(once))
            others.append(_differ(_joined(weighted), once * factors))
        if bool(torch.stack(others).any()):
            return None
        at_ends.update(zip(turn, own, strict=True))
    return [at_ends[row] for row in range(len(places))]


def _of_turn(
    heads: Mapping[int, LocalHead],
    ends: Mapping[nn.Module, Tensor],
    values: Tensor,
    places: Sequence[tuple[int, Cell]],
) -> tuple[list[list[Tensor]], Tensor]:
    """The gradients ``(F,)`` of the sum in the cell of each value, and whether others have any.

    Only these are kept: the gradients at the whole grids are as large as the ends.
    """
    slopes = torch.autograd.grad(
        values.sum(), list(ends.values()), retain_graph=True, allow_unused=True
    )
    given = {
        module: torch.zeros_like(end) if slope is None else slope
        for (module, end), slope in zip(ends.items(), slopes, strict=True)
    }
    own: dict[int, list[Tensor]] = {}
    beside = []
    for level, head in heads.items():
        mine = [row for row, place in enumerate(places) if place[0] == level]
        of_head = [given[module] for module in head.modules]
        cells = [places[row][1] for row in mine]
        each = [_at(slope, cells) for slope in of_head]
        own.update((row, [one[i] for one in each]) for i, row in enumerate(mine))
        hit = _hit(of_head)
        for cell in cells:
            hit[cell] = False
        beside.append(hit.any())
    return [own[row] for row in range(len(places))], torch.stack(beside).any()


def _weights(count: int) -> list[list[float]]:
    """Powers of two, which round nothing, for each row: any two rows differ in one of the lists."""
    lists, place = [], 1
    while place < count:
        lists.append([2.0 ** (row // place % 8 - 4) for row in range(count)])
        place *= 8
    return lists


def _joined(rows: Sequence[Sequence[Tensor]]) -> Tensor:
    return torch.cat([each for row in rows for each in row])


def _differ(values: Tensor, expected: Tensor) -> Tensor:
    """Whether any are not equal to the last digits, or are no numbers."""
    about = torch.finfo(values.dtype)
    return ~((values - expected).abs() <= 8 * about.eps * expected.abs() + about.tiny).all()


def _turns(places: Sequence[tuple[int, Cell]]) -> list[list[int]]:
    """The rows in groups without two of one cell."""
    turns: dict[int, list[int]] = defaultdict(list)
    seen: Counter[tuple[int, Cell]] = Counter()
    for row, place in enumerate(places):
        turns[seen[place]].append(row)
        seen[place] += 1
    return list(turns.values())


def _at(values: Tensor, cells: Sequence[Cell]) -> Tensor:
    """``(K, F)`` of ``(1, F, h, w)``."""
    y, x = [row for row, _ in cells], [column for _, column in cells]
    return values.detach()[0, :, y, x].T


def _hit(values: Sequence[Tensor]) -> Tensor:
    """``(h, w)``: where any of ``(1, F, h, w)`` is not zero, or no number."""
    return torch.stack([(one != 0).any(1)[0] for one in values]).any(0)


def _same(output: Tensor, expected: Tensor, end: Tensor) -> bool:
    largest = float(end.detach().abs().max())
    return torch.allclose(output.detach(), expected, rtol=SAME, atol=SAME * largest)
