"""Raw maps of heads: which of them hold boxes, objectness and classes, level by level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from captum_ssgc.detectors.onnx_boxes import Cells
from captum_ssgc.detectors.onnx_outputs import Outputs
from captum_ssgc.map_layout import are_channels_last

_DFL_BINS = 16
_YOLOV5_COLUMNS = 255  # of COCO's 80 classes


@dataclass(frozen=True)
class HeadMaps:
    """The maps of a network that gives nothing else.

    Args:
        kind: how boxes are written, see :class:`BoxDecoder`.
        anchors: of each cell.
        cells: of the rows.
        places: of the outputs of each level, in the order box, objectness, classes.
        box_columns: how many columns a box has.
        objectness: there is a column of it after the box.
        channels_last: maps are ``(N, h, w, K)``.
    """

    kind: str
    anchors: int
    cells: Cells
    places: Sequence[Sequence[int]]
    box_columns: int
    objectness: bool
    channels_last: bool

    def take(self, tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
        """Boxes, classes and objectness, ``(N, R, ...)`` each, level by level."""
        heads = _channels_first(tensors) if self.channels_last else tensors
        levels = [
            torch.cat([_flat(heads[i], self.anchors) for i in own], -1) for own in self.places
        ]
        rows, end = torch.cat(levels, 1), self.box_columns
        if not self.objectness:
            return rows[..., :end], rows[..., end:], None
        return rows[..., :end], rows[..., end + 1 :], rows[..., end : end + 1]


def head_maps_of(outputs: Outputs) -> HeadMaps | None:
    """The maps of heads; ``None`` where there are others, or it is not known which hold boxes."""
    heads = [one for one in outputs.tensors.values() if one.dim() in (4, 5)]
    if not heads or len(heads) != len(outputs.tensors):
        return None
    shapes = [one.shape for one in heads if one.dim() == 4]
    last = bool(shapes) and are_channels_last(shapes, outputs.size)
    heads = _channels_first(heads) if last else heads
    grids = [tuple(one.shape[2:4]) for one in heads]
    by_grid = {grid: [i for i, own in enumerate(grids) if own == grid] for grid in grids}
    ordered = sorted(by_grid, reverse=True)
    places = [_box_object_class(heads, by_grid[grid]) for grid in ordered]
    if not all(places):
        return None
    columns = [heads[i].shape[4 if heads[i].dim() == 5 else 1] for i in places[0]]
    kind, anchors = _kind(outputs, heads[places[0][0]], sum(columns))
    box = 4 * _DFL_BINS if kind == "dfl" else 4
    apart = len(columns) > 1  # then a column of its own says that there is objectness
    objectness = kind != "dfl" and (
        len(columns) > 2 if apart else sum(columns) - 4 != outputs.class_count
    )
    strides = [round(outputs.size[0] / grid[0]) for grid in ordered]
    return HeadMaps(
        kind, anchors, Cells(outputs.size, strides, anchors), places, box, objectness, last
    )


def _box_object_class(heads: Sequence[Tensor], places: Sequence[int]) -> list[int]:
    """The maps of one grid in the order box, objectness, classes; none where boxes are unknown."""
    if len(places) == 1:
        return list(places)
    boxes = [i for i in places if heads[i].shape[1] in (4, 4 * _DFL_BINS)][:1]
    objects = [i for i in places if heads[i].shape[1] == 1 and i not in boxes][: len(places) - 2]
    further = [i for i in places if i not in boxes and i not in objects]
    return [*boxes, *objects, *further] if boxes and len(further) == 1 else []


def _kind(outputs: Outputs, first: Tensor, columns: int) -> tuple[str, int]:
    """How boxes are written, and the anchors of a cell."""
    count = outputs.class_count
    if first.dim() == 5:
        return "anchors", first.shape[1]
    if outputs.boxes in ("grid", "dfl"):
        return outputs.boxes, 1
    of_anchors = columns == _YOLOV5_COLUMNS or bool(count and columns == 3 * (5 + count))
    if outputs.boxes == "anchors" or of_anchors:
        return "anchors", 3
    if first.shape[1] == 4 * _DFL_BINS or (count and columns == 4 * _DFL_BINS + count):
        return "dfl", 1
    return "grid", 1


def _channels_first(heads: Sequence[Tensor]) -> list[Tensor]:
    return [one.permute(0, 3, 1, 2) if one.dim() == 4 else one for one in heads]


def _flat(one: Tensor, anchors: int) -> Tensor:
    """A map as rows ``(N, A h w, K)``."""
    if one.dim() == 4:
        one = one.unflatten(1, (anchors, -1)).permute(0, 1, 3, 4, 2)
    return one.flatten(1, 3)
