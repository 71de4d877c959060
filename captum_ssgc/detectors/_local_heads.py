"""Gradients of scores that depend on a few cells of a feature map: of crops around them alone.

A convolution of odd kernel, stride 1 and zero padding reads ``r`` cells on each side. A chain of
them, run on a window around one cell, gives the value at that cell exactly, as long as the window
is moved inside the grid at its borders, where the padding of the window is that of the grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

import torch
from torch import Tensor, nn
from torchvision.ops.misc import Conv2dNormActivation, FrozenBatchNorm2d

from captum_ssgc._windows import Window, WindowGradient

CROPS_AT_ONCE = 32
SAME = 1e-4  # of the value; what differs by more is not what the model computed
_CELL_BY_CELL = (
    nn.BatchNorm2d,
    FrozenBatchNorm2d,
    nn.Dropout,
    nn.GELU,
    nn.Hardswish,
    nn.Identity,
    nn.LeakyReLU,
    nn.ReLU,
    nn.ReLU6,
    nn.Sigmoid,
    nn.SiLU,
)
_IN_SEQUENCE = (nn.Sequential, Conv2dNormActivation)


@dataclass(frozen=True)
class Step:
    """One operation of a head.

    Args:
        apply: to the results that it takes, at least one.
        radius: how many cells it reads on each side.
        inputs: how far back these results are; -1 is that of the step before, or the features.
    """

    apply: Callable[..., Tensor]
    radius: int = 0
    inputs: tuple[int, ...] = (-1,)


def chain_of(module: nn.Module) -> list[Step] | None:
    """The steps of a head; ``None`` if it does anything else."""
    if type(module) in _CELL_BY_CELL:
        by_input = isinstance(module, nn.BatchNorm2d) and module.running_mean is None
        return None if by_input else [Step(module)]
    if type(module) is nn.Conv2d:
        radius = _radius(module)
        return None if radius is None else [Step(module, radius)]
    parts = _parts(module)
    if parts is None:
        return None
    steps: list[Step] = []
    for part in parts:
        chain = chain_of(part)
        if chain is None:
            return None
        steps += chain
    return steps


def _parts(module: nn.Module) -> list[nn.Module] | None:
    if type(module) in _IN_SEQUENCE:
        return list(module.children())
    home = (type(module).__module__, type(module).__name__)
    if home in (("ultralytics.nn.modules.conv", "Conv"), ("ultralytics.nn.modules.conv", "DWConv")):
        named = dict(module.named_children())
        return [named[name] for name in ("conv", "bn", "act") if name in named]
    return None


def _radius(convolution: nn.Conv2d) -> int | None:
    """How far it reads, where it keeps the grid and pads with zeros; ``None`` otherwise."""
    if convolution.stride != (1, 1) or convolution.padding_mode != "zeros":
        return None
    reach = [
        dilation * (size - 1)
        for size, dilation in zip(convolution.kernel_size, convolution.dilation, strict=True)
    ]
    padding = convolution.padding
    if reach[0] != reach[1] or reach[0] % 2 or padding != (reach[0] // 2, reach[0] // 2):
        return None
    return reach[0] // 2


def alike_together(
    cells: Sequence[tuple[int, int]], steps: Sequence[Step], grid: tuple[int, int]
) -> list[int]:
    """An order of the cells in which those that lie alike in their windows follow one another.

    Nearly all lie in the middle: what is done for them is then one operation.
    """
    windows = _windows(cells, _reach(steps)[0], grid)
    inside = [(row - own.top, column - own.left) for (row, column), own in zip(cells, windows)]
    return sorted(range(len(cells)), key=inside.__getitem__)


def cell_outputs(
    features: Tensor,
    cells: Sequence[tuple[int, int]],
    steps: Sequence[Step],
    ends: Sequence[int] = (-1,),
) -> tuple[list[Tensor], Tensor, list[Window]]:
    """What a head gives at single cells.

    Args:
        features: ``(1, C, h, w)``, without graph.
        cells: ``K`` pairs of row and column.
        steps: from the features to the outputs.
        ends: which results are outputs; 0 are the features, -1 is what the last step gives.

    Returns:
        For each output ``(K, F)`` with graph, the leaves ``(K, C, *window)`` that they were
        computed from, and the window of each.
    """
    grid = (features.shape[-2], features.shape[-1])
    reach = _reach(steps)

    @cache
    def around(radius: int) -> list[Window]:
        return _windows(cells, radius, grid)

    outermost = around(reach[0])
    leaves = torch.cat([window.of(features) for window in outermost]).requires_grad_()
    results = [(leaves.clone(), outermost)]  # the first step may work in place

    def within(back: int, radius: int) -> Tensor:
        return _narrowed(*results[back], around(radius))

    for step, radius in zip(steps, reach[1:], strict=True):
        wide, own = around(radius + step.radius), around(radius)
        given = step.apply(*(within(back, radius + step.radius) for back in step.inputs))
        results.append((_narrowed(given, wide, own), own))
    return [within(end, 0)[:, :, 0, 0] for end in ends], leaves, outermost


def _reach(steps: Sequence[Step]) -> list[int]:
    """How far around its cell each result is read: the features, and what each step gives."""
    reach = [0] * (len(steps) + 1)
    for place in reversed(range(len(steps))):
        for back in steps[place].inputs:
            source = place + 1 + back
            reach[source] = max(reach[source], reach[place + 1] + steps[place].radius)
    return reach


def _windows(cells: Sequence[tuple[int, int]], radius: int, grid: tuple[int, int]) -> list[Window]:
    """Windows of one size around the cells, moved inside the grid."""
    spans = []
    for cell in cells:
        span: list[int] = []
        for place, size in zip(cell, grid, strict=True):
            extent = min(2 * radius + 1, size)
            start = min(max(place - radius, 0), size - extent)
            span += [start, start + extent]
        spans.append(Window(*span))
    return spans


def _narrowed(values: Tensor, windows: Sequence[Window], inner: Sequence[Window]) -> Tensor:
    if windows is inner:
        return values
    parts = [small.within(large) for large, small in zip(windows, inner, strict=True)]
    runs, start = [], 0
    for part, equal in groupby(parts):
        end = start + len(list(equal))
        runs.append(part.of(values[start:end]))
        start = end
    return runs[0] if len(runs) == 1 else torch.cat(runs)


def gradients_at_cells(
    outputs: Sequence[Tensor],
    leaves: Tensor,
    windows: Sequence[Window],
    slopes: Sequence[Tensor | None] = (None,),
) -> list[WindowGradient]:
    """The gradient of each row at its own leaf: of one sum, or of outputs with these slopes."""
    (gradients,) = torch.autograd.grad(list(outputs), leaves, list(slopes))
    return [WindowGradient(window, gradients[row : row + 1]) for row, window in enumerate(windows)]
