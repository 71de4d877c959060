"""Follows the places that the entries of tensors look at through all that is computed.

Every tensor that is computed from the canvas is accompanied by two of its shape: the place that
each of its entries looks at. What moves entries moves their places alike; a convolution or pooling
looks at the middle of its window; what works entry by entry, mixes channels or attends changes no
place. Layouts (tokens, windows, channels last) therefore need no rules of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.weak import WeakTensorKeyDictionary

from captum_ssgc._cell_places import (
    Places,
    canvas_places,
    convolution_windows,
    joined_places,
    pooling_windows,
    resize_windows,
)

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


class PlaceTrace(TorchDispatchMode):
    """Follows places through everything that runs in this context, in this thread.

    Args:
        canvas_size: ``(H, W)`` in pixels; a tensor ``(N, C, H, W)`` is taken for the canvas.
        channels: what ``C`` may be.
        computed: everything is. Otherwise convolutions and products of the image are not, nor is
            what follows from them: it is zero, and takes no memory, as far as its shape can be
            known without. What does not depend on the image a network may keep.
    """

    def __init__(
        self, canvas_size: tuple[int, int], channels: Collection[int], computed: bool
    ) -> None:
        super().__init__()
        self._canvas_size, self._channels, self._computed = canvas_size, channels, computed
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
                    self._known[entry] = canvas_places(entry.shape)
                if entry in self._known:
                    known.append(entry)
        result = None
        if not self._computed and ((known and name in NOT_COMPUTED) or _any_zeros(args, kwargs)):
            result = _shaped(name, func, args, kwargs)
        if result is None:
            result = func(*tree_map_only(Tensor, _in_full, args), **kwargs)
        if known:
            with suppress(Exception):  # the network goes on, from what is of no known place
                self._keep(result, self._followed(name, func, args, kwargs, known, result))
        return result

    def _is_canvas(self, tensor: Tensor) -> bool:
        shape = tuple(tensor.shape)
        return len(shape) == 4 and shape[1] in self._channels and shape[2:] == self._canvas_size

    def _keep(self, result: Any, places: Any) -> None:
        pairs = zip(result, places) if isinstance(places, list) else [(result, places)]
        for tensor, own in pairs:
            if isinstance(tensor, (tuple, list)):  # pooling gives indices, too, norms their moments
                tensor = tensor[0]
            if own is not None and tensor.is_floating_point():
                self._known[tensor] = own

    def _followed(
        self, name: str, func: Any, args: Any, kwargs: Any, known: list[Tensor], result: Any
    ) -> Any:
        first, one = self._known[known[0]], result[0] if isinstance(result, tuple) else result
        if name == "convolution" and args[0].dim() == 4 and known[0] is args[0]:
            return first.sampled(one.shape, convolution_windows(*args[1:7]))
        if name in POOLS:
            return first.sampled(one.shape, pooling_windows(*args[1:]))
        if name.lstrip("_").startswith(("upsample_", "adaptive_")) and known[0].dim() == 4:
            windows = resize_windows(name, known[0].shape, one.shape, args)
            by_scale = any(isinstance(scale, float) for scale in args)
            return first.sampled(one.shape, windows, fitted=not by_scale)
        if name == "cat" and one.dim() == 4 and len(args) > 1 and args[1] in (1, -3):
            return joined_places([self._known[entry] for entry in known], one.shape, channels=True)
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
        return joined_places([self._known[entry] for entry in known], getattr(one, "shape", None))

    def _moved(self, func: Any, args: Any, kwargs: Any) -> Any:
        def axis_of(name: str) -> Callable[[Tensor], Tensor]:
            def replaced(tensor: Tensor) -> Tensor:
                if tensor in self._known:
                    return getattr(self._known[tensor], name)
                if tensor.is_floating_point():
                    return torch.full(tensor.shape, NOWHERE, dtype=torch.float32, device="cpu")
                return tensor.cpu()  # indices

            return replaced

        y, x = (func(*tree_map_only(Tensor, axis_of(n), args), **kwargs) for n in ("y", "x"))
        known = [e for e in tree_leaves(args) if isinstance(e, Tensor) and e in self._known]
        coarsest = max(self._known[entry].coarsest for entry in known)
        fitted = any(self._known[entry].fitted for entry in known)
        if isinstance(y, Tensor):
            return Places(y, x, coarsest, fitted)
        return [Places(*both, coarsest, fitted) for both in zip(y, x, strict=True)]


def _shaped(name: str, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Zeros instead of a result that nobody looks at; ``None`` where it has to be computed."""
    tensors = [entry for entry in tree_leaves((args, kwargs)) if isinstance(entry, Tensor)]
    if name.endswith("_"):  # in place
        return args[0] if _is_zeros(args[0]) else None
    device = tensors[0].device
    try:
        shapes = func(*tree_map_only(Tensor, _meta, args), **tree_map_only(Tensor, _meta, kwargs))
    except Exception:  # it depends on values
        return None
    leaves = tree_leaves(shapes)
    if not all(isinstance(leaf, Tensor) and leaf.is_floating_point() for leaf in leaves):
        return None
    return tree_map_only(Tensor, lambda one: _zeros(one, device), shapes)


def _zeros(like: Tensor, device: torch.device) -> Tensor:
    return torch.zeros((), dtype=like.dtype, device=device).expand(like.shape)


def _any_zeros(args: Any, kwargs: dict[str, Any]) -> bool:
    leaves = tree_leaves((args, kwargs))
    return any(isinstance(entry, Tensor) and _is_zeros(entry) for entry in leaves)


def _is_zeros(tensor: Tensor) -> bool:
    """Whether one entry stands for all, as in :func:`_zeros`."""
    return tensor.numel() > 1 and not any(tensor.stride())


def _in_full(tensor: Tensor) -> Tensor:
    return tensor.contiguous() if _is_zeros(tensor) else tensor


def _meta(tensor: Tensor) -> Tensor:
    if _is_zeros(tensor):
        return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
    return tensor.to("meta")
