"""The outputs of layers during one forward, as the leaves of its graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any
from weakref import ref

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ssgc._as_before import FunctionMode
from captum_ssgc._hooks import forward_hooks
from captum_ssgc._norm_gradients import sound_norm_gradients
from captum_ssgc._vendor_versions import saving_is_watched
from captum_ssgc.attr._kept_apart import keeping_apart
from captum_ssgc.attr._lazy_copies import lazy_copy
from captum_ssgc.attr._lean_operations import batch_norm, grid_sample, relu, relu_
from captum_ssgc.attr._sparse_convolution import convolution

_WITH_OWN_WAY_BACK: dict[Any, Callable[..., Tensor]] = {
    torch.conv2d: convolution,
    F.batch_norm: batch_norm,
    F.grid_sample: grid_sample,
    **dict.fromkeys((F.relu, torch.relu, Tensor.relu), relu),
    **dict.fromkeys((torch.relu_, Tensor.relu_), relu_),
    **{
        operation: keeping_apart(operation)
        for operation in (F.group_norm, F.layer_norm, F.silu, F.hardswish, F.mish, F.gelu)
    },
}


class LayerCapture:
    """The tensors that layers give (or take) during one forward, ready to be differentiated."""

    def __init__(
        self, layers: Sequence[nn.Module], of_input: bool = False, with_graph: bool = True
    ) -> None:
        self.layers = list(layers)
        self.of_input, self.with_graph = of_input, with_graph
        self._calls: dict[nn.Module, list[Any]] = {layer: [] for layer in layers}
        self._went_on: dict[nn.Module, tuple[ref[Tensor], int | None]] = {}

    def before(self, layer: nn.Module, args: tuple[Any, ...]) -> Any:
        if not args:
            self._calls[layer].append(None)
            return None
        return (self._keep(layer, args[0]), *args[1:])

    def after(self, layer: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        given = self._keep(layer, output)
        if isinstance(given, Tensor):
            self._went_on[layer] = ref(given), _version(given)
        return given

    def went_on(self, layer: nn.Module, tensor: Tensor) -> bool:
        """Whether a tensor is the very one that the network got from a layer, not written to."""
        known, version = self._went_on.get(layer, (None, None))
        return known is not None and known() is tensor and _version(tensor) == version

    def _keep(self, layer: nn.Module, value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.is_floating_point():
            self._calls[layer].append(value)
            return value
        if not self.with_graph:
            self._calls[layer].append(lazy_copy(value.detach()))
            return value
        if not value.requires_grad:
            value = value.detach().requires_grad_()
        self._calls[layer].append(value)
        return lazy_copy(value)

    def is_complete(self) -> bool:
        """Whether each layer ran once and gave a tensor."""
        return all(
            len(calls) == 1 and isinstance(calls[0], Tensor) for calls in self._calls.values()
        )

    def tensors(
        self, name_of: Callable[[nn.Module], str], advice: Callable[[], str]
    ) -> list[Tensor]:
        """One tensor per layer.

        Raises:
            ValueError: if a layer did not run, ran more than once, or gave no tensor of
                floating-point numbers.
        """
        return [self._tensor(layer, name_of(layer), advice) for layer in self.layers]

    def _tensor(self, layer: nn.Module, name: str, advice: Callable[[], str]) -> Tensor:
        calls = self._calls[layer]
        if len(calls) == 1 and isinstance(calls[0], Tensor):
            if calls[0].is_floating_point():
                return calls[0]
            raise ValueError(
                f"layer {name!r}: expected floating-point numbers, which have a gradient, got "
                f"{calls[0].dtype}; {advice()}"
            )
        if not calls:
            raise ValueError(
                f"layer {name!r} did not run in the forward pass, so it is not on the path to "
                f"the score; {advice()}"
            )
        if len(calls) > 1:
            raise ValueError(
                f"layer {name!r} ran {len(calls)} times in one forward pass (a head shared by "
                f"the levels of a pyramid, say), so it has no single activation map; {advice()}"
            )
        raise ValueError(
            f"layer {name!r}: expected a tensor, got {type(calls[0]).__name__}; for a feature "
            "pyramid pass a list of its level layers, or name them when the model is wrapped "
            f"(level_layers=...); {advice()}"
        )


def _version(tensor: Tensor) -> int | None:
    return None if tensor.is_inference() else tensor._version


class ConstantParameters(FunctionMode):
    """In this thread, parameters enter every operation as constants.

    A graph then holds nothing that does not depend on the captured layers, convolutions go back
    from what is not zero alone, and some operations keep less of what they took. The parameters
    themselves are left alone, so that other threads may train them meanwhile. What a network asks
    of a parameter itself (``requires_grad``), or sets (``data``), is that of the parameter. Where
    somebody looks at what operations save, as activation checkpointing does, they are as they are:
    what a checkpoint runs again, without this mode, has to save the same.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in ("__get__", "__set__"):
            return _constant_result(func(*args, **kwargs), args[0])
        if saving_is_watched():
            return func(*args, **kwargs)
        if any(type(value) is not Tensor and _has_parameter(value) for value in args):
            args = tuple(_constant(value) for value in args)
        if kwargs and any(_has_parameter(value) for value in kwargs.values()):
            kwargs = {name: _constant(value) for name, value in kwargs.items()}
        own = _WITH_OWN_WAY_BACK.get(func)
        return (own if own is not None and _is_plain(types) else func)(*args, **kwargs)


def _is_plain(types: Iterable[type]) -> bool:
    """Subclasses of tensors and transforms of functions have their own idea of an operation."""
    return set(types) <= {Tensor} and not torch._C._are_functorch_transforms_active()


def _has_parameter(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_has_parameter, value))
    return isinstance(value, nn.Parameter)


def _constant(value: Any) -> Any:
    if type(value) in (list, tuple):
        return type(value)(map(_constant, value))
    return value.detach() if isinstance(value, nn.Parameter) else value


def _constant_result(value: Any, owner: Any) -> Any:
    """An attribute of a tensor: a view of a parameter, such as ``T``, without graph."""
    of_parameter = isinstance(owner, nn.Parameter) and isinstance(value, Tensor)
    return value.detach() if of_parameter and value.requires_grad else value


@contextmanager
def capturing(
    model: nn.Module | None,
    layers: Sequence[nn.Module],
    of_input: bool = False,
    with_graph: bool = True,
) -> Iterator[LayerCapture]:
    """Record ``layers`` during the body.

    With a graph, gradients are on, and it starts at the layers, as nothing below them requires one.

    Args:
        model: that runs in the body, where it is known.
        layers: to record.
        of_input: record what they take instead of what they give.
        with_graph: make one.
    """
    capture = LayerCapture(layers, of_input, with_graph)
    hooks = (
        forward_hooks(before=dict.fromkeys(capture.layers, capture.before))
        if of_input
        else forward_hooks(after=dict.fromkeys(capture.layers, capture.after), first=True)
    )
    with (
        torch.inference_mode(False),
        torch.set_grad_enabled(with_graph),
        sound_norm_gradients(model),
        hooks,
        ConstantParameters() if with_graph else nullcontext(),
    ):
        yield capture
