"""From what a head writes to boxes on the canvas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from captum_ssgc._polygons import enclosing_boxes
from captum_ssgc.detectors.candidates import Candidates

BOXES = ("xyxy", "cxcywh", "xywh", "grid", "dfl", "anchors", "cxcywhr")
SCORES = ("none", "sigmoid", "softmax")
_HOST = torch.device("cpu")
# YOLOv5's own, width and height in pixels, three for each of its levels.
ANCHORS = (
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)


@dataclass(frozen=True)
class Cells:
    """The grid cells that rows belong to: level by level, row by row of the grid.

    Args:
        size: ``(H, W)`` of the canvas, in pixels.
        strides: of the levels, in canvas pixels.
        repeats: how often every level's grid is repeated, as for several anchors.
    """

    size: tuple[int, int]
    strides: Sequence[int]
    repeats: int = 1

    def sizes(self) -> list[int]:
        """How many rows each level has."""
        height, width = self.size
        return [(height // one) * (width // one) * self.repeats for one in self.strides]

    def corners(self, device: torch.device = _HOST) -> Tensor:
        """``(R, 2)``: column and row of each cell."""
        levels = []
        for stride in self.strides:
            lines = (torch.arange(side // stride, device=device) for side in self.size)
            y, x = torch.meshgrid(*lines, indexing="ij")
            levels.append(torch.stack([x, y], -1).reshape(-1, 2).repeat(self.repeats, 1).float())
        return torch.cat(levels)

    def row_strides(self, device: torch.device = _HOST) -> Tensor:
        """``(R, 1)``: the stride of each row's level, in canvas pixels."""
        return _row_by_row(self.strides, self.sizes(), device).float()[:, None]

    def boxes(self, device: torch.device = _HOST) -> Tensor:
        """``(R, 4)`` xyxy on the canvas."""
        corners = self.corners(device)
        return torch.cat([corners, corners + 1], 1) * self.row_strides(device)

    def levels(self, device: torch.device = _HOST) -> Tensor:
        """``(R,)`` int64."""
        return _row_by_row(range(len(self.strides)), self.sizes(), device)


def cells_of_sizes(size: tuple[int, int], sizes: Sequence[int]) -> Cells | None:
    """The cells of levels with these numbers of rows; ``None`` where they are no such grids."""
    for repeats in (1, 3):
        strides = [round((size[0] * size[1] * repeats / count) ** 0.5) for count in sizes]
        cells = Cells(size, strides, repeats)
        if min(strides) > 0 and cells.sizes() == list(sizes):
            return cells
    return None


