"""From an ONNX file to a detector, by what the file itself says."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from captum_ssgc.detector import Detector
from captum_ssgc.detectors.black_box import WITHOUT_GRADIENTS, BlackBoxDetector
from captum_ssgc.detectors.candidates import CandidateDetector
from captum_ssgc.detectors.letterbox import Letterbox
from captum_ssgc.detectors.onnx_adapter import OnnxDetector
from captum_ssgc.detectors.onnx_boxes import BOXES, SCORES
from captum_ssgc.detectors.onnx_cut import selection_of
from captum_ssgc.detectors.onnx_file import OnnxFile, Runtime, first_line
from captum_ssgc.detectors.onnx_layouts import LAYOUTS, ORIENTED, layout_of
from captum_ssgc.detectors.onnx_network import Reading, unknown_layout
from captum_ssgc.detectors.onnx_reports import WRITTEN, ReportReader
from captum_ssgc.label_names import LabelNames, fit_label_names

_log = logging.getLogger(__name__)


def onnx_detector(
    path: str | os.PathLike[str],
    layout: str | None = None,
    boxes: str | None = None,
    scores: str | None = None,
    size: tuple[int, int] | int | None = None,
    *,
    preprocess: Letterbox | None = None,
    level_layers: Sequence[str] | None = None,
    label_names: LabelNames | None = None,
    score_threshold: float = 0.05,
    iou_threshold: float | None = None,
    max_detections: int = 300,
    check: bool = True,
) -> Detector:
    """A detector from an ONNX file, in the layout that its outputs, numbers and metadata show.

    Known are ``yolov8`` (Ultralytics' ``(N, 4 + C, R)``, with masks or keypoints behind it),
    ``yolov5`` (``(N, R, 5 + C)``, decoded), ``yolox`` (the same, raw), ``boxes-scores`` (two
    outputs, or three with objectness: SSD, DETR and its kin, ...) and ``heads`` (raw maps of one
    or several heads). A selection at the end of the graph (non-maximum suppression, top-k) is cut
    off, where all that the file reports is found among the candidates before it. Where that is not
    so, or an operator cannot be converted, ONNX Runtime runs the file and D-RISE explains it; where
    the file reports detections only, as a :class:`captum_ssgc.detectors.BlackBoxDetector`.

    Args:
        path: the ONNX file; its input is one image.
        layout: one of the names above; ``None``: the first that fits.
        boxes: how boxes are written, ``"xyxy"``, ``"cxcywh"``, ``"xywh"`` (or, for heads,
            ``"grid"``, ``"dfl"``, ``"anchors"``); ``None``: as the numbers on a test picture say.
        scores: what is still to be done, ``"sigmoid"``, ``"softmax"`` or ``"none"``; likewise.
        size: ``(H, W)`` of the canvas, or its side, where the file leaves it open; ``None``: as
            the metadata say, else 640.
        preprocess: from images to the canvas; ``None``: as the layout's own tools do it.
        level_layers: names of the modules that feed the heads, one per level; ``None``: read off
            the graph.
        label_names: class names: a list, a dictionary or a file; ``None``: those of the metadata.
        score_threshold: candidates below it are not reported.
        iou_threshold: of the class-wise non-maximum suppression; ``None``: the file's or the
            layout's own.
        max_detections: the most detections reported for an image.
        check: compare the converted graph with ONNX Runtime first; ``False`` where that is not
            installed.

    Returns:
        The detector. Its ``description`` says which layout was taken, and how it was proved.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no ONNX model of a known layout (lists the outputs and a ``decode``
            to begin with), or the conversion disagrees with ONNX Runtime.
        ImportError: if ONNX Runtime is needed and not installed.

    Notes:
        White is 255 where the graph begins by dividing by as much or by subtracting more than 1.
        Labels are the file's own columns. Where the classes compete and their first column wins
        nearly everywhere, it is taken for the background and never reported; the last is left out.

    Example:
        >>> from captum_ssgc.detectors import onnx_detector
        >>> detector = onnx_detector("yolo11n.onnx")  # doctest: +SKIP
        >>> detector.description  # doctest: +SKIP
        'yolov8: Ultralytics, (N, 4 + C, R): output0 (1, 84, 8400); ...'
    """
    for name, value, known in (("boxes", boxes, BOXES), ("scores", scores, SCORES)):
        if value is not None and value not in known:
            raise ValueError(f"{name}: expected one of {', '.join(known)}, got {value!r}.")
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"layout: expected one of {', '.join(LAYOUTS)}, got {layout!r}.")
    file = OnnxFile.read(path)
    canvas_size = file.canvas_size(size)
    if file.metadata.get("task") == "obb":
        layout = layout or ORIENTED
    own = file.label_names()
    names = own if label_names is None else fit_label_names(label_names)
    counts = [None if one is None else len(one) for one in (own, names)]
    reading = Reading(file, canvas_size, layout, boxes, scores, counts[0], counts[1], check)
    options: dict[str, Any] = {
        "score_threshold": score_threshold,
        "label_names": label_names or own,
    }
    channels = file.image.channels
    suppression: dict[str, Any] = {"max_detections": max_detections}
    if iou_threshold is not None:
        suppression["iou_threshold"] = iou_threshold
    selection = selection_of(file.model)
    why = f"{file.path.name} selects its detections inside the graph, where no gradient passes"
    try:
        network = reading.of_graph() if selection is None else reading.before(selection)
    except NotImplementedError as error:
        network, why = None, f"{file.path.name} cannot be converted to torch: {first_line(error)}"
    if network is None:
        selects = selection is not None
        return _only_run(reading, selects, why, preprocess, options, suppression)
    fitted, levels, multi_label = network.layout, network.levels, network.layout.multi_label
    default = fitted.iou_threshold
    if levels.sizes and fitted.decoder.cells is None:
        fitted = fitted.with_levels(levels.sizes)
    with_levels = bool(levels.sizes) or fitted.decoder.cells is not None
    if selection is not None and not selection.drops and with_levels:
        multi_label = False  # of every cell the best class: suppression is left to others
    elif selection is not None:
        default = 1.0 if selection.iou_threshold is None else selection.iou_threshold
        multi_label = not selection.one_label
    chosen: Sequence[Any] = levels.layers if level_layers is None else level_layers
    one_each = level_layers is not None or with_levels or len(chosen) < 2
    module_names = {module: name for name, module in network.module.named_modules()}
    level_layers = chosen if one_each else []
    detector = OnnxDetector(
        network.module,
        fitted,
        tables=levels.tables,
        queries=network.queries,
        preprocess=preprocess or reading.letterbox(fitted),
        multi_label=multi_label,
        level_layers=level_layers,
        target_layers=() if one_each else [module_names[layer] for layer in dict.fromkeys(chosen)],
        **{"iou_threshold": default, **suppression},
        **options,
    )
    detector.fit_names(network.classes)
    detector.window_share = fitted.window_share
    if channels is not None:
        detector.channels = channels
    return _described(detector, f"{fitted.name}: {fitted.title}: {network.said}")


def _only_run(
    reading: Reading,
    selects: bool,
    why: str,
    preprocess: Letterbox | None,
    options: dict[str, Any],
    suppression: dict[str, Any],
) -> Detector:
    """What is left without gradients: ONNX Runtime, read as candidates or as reports."""
    runtime = Runtime(reading.file, reading.size)
    tensors = runtime(reading.canvas())
    outputs = reading.outputs(tensors)
    said = f"{outputs.described()}; {WITHOUT_GRADIENTS}, as {why}"
    layout = None if selects else layout_of(outputs, reading.layout)
    if layout is not None:
        detector = CandidateDetector(
            runtime.batch,
            layout,
            preprocess=preprocess or reading.letterbox(layout),
            multi_label=layout.multi_label,
            **{"iou_threshold": layout.iou_threshold, **suppression},
            **options,
        )
        detector.why_black_box = why
        return _described(detector, f"{layout.name}: {layout.title}: {said}")
    written = reading.boxes if reading.boxes in WRITTEN else "xyxy"
    read = ReportReader(reading.size, reading.layout == ORIENTED, written)
    if read(tensors) is None:
        raise ValueError(unknown_layout(reading.file, outputs, None, why))

    def function(canvas: Tensor) -> list[Any]:
        return [read(runtime(one[None])) for one in canvas]

    preprocess = preprocess or reading.letterbox()
    black_box = BlackBoxDetector(function, preprocess=preprocess, why=why, **options)
    return _described(black_box, f"detections: {said}")


def _described(detector: Any, description: str) -> Any:
    detector.description = description
    _log.info(description)
    return detector
