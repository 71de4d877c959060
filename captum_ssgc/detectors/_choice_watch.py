"""Whether a network of yours picks its candidates by what it sees in an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from captum_ssgc._as_before import FunctionMode
from captum_ssgc._warnings import warn_user

_ALONG = {"gather", "take_along_dim", "index_select"}  # of one axis
_WHOLE = (torch.int64, torch.int32, torch.int16, torch.uint8, torch.bool)


class ChoiceWatch(FunctionMode):
    """Watches one forward of an unknown network for choices that depend on the image.

    A network that gives only the best of its tokens, or what suppression leaves, gives other
    candidates on a changed image: row ``k`` is then no longer the same one. What is computed from
    the image is followed; a choice is where such numbers say which rows are taken.
    """

    def __init__(self) -> None:
        super().__init__()
        self._chosen: dict[int, int] = {}
        self._picked: set[int] = set()
        self._suppresses = False
        self._seen: Any = WeakTensorKeyDictionary()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()  # a copy watches its own forward; tensors that were seen stay here

    def follow(self, canvas: Tensor) -> None:
        """The image."""
        self._seen[canvas] = True

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if func in (torch.topk, Tensor.topk):
            scores = args[0] if args else kwargs["input"]
            if result.indices.shape[-1] < scores.shape[-1]:
                self._chosen[result.indices.shape[-1]] = scores.shape[-1]
        elif "nms" in name:
            self._suppresses = True
        elif name in _ALONG:
            index = [*args[2:], *(kwargs[key] for key in ("index", "indices") if key in kwargs)]
            axis = args[1] if len(args) > 1 else kwargs.get("dim")
            if isinstance(axis, int) and any(map(self._is_seen, index)):
                self._picked.add(result.shape[axis])
        elif name == "masked_select" or name == "__getitem__":
            self._picked.update(self._sizes_picked(args[1] if len(args) > 1 else None))
        if any(
            isinstance(one, Tensor) and one in self._seen for one in tree_leaves((args, kwargs))
        ):
            for one in tree_leaves(result):
                if isinstance(one, Tensor):
                    self._seen[one] = True
        return result

    def warn_of(self, count: int) -> None:
        """Warn if this many candidates came from a choice."""
        if count in self._chosen:
            warn_user(
                f"the network chooses its {count} candidates among {self._chosen[count]} by their "
                "scores: on a changed image candidate k may be another object. Pass "
                f"queries={count}, which keeps the tokens of detections in their places, or give "
                "all of them."
            )
        elif self._suppresses:
            warn_user(
                "the network suppresses its candidates itself: on a changed image row k may be "
                "another object. Give all candidates, as they were before suppression."
            )
        elif count in self._picked:
            warn_user(
                f"the network picks its {count} candidates, or their order, by what it sees in the "
                "image: on a changed image row k may be another object. Give all candidates, in an "
                "order that does not depend on the image."
            )

    def _is_seen(self, index: Any) -> bool:
        return isinstance(index, Tensor) and index.dtype in _WHOLE and index in self._seen

    def _sizes_picked(self, index: Any) -> Iterator[int]:
        """How long the axes are that an index of the image runs along, and no other one."""
        parts = index if isinstance(index, tuple) else (index,)
        tensors = [one for one in parts if isinstance(one, Tensor) and one.dtype in _WHOLE]
        seen = [one for one in tensors if self._is_seen(one)]
        if not seen:
            return
        if any(one.dtype == torch.bool for one in tensors):
            yield from (int(one.sum()) for one in seen if one.dtype == torch.bool)
            return
        shape = torch.broadcast_shapes(*(one.shape for one in tensors))
        for axis in range(1, len(shape) + 1):
            lengths = [
                one.shape[-axis] for one in tensors if one.dim() >= axis and not self._is_seen(one)
            ]
            if all(length == 1 for length in lengths):
                yield shape[-axis]
