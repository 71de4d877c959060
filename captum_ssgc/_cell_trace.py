"""Where the entries of a network's tensors look on the canvas, followed through one forward.

Every tensor that is computed from the canvas is accompanied by two of its shape: the place that
each of its entries looks at. What moves entries moves their places alike; a convolution or pooling
looks at the middle of its window; what works entry by entry, mixes channels or attends changes no
place. Layouts (tokens, windows, channels last) therefore need no rules of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.weak import WeakTensorKeyDictionary

from captum_ssgc._hooks import forward_hooks

POOLS = ("max_pool2d_with_indices", "max_pool2d", "avg_pool2d")
PRODUCTS = ("mm", "addmm", "linear", "matmul")
RESHAPES = ("view", "_unsafe_view", "reshape")
PADS = ("constant_pad_nd", "reflection_pad2d", "replication_pad2d")
MOVES = (
    *("permute", "transpose", "t", "slice", "select", "squeeze", "unsqueeze", "expand", "repeat"),
    *("split", "split_with_sizes", "chunk", "unbind", "stack", "cat", "roll", "flip", "unfold"),
    *("index", "index_select", "im2col", "pixel_shuffle", "pixel_unshuffle"),
)
NOT_COMPUTED = ("convolution", "bmm", "baddbmm", *PRODUCTS)
NOWHERE = float("nan")
SAME = 1 / 32  # canvas pixels

Line = tuple[float, float]  # place of the first cell and step to the next, in canvas pixels
_traced: WeakKeyDictionary[nn.Module, list[Line] | None] = WeakKeyDictionary()


def traced_lines(
    layer: nn.Module,
    others: Iterable[nn.Module],
    run: Callable[[], Any],
    canvas_size: tuple[int, int],
    reshape_of: Callable[[nn.Module], Callable[[Tensor], Tensor] | None],
) -> list[Line] | None:
    """Where the rows and the columns of a layer's grid lie; remembered for each module.

    Args:
        layer: the module.
        others: modules that will be asked for, too.
        run: one forward of the network, made at most once.
        canvas_size: ``(H, W)`` of the network's input in that forward, in pixels.
        reshape_of: what brings a layer's output to ``(N, C, h, w)``, where something has to.

    Returns:
        For ``(y, x)``; ``None`` where it cannot be followed, through code of a kind not known here.
    """
    if layer not in _traced:
        wanted = {layer, *others} - set(_traced)
        trace = _Trace(canvas_size)
        found: dict[nn.Module, list[Line] | None] = {}

        def keep(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            places = trace.places(output) if isinstance(output, Tensor) else None
            found[module] = None if places is None else _lines(places, reshape_of(module))
            if len(found) == len(wanted):
                raise _AllFound

        def follow() -> None:
            hooks = forward_hooks(dict.fromkeys(wanted, keep))
            # What the network does after the layers, with outputs that are all zero, may fail.
            with suppress(Exception), torch.no_grad(), trace, hooks:
                run()

        # In a thread of its own no hooks, modes or settings of this thread's get in between.
        thread = Thread(target=follow)
        thread.start()
        thread.join()
        _traced.update({module: found.get(module) for module in wanted})
    return _traced[layer]


class _AllFound(Exception):
    """Ends a forward."""


def _lines(places: Places, reshape: Callable[[Tensor], Tensor] | None) -> list[Line] | None:
    if reshape is None:
        return places.lines() or places.spread()
    return places.each(lambda axis: reshape(axis)[:, :1]).lines()  # the finest level comes first


@dataclass(frozen=True)
class Places:
    """Where the entries of a tensor look.

    Args:
        y: of the tensor's shape, in canvas pixels, NaN for entries that look nowhere.
        x: the same along the other axis.
        coarsest: the largest stride on the way from the canvas, in canvas pixels.
    """

    y: Tensor
    x: Tensor
    coarsest: float = 1.0

    def each(self, change: Callable[[Tensor], Tensor]) -> Places:
        """Both axes changed alike."""
        return Places(change(self.y), change(self.x), self.coarsest)

    def lines(self) -> list[Line] | None:
        """Start and step of the rows and of the columns of ``(N, C, h, w)``.

        ``None`` where the places are not those of a grid.
        """
        if self.y.dim() != 4:
            return None
        found = []
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
            found.append((float(line[seen].mean()) - step * float(seen.double().mean()), step))
        return found

    def spread(self) -> list[Line] | None:
        """The same for any layout, such as tokens ``(1, T, C)``, from the places that occur."""
        found = []
        for places in (self.y, self.x):
            places = _compact(places)
            line = (places[places.isfinite()] / SAME).round().unique() * SAME
            steps = line.diff()
            if len(line) < 2 or steps.max() - steps.min() > 4 * SAME:
                return None
            found.append((float(line[0]), float(line[-1] - line[0]) / (len(line) - 1)))
        return found

    def sampled(self, shape: Sequence[int], windows: Sequence[tuple[float, float]]) -> Any:
        """Those of an output ``(N, C, h, w)`` that reads one window of this for each of its cells.

        Args:
            shape: of the output.
            windows: per axis, the index that the middle of the first window has, and the step from
                one window to the next.
        """
        lines = self.lines()
        if lines is None:
            return None
        axes, steps = [], []
        for axis, ((start, step), (first, stride)) in enumerate(zip(lines, windows, strict=True)):
            index = torch.arange(shape[2 + axis], dtype=torch.float64, device=self.y.device)
            line = (start + step * (first + stride * index)).float()
            axes.append(line.view((-1, 1) if axis == 0 else (1, -1)).expand(*shape))
            steps.append(abs(step * stride))
        return Places(axes[0], axes[1], max(self.coarsest, *steps))


class _Trace(TorchDispatchMode):
    """Follows places through everything that runs in this context, in this thread.

    Convolutions and products are not computed: their outputs are zeros.

    Args:
        canvas_size: ``(H, W)`` in pixels; a tensor ``(N, 3, H, W)`` is taken for the canvas.
    """

    def __init__(self, canvas_size: tuple[int, int]) -> None:
        super().__init__()
        self._canvas_size = canvas_size
        self._known = WeakTensorKeyDictionary()

    def places(self, tensor: Tensor) -> Places | None:
        """Where the entries of a tensor look, if they were computed from the canvas."""
        return self._known.get(tensor)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        known = []
        for entry in tree_leaves((args, kwargs)):
            if isinstance(entry, Tensor):
                if self._is_canvas(entry) and entry not in self._known:
                    self._known[entry] = _canvas_places(entry)
                if entry in self._known:
                    known.append(entry)
        if name in NOT_COMPUTED:
            device = next(e.device for e in tree_leaves(args) if isinstance(e, Tensor))
            shape = func(*tree_map_only(Tensor, _meta, args), **kwargs)
            result = torch.zeros_like(shape, device=device)
        else:
            result = func(*args, **kwargs)
        if known:
            self._keep(result, self._followed(name, func, args, kwargs, known, result))
        return result

    def _is_canvas(self, tensor: Tensor) -> bool:
        shape = tuple(tensor.shape)
        return len(shape) == 4 and shape[1] == 3 and shape[2:] == self._canvas_size

    def _keep(self, result: Any, found: Any) -> None:
        pairs = zip(result, found) if isinstance(found, list) else [(result, found)]
        for tensor, places in pairs:
            if isinstance(tensor, (tuple, list)):  # pooling gives indices, too, norms their moments
                tensor = tensor[0]
            if places is not None and tensor.is_floating_point():
                self._known[tensor] = places

    def _followed(
        self, name: str, func: Any, args: Any, kwargs: Any, known: list[Tensor], result: Any
    ) -> Any:
        first, one = self._known[known[0]], result[0] if isinstance(result, tuple) else result
        if name == "convolution" and args[0].dim() == 4 and known[0] is args[0]:
            return first.sampled(one.shape, _convolution_windows(*args[1:7]))
        if name in POOLS:
            return first.sampled(one.shape, _pooling_windows(*args[1:]))
        if name.lstrip("_").startswith(("upsample_", "adaptive_")) and known[0].dim() == 4:
            return first.sampled(one.shape, _resize_windows(name, known[0].shape, one.shape, args))
        if name == "cat" and one.dim() == 4 and len(args) > 1 and args[1] in (1, -3):
            return _joined([self._known[entry] for entry in known], one.shape, channels=True)
        if name in PRODUCTS:
            dim = -1 if known[0] is args[name == "addmm"] else -2
            return first.each(lambda axis: axis.nanmean(dim, keepdim=True).expand(one.shape))
        if name in RESHAPES:
            return first.each(lambda axis: axis.reshape(one.shape))
        if name in PADS:
            pad = torch.ops.aten.constant_pad_nd.default
            return first.each(lambda axis: pad(axis, args[1], NOWHERE))
        if name in MOVES:
            return self._moved(func, args, kwargs)
        return _joined([self._known[entry] for entry in known], getattr(one, "shape", None))

    def _moved(self, func: Any, args: Any, kwargs: Any) -> Any:
        def axis_of(name: str) -> Callable[[Tensor], Tensor]:
            def replaced(tensor: Tensor) -> Tensor:
                if tensor in self._known:
                    return getattr(self._known[tensor], name)
                if tensor.is_floating_point():
                    return torch.full_like(tensor, NOWHERE, dtype=torch.float32)
                return tensor  # indices

            return replaced

        y, x = (func(*tree_map_only(Tensor, axis_of(n), args), **kwargs) for n in ("y", "x"))
        known = [e for e in tree_leaves(args) if isinstance(e, Tensor) and e in self._known]
        coarsest = max(self._known[entry].coarsest for entry in known)
        if isinstance(y, Tensor):
            return Places(y, x, coarsest)
        return [Places(*both, coarsest) for both in zip(y, x, strict=True)]


def _compact(places: Tensor) -> Tensor:
    """One entry along each axis that was expanded from one."""
    for dim, step in enumerate(places.stride()):
        if step == 0:
            places = places.narrow(dim, 0, 1)
    return places


def _meta(tensor: Tensor) -> Tensor:
    return tensor.to("meta")


def _canvas_places(canvas: Tensor) -> Places:
    height, width = (
        torch.arange(size, dtype=torch.float32, device=canvas.device) + 0.5
        for size in canvas.shape[2:]
    )
    return Places(height[:, None].expand(canvas.shape), width.expand(canvas.shape))


def _joined(candidates: list[Places], shape: Any, channels: bool = False) -> Places | None:
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

    return Places(mean([one.y for one in chosen]), mean([one.x for one in chosen]), finest)


def _broadcasts(shape: Any, onto: Any) -> bool:
    if onto is None or len(shape) > len(onto):
        return False
    return all(a in (1, b) for a, b in zip(reversed(shape), reversed(onto)))


def _pair(value: Any) -> tuple[int, int]:
    values = [value] if isinstance(value, int) else list(value)
    return values[0], values[-1]


def _convolution_windows(
    weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool
) -> list[tuple[float, float]]:
    found = []
    for kernel, step, pad, spread in zip(
        weight.shape[2:], *map(_pair, (stride, padding, dilation)), strict=True
    ):
        middle = spread * (kernel - 1) / 2 - pad
        found.append((-middle / step, 1.0 / step) if transposed else (middle, float(step)))
    return found


def _pooling_windows(
    kernel: Any, stride: Any = (), padding: Any = 0, *further: Any
) -> list[tuple[float, float]]:
    return [
        ((size - 1) / 2 - pad, float(step))
        for size, step, pad in zip(*map(_pair, (kernel, stride or kernel, padding)), strict=True)
    ]


def _resize_windows(name: str, before: Any, after: Any, args: Any) -> list[tuple[float, float]]:
    aligned = "linear" in name or "cubic" in name
    found = []
    for old, new in zip(before[2:], after[2:], strict=True):
        scale = old / new
        if aligned and args[2] and new > 1:  # align_corners
            found.append((0.0, (old - 1) / (new - 1)))
        elif "nearest" in name and "exact" not in name:  # reads floor(i * scale)
            found.append((min(scale - 1.0, 0.0) / 2, scale))
        else:
            found.append((scale / 2 - 0.5, scale))
    return found
