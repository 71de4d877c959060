"""Where the entries of a tensor look on the canvas, and what layers make of that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

SAME = 1 / 32  # canvas pixels

Line = tuple[float, float]  # place of the first cell and step to the next, in canvas pixels
Window = tuple[float, float]  # index of the middle of the first window, step to the next one


@dataclass(frozen=True)
class Places:
    """Where the entries of a tensor look.

    Args:
        y: of the tensor's shape, in canvas pixels, NaN for entries that look nowhere.
        x: the same along the other axis.
        coarsest: the largest stride on the way from the canvas, in canvas pixels.
        fitted: something on the way was brought to a size, whatever it was before; canvases of
            other sizes have other places.
    """

    y: Tensor
    x: Tensor
    coarsest: float = 1.0
    fitted: bool = False

    def each(self, change: Callable[[Tensor], Tensor]) -> Places:
        """Both axes changed alike."""
        return replace(self, y=change(self.y), x=change(self.x))

    def lines(self) -> list[Line] | None:
        """Start and step of the rows and of the columns of ``(N, C, h, w)``.

        ``None`` where the places are not those of a grid.
        """
        if self.y.dim() != 4:
            return None
        lines = []
        for places, axis in ((self.y, 0), (self.x, 1)):
            flat = _compact(places).nanmean(1)
            line = flat.nanmean((0, 2 - axis))
            seen = line.isfinite().nonzero()[:, 0]
            shape = (1, -1, 1) if axis == 0 else (1, 1, -1)
            if not len(seen) or (flat - line.view(shape)).nan_to_num().abs().max() > SAME:
                return None
            step = self.coarsest
            if half := len(seen) // 2:
                low, high = seen[:half], seen[-half:]
                step = float((line[high] - line[low]).mean() / (high - low).double().mean())
            start = float(line[seen].mean()) - step * float(seen.double().mean())
            if (line[seen] - start - step * seen).abs().max() > self.coarsest:
                return None
            lines.append((start, step))
        return lines

    def spread(self) -> list[Line] | None:
        """The same for any layout, such as tokens ``(1, T, C)``, from the places that occur."""
        lines = []
        for places in (self.y, self.x):
            places = _compact(places)
            units = (places[places.isfinite()] / SAME).round()
            line = SAME * torch.tensor(
                [*dict.fromkeys(units.tolist())], device="cpu"
            )  # as they come
            steps = line.diff()
            if len(line) < 2 or steps.min() <= 0 or steps.max() - steps.min() > 4 * SAME:
                return None
            lines.append((float(line[0]), float(line[-1] - line[0]) / (len(line) - 1)))
        return lines

    def sampled(
        self, shape: Sequence[int], windows: Sequence[Window], fitted: bool = False
    ) -> Places | None:
        """Those of an output ``(N, C, h, w)`` that reads one window of this for each of its cells.

        Args:
            shape: of the output.
            windows: one per axis.
            fitted: they follow from the shape.
        """
        lines = self.lines()
        if lines is None:
            return None
        axes, steps = [], []
        for axis, ((start, step), (first, stride)) in enumerate(zip(lines, windows, strict=True)):
            index = torch.arange(shape[2 + axis], dtype=torch.float64, device="cpu")
            line = (start + step * (first + stride * index)).float()
            axes.append(line.view((-1, 1) if axis == 0 else (1, -1)).expand(*shape))
            steps.append(abs(step * stride))
        return Places(axes[0], axes[1], max(self.coarsest, *steps), self.fitted or fitted)


def canvas_places(shape: Sequence[int]) -> Places:
    """Those of the canvas ``(N, C, H, W)`` itself: the centre of a pixel is at 0.5."""
    height, width = (
        torch.arange(size, dtype=torch.float32, device="cpu") + 0.5 for size in shape[2:]
    )
    return Places(height[:, None].expand(shape), width.expand(shape))


def joined_places(candidates: list[Places], shape: Any, channels: bool = False) -> Places | None:
    """Those of the finest way from the canvas; the mean where several are equally fine."""
    if channels:
        candidates = [
            one.each(lambda axis: _compact(axis).nanmean(1, keepdim=True)) for one in candidates
        ]
    fitting = [one for one in candidates if _broadcasts(one.y.shape, shape)]
    if not fitting:
        return None
    finest = min(one.coarsest for one in fitting)
    chosen = [one for one in fitting if one.coarsest <= finest + SAME]

    def mean(axes: list[Tensor]) -> Tensor:
        several = torch.broadcast_tensors(*map(_compact, axes))
        return (torch.stack(several).nanmean(0) if len(axes) > 1 else axes[0]).expand(shape)

    y, x = mean([one.y for one in chosen]), mean([one.x for one in chosen])
    return Places(y, x, finest, any(one.fitted for one in chosen))


def _broadcasts(shape: Any, onto: Any) -> bool:
    if onto is None or len(shape) > len(onto):
        return False
    return all(a in (1, b) for a, b in zip(reversed(shape), reversed(onto)))


def _compact(places: Tensor) -> Tensor:
    """One entry along each axis that was expanded from one."""
    for dim, step in enumerate(places.stride()):
        if step == 0:
            places = places.narrow(dim, 0, 1)
    return places


def _pair(value: Any) -> tuple[int, int]:
    values = [value] if isinstance(value, int) else list(value)
    return values[0], values[-1]


def convolution_windows(
    weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool
) -> list[Window]:
    """Of a convolution, from its arguments."""
    windows = []
    for kernel, step, pad, spread in zip(
        weight.shape[2:], *map(_pair, (stride, padding, dilation)), strict=True
    ):
        middle = spread * (kernel - 1) / 2 - pad
        windows.append((-middle / step, 1.0 / step) if transposed else (middle, float(step)))
    return windows


def pooling_windows(kernel: Any, stride: Any = (), padding: Any = 0, *further: Any) -> list[Window]:
    """Of a pooling, from its arguments."""
    return [
        ((size - 1) / 2 - pad, float(step))
        for size, step, pad in zip(*map(_pair, (kernel, stride or kernel, padding)), strict=True)
    ]


def resize_windows(name: str, before: Any, after: Any, args: Any) -> list[Window]:
    """Of an interpolation or adaptive pooling, from its name, both shapes and its arguments."""
    aligned = "linear" in name or "cubic" in name
    windows = []
    for old, new in zip(before[2:], after[2:], strict=True):
        scale = old / new
        if aligned and args[2] and new > 1:  # align_corners
            windows.append((0.0, (old - 1) / (new - 1)))
        elif "nearest" in name and "exact" not in name:  # reads floor(i * scale)
            windows.append((min(scale - 1.0, 0.0) / 2, scale))
        else:
            windows.append((scale / 2 - 0.5, scale))
    return windows
