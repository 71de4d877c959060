"""The YOLOX layout: an ONNX export whose boxes are still raw grid offsets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from captum_ssgc.detector import Detector
from captum_ssgc.detectors.candidates import Candidates
from captum_ssgc.detectors.onnx_boxes import BoxDecoder, Cells
from captum_ssgc.detectors.onnx_reading import onnx_detector
from captum_ssgc.label_names import LabelNames

STRIDES = (8, 16, 32)


@dataclass(frozen=True)
class YoloxDecoder:
    """Decodes ``(N, R, 5 + C)``: per cell ``x, y, w, h`` raw, objectness and class probabilities.

    The centre is ``(xy + cell) * stride``, the size ``exp(wh) * stride``, the score objectness
    times class; levels are in the order of ``strides``, cells row by row.

    Args:
        size: ``(H, W)`` of the canvas, in pixels.
        strides: of the levels, in canvas pixels.

    References:
        Z. Ge et al., YOLOX: Exceeding YOLO Series in 2021, arXiv:2107.08430.
    """

    size: tuple[int, int]
    strides: Sequence[int] = STRIDES

    def __call__(self, output: Tensor) -> Candidates:
        decoder = BoxDecoder("grid", "none", self.size, cells=Cells(self.size, self.strides))
        return decoder(output[..., :4], output[..., 5:], output[..., 4:5])


def yolox(
    path: str | os.PathLike[str],
    *,
    level_layers: Sequence[str] | None = None,
    score_threshold: float = 0.05,
    iou_threshold: float = 0.45,
    label_names: LabelNames | None = None,
) -> Detector:
    """A detector from an ONNX file in the YOLOX layout.

    Args:
        path: the ONNX file; its input is BGR, 0 to 255, resized by one factor and placed top left
            on a canvas of 114.
        level_layers: names of the modules that feed the heads of the three levels; found from the
            graph when ``None``.
        score_threshold: candidates below it are not reported.
        iou_threshold: of the class-wise non-maximum suppression.
        label_names: class names, indexed by label.

    Returns:
        The detector; its ``model`` is the converted graph.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is no ONNX model of the YOLOX layout.

    See also:
        :func:`captum_ssgc.detectors.onnx_detector`, which finds the layout itself.
    """
    return onnx_detector(
        path,
        "yolox",
        level_layers=level_layers,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        label_names=label_names,
        max_detections=100,
    )
