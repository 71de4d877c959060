"""Gradients of scores that depend on a few cells of a feature map: of crops around them alone.

A convolution of odd kernel, stride 1 and zero padding reads ``r`` cells on each side. A chain of
them, run on a window around one cell, gives the value at that cell exactly, as long as the window
is moved inside the grid at its borders, where the padding of the window is that of the grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.ops.misc import Conv2dNormActivation, FrozenBatchNorm2d

from captum_ssgc._windows import Window, WindowGradient

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
    """One operation of a chain, and how many cells it reads on each side."""

    apply: Callable[[Tensor], Tensor]
    radius: int = 0


def chain_of(module: nn.Module) -> list[Step] | None:
    """The steps of a head; ``None`` if it does anything else, or somebody watches it by hooks."""
    if module._forward_hooks or module._forward_pre_hooks or module.training:
        return None
    if type(module) in _CELL_BY_CELL:
        return [Step(module)]
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


def cell_outputs(
    features: Tensor, cells: Sequence[tuple[int, int]], chain: Sequence[Step]
) -> tuple[Tensor, Tensor, list[Window]]:
    """What a chain gives at single cells.

    Args:
        features: ``(1, C, h, w)``, without graph.
        cells: ``K`` pairs of row and column.
        chain: from the features to the output.

    Returns:
        The outputs ``(K, F)`` with graph, the leaves ``(K, C, *window)`` that they were computed
        from, and the window of each.
    """
    grid = (features.shape[-2], features.shape[-1])
    radius = sum(step.radius for step in chain)
    outermost = windows = _windows(cells, radius, grid)
    leaves = torch.cat([window.of(features) for window in windows]).requires_grad_()
    values = leaves.clone()  # the first step may work in place
    for step in chain:
        values = step.apply(values)
        if step.radius:
            radius -= step.radius
            inner = _windows(cells, radius, grid)
            values, windows = _narrowed(values, windows, inner), inner
    return values[:, :, 0, 0], leaves, outermost


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
    parts = [
        Window(
            small.top - large.top,
            small.bottom - large.top,
            small.left - large.left,
            small.right - large.left,
        )
        for large, small in zip(windows, inner, strict=True)
    ]
    if len(set(parts)) == 1:
        return parts[0].of(values)
    return torch.cat([part.of(values[row : row + 1]) for row, part in enumerate(parts)])


def gradients_at_cells(
    values: Tensor, leaves: Tensor, windows: Sequence[Window]
) -> list[WindowGradient]:
    """The gradient of each value ``(K,)`` at its own leaf."""
    (gradients,) = torch.autograd.grad(values.sum(), leaves)
    return [WindowGradient(window, gradients[row : row + 1]) for row, window in enumerate(windows)]
