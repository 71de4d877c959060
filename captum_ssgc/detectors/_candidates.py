"""What your own detector gives, and what cannot be right in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captum_ssgc._polygons import enclosing_boxes, signed_areas
from captum_ssgc.detections import Detections

_SHARES = 2.0  # boxes in shares of the image end here at the latest
_ROUNDING = 1e-4
_MANY = 50  # candidates, of which a few may be wild
_OUTSIDE, _BEYOND = 0.2, 0.1  # shares of the candidates, of a side of the canvas
_CORNERS = (
    "expected x1, y1, x2, y2 in pixels of the canvas; are these centres and sizes, or x, y, width "
    "and height (torchvision.ops.box_convert)?"
)


@dataclass(frozen=True)
class Candidates:
    """All candidates of a batch, before non-maximum suppression.

    Args:
        boxes: ``(N, R, 4)`` xyxy in pixels of the canvas (the network's input).
        class_scores: ``(N, R, C)`` in [0, 1]; column ``c`` is label ``c``.
        class_logits: ``(N, R, C)`` before softmax or sigmoid, where the model has them.
        regions: ``(R, 4)``, ``(1, R, 4)`` or ``(N, R, 4)`` xyxy on the canvas, the anchors;
            ``None`` where there are none, then a candidate's region is its box.
        levels: ``(R,)`` int64 pyramid level of each candidate; ``None`` for a single level.
        cells: ``(R, 4)`` xyxy on the canvas: the grid cell that predicts each candidate, which may
            lie beside its box; regions are extended to hold it.
        corners: ``(N, R, 4, 2)`` x and y on the canvas of the corners of oriented boxes, in order
            around each; then ``boxes`` are the upright ones that enclose them. They are suppressed
            by the IoU of the polygons.

    Raises:
        TypeError: if one of these is no tensor, or scores are not floating point.
        ValueError: for a wrong shape.
    """

    boxes: Tensor
    class_scores: Tensor
    class_logits: Tensor | None = None
    regions: Tensor | None = None
    levels: Tensor | None = None
    cells: Tensor | None = None
    corners: Tensor | None = None

    def __post_init__(self) -> None:
        for name, tensor in vars(self).items():
            if not (isinstance(tensor, Tensor) or (tensor is None and name not in _NEEDED)):
                raise TypeError(f"{name}: expected a tensor, got {_described(tensor)}.{_ADVICE}")
            if name.startswith("class_") and tensor is not None and not tensor.is_floating_point():
                raise TypeError(f"{name}: expected floating point, got {tensor.dtype}.")
        boxes, scores = self.boxes, self.class_scores
        if boxes.dim() != 3 or boxes.shape[-1] != 4:
            raise ValueError(f"boxes: expected shape (N, R, 4), got {tuple(boxes.shape)}.")
        if scores.dim() != 3 or scores.shape[:2] != boxes.shape[:2]:
            expected = (*boxes.shape[:2], "C")
            raise ValueError(f"class_scores: expected shape {expected}, got {tuple(scores.shape)}.")
        if not scores.shape[2]:
            raise ValueError(f"class_scores: expected a class or more, got {tuple(scores.shape)}.")
        if self.class_logits is not None and self.class_logits.shape != scores.shape:
            raise ValueError(
                f"class_logits: expected shape {tuple(scores.shape)}, as class_scores, "
                f"got {tuple(self.class_logits.shape)}."
            )
        count = boxes.shape[1]
        if self.regions is not None and not (
            self.regions.shape[-2:] == (count, 4)
            and self.regions.shape[:-2] in ((), (1,), boxes.shape[:1])
        ):
            raise ValueError(
                f"regions: expected ({count}, 4), or these for each of {len(boxes)} images, got "
                f"{tuple(self.regions.shape)}."
            )
        if self.cells is not None and self.cells.shape != (count, 4):
            raise ValueError(f"cells: expected ({count}, 4), got {tuple(self.cells.shape)}.")
        if self.levels is not None and self.levels.shape != (count,):
            raise ValueError(f"levels: expected ({count},), got {tuple(self.levels.shape)}.")
        if self.levels is not None and (
            self.levels.is_floating_point() or self.levels.is_complex()
        ):
            raise TypeError(f"levels: expected whole numbers (int64), got {self.levels.dtype}.")
        if self.corners is not None and self.corners.shape != (*boxes.shape[:2], 4, 2):
            expected = (*boxes.shape[:2], 4, 2)
            raise ValueError(f"corners: expected {expected}, got {tuple(self.corners.shape)}.")


_NEEDED = ("boxes", "class_scores")
_ADVICE = " Pass decode=..., a function that makes Candidates from the network's output."


def candidates_from(output: Any) -> Candidates:
    """``output`` as :class:`Candidates`: it may also be ``(boxes, class_scores)``.

    Raises:
        TypeError: if it is something else.
    """
    if isinstance(output, Candidates):
        return output
    pair = isinstance(output, (tuple, list)) and len(output) == 2
    if pair and all(isinstance(part, Tensor) for part in output):
        return Candidates(*output)
    hint = ""
    if isinstance(output, Tensor) and output.dim() == 2:
        hint = " It looks like a classifier, which has no boxes: use captum.attr.LayerGradCam."
    if isinstance(output, list) and output and isinstance(output[0], dict):
        hint = " They look like a model's final reports: wrap the model itself, not a function."
    if isinstance(output, nn.Module):
        hint = " It is a function that builds a model: call it, and pass the model."
    raise TypeError(
        "the detector must give Candidates or a tuple (boxes (N, R, 4), class_scores (N, R, C)), "
        f"got {_described(output)}: pass decode=... that makes them from the network's output."
        + hint
    )


def check_candidates(
    candidates: Candidates, level_layers: int, canvas_size: tuple[int, int]
) -> None:
    """Check the values of candidates on a reference image.

    Args:
        candidates: of the batch.
        level_layers: how many there are.
        canvas_size: ``(H, W)`` in pixels.

    Raises:
        ValueError: for scores that are no probabilities, a level without a layer, or many boxes in
            another format.
    """
    scores, levels = candidates.class_scores, candidates.levels
    if not scores.numel():
        return
    low, high = (float(value) for value in torch.aminmax(scores))
    if math.isnan(low) or math.isnan(high):
        count = int(scores.isnan().sum())
        raise ValueError(
            f"class_scores: expected probabilities in [0, 1], got NaN for {count} of "
            f"{scores.numel()}: does the network overflow (half precision, images out of range)?"
        )
    if not (low >= 0.0 and high <= 1.0 + _ROUNDING):
        raise ValueError(
            f"class_scores: expected probabilities in [0, 1], got values from {low:.4g} to "
            f"{high:.4g}; apply sigmoid or softmax in decode, and pass class_logits beside them."
        )
    if levels is not None:
        lowest, highest = int(levels.min()), int(levels.max())
        if lowest < 0 or 1 < level_layers <= highest:
            known = (
                f"0 to {level_layers - 1}, one for each of level_layers" if level_layers else "0 up"
            )
            raise ValueError(f"levels: expected {known}, got {lowest if lowest < 0 else highest}.")
    _check_all_boxes(candidates.boxes.flatten(0, 1), canvas_size)


def _check_all_boxes(boxes: Tensor, canvas_size: tuple[int, int]) -> None:
    """Tell a format by all candidates, where there are many: few of them are reported."""
    boxes = boxes[boxes.isfinite().all(1)]
    if len(boxes) < _MANY:
        return
    turned = float((boxes[:, 2:] < boxes[:, :2]).any(1).float().mean())
    if turned > 0.5:
        raise ValueError(f"boxes: {turned:.0%} of the candidates end before they begin: {_CORNERS}")
    sides = boxes.new_tensor(canvas_size[::-1])
    shares = (boxes[:, :2] + boxes[:, 2:]) / 2 / sides
    outside = float(((shares < -_BEYOND) | (shares > 1 + _BEYOND)).any(1).float().mean())
    if outside > _OUTSIDE:
        raise ValueError(
            f"boxes: {outside:.0%} of the candidates lie beside the canvas of {canvas_size[0]} x "
            f"{canvas_size[1]} (height, width): expected x1, y1, x2, y2 in pixels of the canvas; "
            "are these pixels of the image, thousandths, or y before x?"
        )


def check_boxes(
    on_canvas: Tensor, in_image: Tensor, canvas_size: tuple[int, int], found: Detections
) -> None:
    """Check what is reported for one image.

    Args:
        on_canvas: ``(K, 4)`` as the network gave them.
        in_image: the same in pixels of the image, not clipped.
        canvas_size: ``(H, W)`` in pixels.
        found: what is reported.

    Raises:
        ValueError: for boxes in another format, or regions elsewhere.
    """
    if not len(found):
        return
    unknown = int(on_canvas.isnan().any(1).sum())
    if unknown:
        raise ValueError(f"boxes: {unknown} of {len(on_canvas)} reported ones hold NaN.")
    placed = _begin_inside(on_canvas, canvas_size)
    both = (
        ("boxes", on_canvas, placed),
        ("regions", found.regions, _begin_inside(found.regions, found.image_size)),
    )
    for name, boxes, inside in both:
        turned = int(((boxes[:, 2:] < boxes[:, :2]).any(1) & inside).sum())
        if turned:
            raise ValueError(f"{name}: {turned} of {len(boxes)} end before they begin: {_CORNERS}")
    largest = float(on_canvas.abs().max())
    if largest <= _SHARES < max(canvas_size) / 4:
        raise ValueError(
            f"boxes: expected pixels of the canvas of {canvas_size[0]} x {canvas_size[1]}, got "
            f"{largest:.4g} at most: are they shares of its width and height?"
        )
    low = torch.maximum(in_image[:, :2], found.regions[:, :2])
    high = torch.minimum(in_image[:, 2:], found.regions[:, 2:])
    apart = int(((high < low).any(1) & placed).sum())
    if 2 * apart > len(found):
        raise ValueError(
            f"regions: {apart} of {len(found)} do not overlap the box of their detection: expected "
            "x1, y1, x2, y2 in pixels of the canvas, in the order of boxes."
        )


def check_corners(corners: Tensor, boxes: Tensor) -> None:
    """Check the oriented boxes that are reported for one image.

    Args:
        corners: ``(K, 4, 2)`` on the canvas.
        boxes: ``(K, 4)`` xyxy on the canvas.

    Raises:
        ValueError: for corners that are not in order around their box, or boxes that do not
            enclose them.
    """
    sides = (corners.roll(-1, 1) - corners).norm(dim=-1)
    whole = sides[:, 0] * sides[:, 1]
    crossed = int(((signed_areas(corners).abs() < whole / 2) & (whole > 1.0)).sum())
    if crossed:
        raise ValueError(
            f"corners: {crossed} of {len(corners)} are no outline: expected the four corners in "
            "order around each box, not row by row."
        )
    away = (enclosing_boxes(corners) - boxes).abs().amax(1)
    apart = int((away > 1.0 + _ROUNDING * boxes.abs().amax(1)).sum())
    if apart:
        raise ValueError(
            f"boxes: {apart} of {len(boxes)} do not enclose their corners, by up to "
            f"{float(away.max()):.1f} pixels: expected the upright boxes around them."
        )


def _begin_inside(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """``(K,)``: boxes whose first corner is on the canvas; others are wild, not misread."""
    first = boxes[:, :2]
    return ((first >= 0) & (first <= first.new_tensor(size[::-1]))).all(1)


def _described(output: Any) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    if isinstance(output, (tuple, list)):
        kinds = ", ".join(type(part).__name__ for part in output[:4])
        return f"a {type(output).__name__} of {len(output)} ({kinds})"
    if isinstance(output, dict):
        return f"a dict with {', '.join(map(str, list(output)[:6]))}"
    return type(output).__name__