@dataclass(frozen=True)
class BoxDecoder:
    """Raw boxes, objectness and class scores to :class:`Candidates`.

    Args:
        boxes: ``"xyxy"``, ``"cxcywh"`` or ``"xywh"`` (from the top left) on the canvas;
            ``"grid"``: the centre's offset from the cell and the logarithm of the size, in strides
            (YOLOX); ``"dfl"``: distributions of the distances to the four sides, in strides
            (YOLOv8); ``"anchors"``: YOLOv5's offsets; ``"cxcywhr"``: oriented boxes on the canvas,
            the angle in radians as a fifth column.
        scores: what is still to be done: ``"none"``, ``"sigmoid"`` or ``"softmax"``.
        size: ``(H, W)`` of the canvas, in pixels.
        normalised: boxes are shares of the canvas.
        background: ``"first"`` or ``"last"`` column of the classes that is none; the last is left
            out, and the first is never reported, so that labels are the file's own.
        cells: of the rows, where there are any.
        level_sizes: rows of each level, where they are known without cells.
        anchors: width and height, by level.

    References:
        Z. Ge et al., YOLOX: Exceeding YOLO Series in 2021, arXiv:2107.08430. X. Li et al.,
        Generalized Focal Loss, NeurIPS 2020, arXiv:2006.04388.
    """

    boxes: str
    scores: str
    size: tuple[int, int]
    normalised: bool = False
    background: str | None = None
    cells: Cells | None = None
    level_sizes: Sequence[int] = ()
    anchors: Sequence[Sequence[Sequence[float]]] = field(default=ANCHORS)

    def __call__(
        self, boxes: Tensor, classes: Tensor, objectness: Tensor | None = None
    ) -> Candidates:
        """Boxes ``(N, R, 4)`` (``dfl``: ``(N, R, 4 B)``), classes ``(N, R, C)``, ``(N, R, 1)``."""
        boxes, classes = boxes.float(), classes.float()
        scores = self._activated(classes)
        if self.background == "last":
            scores, classes = scores[..., :-1], classes[..., :-1]
        elif self.background == "first":
            scores = scores * (torch.arange(scores.shape[-1], device=scores.device) > 0)
        logits = classes if self.scores == "sigmoid" and objectness is None else None
        if objectness is not None:
            objectness = objectness.float()
            scores = scores * (objectness if self.scores == "none" else objectness.sigmoid())
        levels = self._levels(boxes.device)
        cells = None if self.cells is None else self.cells.boxes(boxes.device)
        more: dict[str, Tensor | None] = {"levels": levels, "cells": cells}
        if self.boxes == "cxcywhr":
            corners = turned(boxes)
            return Candidates(enclosing_boxes(corners), scores, logits, corners=corners, **more)
        return Candidates(self._corners(boxes), scores, logits, **more)

    def _activated(self, values: Tensor) -> Tensor:
        if self.scores == "none":
            return values
        return values.sigmoid() if self.scores == "sigmoid" else values.softmax(-1)

    def _levels(self, device: torch.device) -> Tensor | None:
        if self.cells is not None:
            return self.cells.levels(device)
        if not self.level_sizes:
            return None
        return _row_by_row(range(len(self.level_sizes)), self.level_sizes, device)

    def _corners(self, boxes: Tensor) -> Tensor:
        if self.boxes in ("grid", "dfl", "anchors"):
            return self._of_cells(boxes)
        if self.normalised:
            height, width = self.size
            sides = (width, height, width, height)  # one by one: a tensor would wait for a GPU
            boxes = torch.stack([boxes[..., i] * side for i, side in enumerate(sides)], -1)
        if self.boxes == "xyxy":
            return boxes
        if self.boxes == "xywh":
            return torch.cat([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], -1)
        return _around(boxes[..., :2], boxes[..., 2:])

    def _of_cells(self, boxes: Tensor) -> Tensor:
        if self.cells is None:
            raise ValueError(f"boxes={self.boxes!r} needs rows that belong to grid cells.")
        corners, strides = self.cells.corners(boxes.device), self.cells.row_strides(boxes.device)
        if self.boxes == "grid":
            return _around((boxes[..., :2] + corners) * strides, boxes[..., 2:].exp() * strides)
        if self.boxes == "anchors":
            share = boxes.sigmoid()
            anchors = [
                boxes.new_tensor(sides).repeat_interleave(count // len(sides), 0)
                for count, sides in zip(self.cells.sizes(), self.anchors, strict=True)
            ]
            centre = (share[..., :2] * 2 - 0.5 + corners) * strides
            return _around(centre, (share[..., 2:] * 2).square() * torch.cat(anchors))
        bins = boxes.unflatten(-1, (4, -1)).softmax(-1)
        away = (bins * torch.arange(bins.shape[-1], device=boxes.device)).sum(-1)
        middle = corners + 0.5
        return torch.cat([middle - away[..., :2], middle + away[..., 2:]], -1) * strides


def turned(boxes: Tensor) -> Tensor:
    """``cx, cy, w, h`` and an angle in radians, ``(..., 5)``, to corners ``(..., 4, 2)``."""
    centre, (wide, high, angle) = boxes[..., :2], boxes[..., 2:].unbind(-1)
    cosine, sine = angle.cos(), angle.sin()
    across = torch.stack([wide * cosine, wide * sine], -1) / 2
    down = torch.stack([-high * sine, high * cosine], -1) / 2
    signs = ((1, 1), (1, -1), (-1, -1), (-1, 1))
    return torch.stack([centre + one * across + other * down for one, other in signs], -2)


def _around(centre: Tensor, sides: Tensor) -> Tensor:
    return torch.cat([centre - sides / 2, centre + sides / 2], -1)


def _row_by_row(values: Sequence[int], sizes: Sequence[int], device: torch.device) -> Tensor:
    """One value for all rows of a level, made on the device, so that nothing is sent there."""
    levels = zip(values, sizes, strict=True)
    return torch.cat(
        [torch.full((count,), one, dtype=torch.int64, device=device) for one, count in levels]
    )
