"""Which of several outputs holds boxes, class scores and objectness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from captum_ssgc.detectors.onnx_outputs import Outputs, within_one

_SCORES = ("score", "conf", "class", "cls", "logit", "prob")
_OBJECTNESS = ("obj", "center", "centre", "ctr")
# What a candidate may have besides, by the words that its outputs are called by.
_OTHERS = (
    "mask", "coef", "proto", "point", "kpt", "land", "angle", "theta", "rot", "feat", "hidden",
    "state", "iou", "direct", "depth", "attn",
)  # fmt: skip


@dataclass(frozen=True)
class Roles:
    """The places of the outputs that candidates are read from.

    Args:
        boxes: ``(N, R, 4)`` or ``(N, 4, R)``.
        scores: ``(N, R, C)`` or ``(N, C, R)``.
        objectness: ``(N, R, 1)``, ``(N, 1, R)`` or ``(N, R)``, where there is one.
        transposed: the places of those that have their rows last.
    """

    boxes: int
    scores: int
    objectness: int | None
    transposed: frozenset[int]

    def take(self, tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
        """Boxes ``(N, R, 4)``, classes ``(N, R, C)`` and objectness ``(N, R, 1)``."""
        objectness = None if self.objectness is None else self._rows(tensors, self.objectness)
        return self._rows(tensors, self.boxes), self._rows(tensors, self.scores), objectness

    def _rows(self, tensors: Sequence[Tensor], place: int) -> Tensor:
        one = _three_axes(tensors[place])
        return one.mT if place in self.transposed else one


def roles_of(outputs: Outputs) -> Roles | None:
    """The roles of the outputs by shapes, names and numbers; ``None`` where these do not tell."""
    tensors = {
        place: (name.lower(), _three_axes(one))
        for place, (name, one) in enumerate(outputs.tensors.items())
        if one.is_floating_point() and _three_axes(one).dim() == 3 and one.numel()
    }
    possible = [
        (place, transposed)
        for place, (_, one) in tensors.items()
        for transposed in (False, True)
        if one.shape[1 if transposed else 2] == 4
    ]

    def unlikely(choice: tuple[int, bool]) -> tuple[bool, float, bool, bool]:
        name, one = tensors[choice[0]]
        boxes = one.mT if choice[1] else one
        return "box" not in name, outputs.unlike_boxes(boxes), within_one(boxes), choice[1]

    for place, transposed in sorted(possible, key=unlikely):
        count = tensors[place][1].shape[2 if transposed else 1]
        others = {key: other for key, other in tensors.items() if key != place}
        roles = _with_scores(outputs, place, transposed, count, others)
        if roles is not None:
            return roles
    return None


def _with_scores(
    outputs: Outputs,
    boxes: int,
    boxes_transposed: bool,
    row_count: int,
    others: Mapping[int, tuple[str, Tensor]],
) -> Roles | None:
    """The roles of the other outputs, if the boxes are those at this place."""
    names, columns, transposed = {}, {}, {boxes} if boxes_transposed else set()
    for place, (name, one) in others.items():
        if row_count not in one.shape[1:]:
            continue
        names[place] = name
        if one.shape[1] != row_count:
            transposed.add(place)
        columns[place] = one.mT if place in transposed else one
    called = {place: name for place, name in names.items() if not _any_of(_OTHERS, name)}
    several = [place for place in called or names if columns[place].shape[2] > 1]
    single = [place for place in called or names if columns[place].shape[2] == 1]
    scores = _scores(outputs, several or single[:1], names, columns)
    if scores is None:
        return None
    objects = [place for place in single if place != scores and _any_of(_OBJECTNESS, names[place])]
    if not objects and not _any_of(_SCORES, names[scores]):
        objects = [place for place in single if place != scores]
    best = columns[scores].amax(-1, keepdim=True)
    objects = [place for place in objects if not torch.equal(columns[place], best)]
    return Roles(boxes, scores, objects[0] if objects else None, frozenset(transposed))


def _scores(
    outputs: Outputs,
    several: Sequence[int],
    names: Mapping[int, str],
    columns: Mapping[int, Tensor],
) -> int | None:
    """The place of the class scores; ``None`` where several outputs may be."""
    counts = (outputs.class_count, (outputs.class_count or 0) + 1)
    for told in (
        [place for place in several if outputs.class_count and columns[place].shape[2] in counts],
        [place for place in several if _any_of(_SCORES, names[place])],
        several,
    ):
        if len(told) == 1:
            return told[0]
    return None


def _any_of(words: Sequence[str], name: str) -> bool:
    return any(word in name for word in words)


def _three_axes(one: Tensor) -> Tensor:
    """``(R, K)`` and ``(N, R, 1, K)`` as ``(N, R, K)``."""
    if one.dim() == 4 and one.shape[2] == 1:
        return one.squeeze(2)
    return one[None] if one.dim() == 2 else one
