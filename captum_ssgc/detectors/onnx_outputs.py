"""What a detector file gave for the test picture, and what its numbers say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from captum_ssgc.detectors.onnx_boxes import Cells

# Strides of the levels that a number of rows may belong to, the most usual first.
_PYRAMIDS = (
    (8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32), (4, 8, 16), (8, 16), (8,), (16,),
    (32,), (4,), (8, 16, 32, 64, 128), (4, 8, 16, 32, 64), (64,), (2,),
)  # fmt: skip
_ROUNDING = 1e-4
_DECODED = 0.9
_MANY_ROWS = 50  # of which logits are not all between 0 and 1 by chance


@dataclass(frozen=True)
class Outputs:
    """What a network gave for the test picture.

    Args:
        tensors: by name, in the file's order.
        size: ``(H, W)`` of the canvas, in pixels.
        class_count: as the metadata or the user say; ``None`` where nobody does.
        boxes: what the user says about boxes, ``None`` for nothing.
        scores: what the user says about scores.
        attends_to_points: the graph chooses tokens or samples maps, as the kin of Deformable DETR
            do, which are trained with a sigmoid.
    """

    tensors: Mapping[str, Tensor]
    size: tuple[int, int]
    class_count: int | None = None
    boxes: str | None = None
    scores: str | None = None
    attends_to_points: bool = False

    def described(self) -> str:
        """Names with shapes."""
        return ", ".join(f"{name} {tuple(one.shape)}" for name, one in self.tensors.items())

    def scores_of(self, values: Tensor) -> str:
        """What is still to be done to make scores of these."""
        return self.scores or ("none" if _are_shares(values) else "sigmoid")

    def are_scores(self, values: Tensor) -> bool:
        """Whether all columns ``(..., C)`` are of one kind: shares, or none of them.

        Some of both are scores with something else behind them: an angle, or places of keypoints.
        """
        columns = values.flatten(0, -2).unbind(-1)
        if self.scores is not None or len(columns[0]) < _MANY_ROWS:
            return True
        return len(set(map(_are_shares, columns))) == 1

    def cells_of(self, row_count: int, repeats: Sequence[int] = (1, 3)) -> Cells | None:
        """The grids that have this many rows together."""
        for strides in _PYRAMIDS:
            for each in repeats:
                cells = Cells(self.size, strides, each)
                if sum(cells.sizes()) == row_count and min(cells.sizes()) > 0:
                    return cells
        return None

    def box_format(self, boxes: Tensor) -> str:
        """By the cells that centres lie near, or by the order of corners where there are none."""
        away = self._from_cells(boxes)
        if away is None:
            return "xyxy" if _are_corners(boxes) else "cxcywh"
        return min(away, key=away.__getitem__)

    def unlike_boxes(self, values: Tensor) -> float:
        """How far ``(N, R, 4)`` is from boxes: from their cells in pixels, or 1 if out of order."""
        away = self._from_cells(values)
        return float(not _are_corners(values)) if away is None else min(away.values())

    def are_offsets(self, boxes: Tensor) -> bool:
        """Whether boxes ``(N, R, 4)`` begin with offsets from cells, not places on the canvas."""
        cells = self.cells_of(boxes.shape[1])
        if cells is None:
            return False
        middles = (cells.corners() + 0.5) * cells.row_strides()
        pair = torch.stack([boxes[0, :, 0], middles[:, 0].to(boxes)])
        return not float(torch.corrcoef(pair)[0, 1]) > _DECODED

    def _from_cells(self, boxes: Tensor) -> dict[str, float] | None:
        """Distance of the centres from their cells, in pixels, by how boxes may be written."""
        cells = self.cells_of(boxes.shape[1])
        if cells is None:
            return None
        height, width = self.size
        sides = boxes.new_tensor([width, height])
        first, last = boxes[..., :2], boxes[..., 2:4]
        if within_one(boxes):
            first, last = first * sides, last * sides
        middles = ((cells.corners() + 0.5) * cells.row_strides()).to(boxes)
        centres = {"cxcywh": first, "xyxy": (first + last) / 2, "xywh": first + last / 2}
        return {kind: float((one - middles).abs().mean()) for kind, one in centres.items()}


def within_one(boxes: Tensor) -> bool:
    """Whether boxes are shares of the canvas, or a little beyond it."""
    return bool(boxes.abs().amax() <= 2.0)


def _are_shares(values: Tensor) -> bool:
    low, high = (float(one) for one in torch.aminmax(values))
    return low >= 0.0 and high <= 1.0 + _ROUNDING


def _are_corners(boxes: Tensor) -> bool:
    return bool((boxes[..., 2:4] >= boxes[..., :2]).all())
