"""What a detector file reports once it has selected its detections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torchvision.ops import box_convert

from captum_ssgc._polygons import enclosing_boxes
from captum_ssgc.detectors.onnx_boxes import turned

# Detections of one image: boxes (K, 4) xyxy in canvas pixels, scores (K,), labels (K,).
Report = tuple[Tensor, Tensor, Tensor]
WRITTEN = ("xyxy", "yxyx", "cxcywh", "xywh")
_COUNTS = ("num_dets", "num_detections", "num_detections:0", "num")


@dataclass(frozen=True)
class ReportReader:
    """Reads final detections off outputs; ``None`` where they are in no known layout.

    Known are rows ``x1, y1, x2, y2, score, label``; YOLOv7's ``batch, x1, y1, x2, y2, label,
    score``; boxes, labels and scores as three outputs, as torchvision, RT-DETR and D-FINE write
    them; boxes with a score in a fifth column, and labels; with a count as a further output
    likewise. Boxes in [0, 1] are multiplied by the canvas; TensorFlow's ``detection_boxes`` begin
    with y.

    Args:
        size: ``(H, W)`` of the canvas, in pixels.
        boxes: ``"xyxy"``, ``"cxcywh"``, ``"xywh"`` or ``"yxyx"``.
        oriented: seven columns are centre, sides, score, label and angle, as Ultralytics' export
            of oriented boxes writes them; the upright boxes around these are reported.
    """

    size: tuple[int, int]
    oriented: bool = False
    boxes: str = "xyxy"

    def __call__(self, outputs: Mapping[str, Tensor]) -> Report | None:
        """The detections of the first image."""
        counts = [int(one.reshape(-1)[0]) for name, one in outputs.items() if name in _COUNTS]
        count = counts[0] if counts else None
        batched = any(one.dim() == 3 for one in outputs.values())
        lists = {
            name: one[0] if one.dim() == 3 or (batched and one.dim() == 2) else one
            for name, one in outputs.items()
            if name not in _COUNTS
        }
        tables = [(name, one) for name, one in lists.items() if one.dim() == 2]
        if len(tables) != 1:
            return None
        [(name, table)] = tables
        if len(lists) == 1 and table.shape[1] == 6:
            score, label = table[:, 4], table[:, 5]
            if _are_whole(score) and not _are_whole(label):
                score, label = label, score
            return self._report(table[:, :4], score, label, count)
        if len(lists) == 1 and table.shape[1] == 7 and self.oriented:
            boxes = enclosing_boxes(turned(table[:, [0, 1, 2, 3, 6]]))
            return self._report(boxes, table[:, 4], table[:, 5], count)
        if len(lists) == 1 and table.shape[1] == 7:
            return self._report(table[:, 1:5], table[:, 6], table[:, 5], count)
        single = {key: one for key, one in lists.items() if one.dim() == 1}
        labels = [key for key, one in single.items() if _labels(key, one)]
        scores = [one for key, one in single.items() if key not in labels]
        if table.shape[1] == 5:
            scores = [table[:, 4]]
        if table.shape[1] not in (4, 5) or len(labels) != 1 or len(scores) != 1:
            return None
        boxes = table[:, [1, 0, 3, 2]] if name.startswith("detection_boxes") else table[:, :4]
        return self._report(boxes, scores[0], single[labels[0]], count)

    def _report(self, boxes: Tensor, scores: Tensor, labels: Tensor, count: int | None) -> Report:
        count = len(boxes) if count is None else count
        boxes = boxes[:count].float()
        if len(boxes) and float(boxes.abs().max()) <= 2.0:
            height, width = self.size
            sides = [height, width] if self.boxes == "yxyx" else [width, height]
            boxes = boxes * boxes.new_tensor(sides * 2)
        boxes = corners_of(boxes, self.boxes)
        kept = scores[:count] > 0
        return boxes[kept], scores[:count][kept].float(), labels[:count][kept].round().long()


def corners_of(boxes: Tensor, written: str) -> Tensor:
    """Boxes ``(K, 4)`` as xyxy."""
    if written == "yxyx":
        return boxes[:, [1, 0, 3, 2]]
    return boxes if written == "xyxy" else box_convert(boxes, written, "xyxy")


def _are_whole(one: Tensor) -> bool:
    return bool((one == one.round()).all())


def _labels(name: str, one: Tensor) -> bool:
    return not one.is_floating_point() or "label" in name or "class" in name


def background_of(scores: Tensor, reported: Report) -> str | None:
    """The first or last class, where it is never reported although it scores like those that are.

    Args:
        scores: ``(R, C)`` of the candidates.
        reported: what the file makes of them.
    """
    _, best, labels = reported
    if scores.shape[-1] < 2 or not len(labels):
        return None
    lowest = best.median()
    for column, name in ((0, "first"), (scores.shape[-1] - 1, "last")):
        if float(scores[:, column].max()) >= float(lowest) and not bool((labels == column).any()):
            return name
    return None


def candidates_hold(
    boxes: Tensor, scores: Tensor, reported: Report, labels: bool, tolerance: float = 1e-3
) -> bool:
    """Whether every reported detection is one of the candidates.

    Args:
        boxes: ``(R, 4)`` xyxy on the canvas.
        scores: ``(R, C)``.
        reported: boxes, scores and labels.
        labels: whether the score has to stand in the column of the label; files may number their
            labels in another way.
        tolerance: of scores; of boxes as a share of their largest coordinate.
    """
    size = max(float(boxes.abs().max()), 1.0)
    for box, score, label in zip(*reported, strict=True):
        if labels and not 0 <= int(label) < scores.shape[1]:
            return False
        columns = scores[:, int(label), None] if labels else scores
        same = ((boxes - box).abs().amax(-1) <= tolerance * size)[:, None]
        if not bool((same & ((columns - score).abs() <= tolerance)).any()):
            return False
    return True
