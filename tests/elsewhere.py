"""A device for machines that have none: tensors that say they are elsewhere, and hold numbers.

``with Elsewhere() as device:`` whatever is made on, or sent to, ``"lazy"`` becomes a tensor that is
on that device for every library, and is computed on the host. As on a GPU, an operation that takes
one tensor from there and one from the host fails, unless the latter is a number in arithmetic.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from captum_ssgc._exact import has_double

THERE = torch.device("lazy:0")  # autograd runs it on the host, and no library has to be there
_aten = torch.ops.aten
_TRAVELS = {_aten.copy_, _aten._to_copy, _aten.set_}
_BY_PLACES = {_aten.index, _aten.index_put, _aten.index_put_}  # places may come from the host


class There(Tensor):
    """Numbers on the host, in the clothes of another device."""

    numbers: Tensor

    @staticmethod
    def __new__(cls, numbers: Tensor) -> There:
        if numbers.dtype == torch.float64 and not Elsewhere.double:
            raise TypeError("this device has no float64")
        made: There = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            numbers.shape,
            strides=numbers.stride(),
            storage_offset=numbers.storage_offset(),
            dtype=numbers.dtype,
            device=THERE,
        )
        made.numbers = numbers
        return made

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"There({self.numbers!r})"

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def new_tensor(self, data: Any, **options: Any) -> Tensor:
        Elsewhere.waits.append("new_tensor")
        return There(self.numbers.new_tensor(data, **options))

    def __getitem__(self, index: Any) -> Tensor:
        return super().__getitem__(_sent(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(_sent(index), value)

    def __deepcopy__(self, memo: Any) -> There:
        return There(self.numbers.clone()).requires_grad_(self.requires_grad)  # type: ignore[return-value]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


def _sent(index: Any) -> Any:
    """Lists among the indices as tensors there."""
    if isinstance(index, tuple):
        return tuple(map(_sent, index))
    return There(torch.tensor(index, dtype=torch.int64)) if isinstance(index, list) else index


class MadeOnHost(TorchFunctionMode):
    """Numbers of Python come to a device through the host, out of sight of the other mode."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        device = kwargs.get("device")
        there = device is not None and torch.device(device) == THERE
        if func in (torch.tensor, torch.as_tensor) and there:
            if not isinstance(args[0], There):
                Elsewhere.waits.append(func.__name__)
            made = func(*args, **{**kwargs, "device": None})
            return made if isinstance(made, There) else There(made)
        return func(*args, **kwargs)


class Elsewhere(TorchDispatchMode):
    """Makes the device; ``waits`` are the operations for which the host waited.

    It does where numbers come from the device, and where numbers of Python go there.

    Args:
        double: whether the device has double precision; Apple's have none.
    """

    waits: ClassVar[list[str]] = []
    double: ClassVar[bool] = True

    def __init__(self, double: bool = True) -> None:
        super().__init__()
        self.waits.clear()
        self._double = double
        self._made = MadeOnHost()

    def __enter__(self) -> torch.device:  # type: ignore[override]
        has_double.cache_clear()
        Elsewhere.double = self._double
        super().__enter__()
        self._made.__enter__()
        return THERE

    def __exit__(self, *error: Any) -> None:
        self._made.__exit__(*error)
        super().__exit__(*error)
        has_double.cache_clear()
        Elsewhere.double = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = computed(func, args, kwargs or {})
        given, made = (tree_flatten(one)[0] for one in ((args, kwargs), result))
        comes = any(isinstance(one, There) for one in given)
        if comes and not any(isinstance(one, There) for one in made):
            self.waits.append(str(func))
        return result


def computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Runs an operation on the numbers; what it makes is where its inputs, or a user, say."""
    tensors = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
    given = {id(one.numbers): one for one in tensors if isinstance(one, There)}
    target = kwargs.get("device")
    if given and func.overloadpacket not in _TRAVELS:
        check_places(func, tensors)
    there = bool(given) if target is None else torch.device(target) == THERE
    if func.overloadpacket is _aten.copy_:
        there = isinstance(args[0], There)
    if target is not None and there:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    plain_args, plain = tree_map(
        lambda one: one.numbers if isinstance(one, There) else one, (args, kwargs)
    )
    result = func(*plain_args, **plain)

    def placed(one: Any) -> Any:
        if not isinstance(one, Tensor):
            return one
        return given[id(one)] if id(one) in given else There(one)  # the former in place

    return tree_map(placed, result) if there else result


def check_places(func: Any, tensors: list[Tensor]) -> None:
    places = (torch.int64, torch.bool) if func.overloadpacket in _BY_PLACES else ()
    for one in tensors:
        if one.dtype in places:
            continue
        number = one.dim() == 0 and torch.Tag.pointwise in func.tags
        if not isinstance(one, There) and not number:
            shapes = [
                f"{'there' if isinstance(part, There) else 'host'} {tuple(part.shape)}"
                for part in tensors
            ]
            raise RuntimeError(f"{func}: tensors on two devices: {', '.join(shapes)}")
