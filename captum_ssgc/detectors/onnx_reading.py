"""From an ONNX file to a detector, by what the file itself says."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnx
import torch
from torch import Tensor

from captum_ssgc.detector import Detector
from captum_ssgc.detectors.black_box import BlackBoxDetector
from captum_ssgc.detectors.candidates import CandidateDetector
from captum_ssgc.detectors.letterbox import Letterbox
from captum_ssgc.detectors.onnx import FixedBatch, network_of
from captum_ssgc.detectors.onnx_boxes import BOXES, SCORES
from captum_ssgc.detectors.onnx_cut import Selection, cut, selection_of
from captum_ssgc.detectors.onnx_file import OnnxFile, Runtime, first_line
from captum_ssgc.detectors.onnx_layouts import (
    LAYOUTS,
    STRETCHED,
    YOLO_CANVAS,
    Layout,
    Outputs,
    layout_of,
)
from captum_ssgc.detectors.onnx_levels import Levels, levels_of_rows
from captum_ssgc.detectors.onnx_proof import TOLERANCE, largest_difference, sample_picture
from captum_ssgc.detectors.onnx_reports import ReportReader, background_of, candidates_hold

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
    label_names: Sequence[str] | None = None,
    score_threshold: float = 0.05,
    iou_threshold: float | None = None,
    max_detections: int = 300,
    check: bool = True,
) -> Detector:
    """A detector from an ONNX file, in the layout that its outputs, numbers and metadata show.

    Known are ``yolov8`` (Ultralytics' ``(N, 4 + C, R)``, with masks or keypoints behind it),
    ``yolov5`` (``(N, R, 5 + C)``, decoded), ``yolox`` (the same, raw), ``boxes-scores`` (two
    outputs: SSD, DETR and its kin, ...) and ``heads`` (raw maps of one or several heads). A
    selection at the end of the graph (non-maximum suppression, top-k) is cut off, where all that
    the file reports is found among the candidates before it. Where that is not so, or an operator
    cannot be converted, the detector is a :class:`captum_ssgc.detectors.BlackBoxDetector`, which
    D-RISE explains.

    Args:
        path: the ONNX file; its input is one image.
        layout: one of the names above; ``None``: the first that fits.
        boxes: how boxes are written, ``"xyxy"``, ``"cxcywh"`` (or, for heads, ``"grid"``,
            ``"dfl"``, ``"anchors"``); ``None``: as the numbers on a test picture say.
        scores: what is still to be done, ``"sigmoid"``, ``"softmax"`` or ``"none"``; likewise.
        size: ``(H, W)`` of the canvas, or its side, where the file leaves it open; ``None``: as
            the metadata say, else 640.
        preprocess: from images to the canvas; ``None``: as the layout's own tools do it.
        level_layers: names of the modules that feed the heads, one per level; ``None``: read off
            the graph.
        label_names: class names, indexed by label; ``None``: those of the metadata.
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
    names = label_names or file.label_names()
    if file.metadata.get("task") == "obb":
        raise ValueError(f"{path}: oriented boxes are not read from ONNX files; load the .pt file.")
    reading = _Reading(
        file, canvas_size, layout, boxes, scores, None if names is None else len(names), check
    )
    selection = selection_of(file.model)
    try:
        network = reading.of_graph() if selection is None else reading.before(selection)
    except NotImplementedError as error:
        why = f"{file.path.name} cannot be converted to torch: {first_line(error)}"
        return _black_box(reading, why, preprocess, names, score_threshold)
    if network is None:
        why = f"{file.path.name} selects its detections inside the graph, where no gradient passes"
        return _black_box(reading, why, preprocess, names, score_threshold)
    found = network.layout
    suppression = found.iou_threshold
    multi_label = found.multi_label
    if selection is not None:
        suppression = 1.0 if selection.iou_threshold is None else selection.iou_threshold
        multi_label = not selection.one_label
    levels = network.levels
    if levels.sizes and found.decoder.cells is None:
        found = found.with_levels(levels.sizes)
    with_levels = bool(levels.sizes) or found.decoder.cells is not None
    chosen: Sequence[Any] = levels.layers if level_layers is None else level_layers
    one_each = with_levels or len(chosen) < 2 or level_layers is not None
    module_names = {module: name for name, module in network.module.named_modules()}
    detector = CandidateDetector(
        network.module,
        found,
        preprocess=preprocess or Letterbox(canvas_size, **reading.canvas_options(found)),
        score_threshold=score_threshold,
        iou_threshold=suppression if iou_threshold is None else iou_threshold,
        max_detections=max_detections,
        multi_label=multi_label,
        level_layers=chosen if one_each else (),
        target_layers=() if one_each else [module_names[layer] for layer in dict.fromkeys(chosen)],
        label_names=names,
    )
    return _described(detector, f"{found.name}: {found.title}: {network.said}")


@dataclass(frozen=True)
class _Network:
    """A converted graph whose outputs are candidates."""

    module: torch.nn.Module
    layout: Layout
    levels: Levels
    said: str


@dataclass(frozen=True)
class _Reading:
    """One file, and what the user says about it."""

    file: OnnxFile
    size: tuple[int, int]
    layout: str | None
    boxes: str | None
    scores: str | None
    class_count: int | None
    check: bool

    def canvas_options(self, layout: Layout) -> dict[str, Any]:
        options = dict(layout.preprocess)
        if layout.name == "boxes-scores" and "stride" in self.file.metadata:
            task_stretches = "rtdetr" in str(self.file.metadata.get("description", "")).lower()
            options = dict(STRETCHED if task_stretches else YOLO_CANVAS)
        if self.file.image.integer:
            options["value_range"] = 255.0
        return options

    def of_graph(self) -> _Network:
        """The whole graph, where it selects nothing.

        Raises:
            NotImplementedError: if it cannot be converted.
            ValueError: if its layout is not known, or ONNX Runtime disagrees.
        """
        model = self.file.model
        module, outputs = self._converted(model)
        layout = layout_of(outputs, self.layout)
        if layout is None:
            raise ValueError(_unknown(self.file, outputs, self.layout))
        return self._proved(model, module, layout, outputs)

    def before(self, selection: Selection) -> _Network | None:
        """The graph up to its selection; ``None`` where the candidates are not found.

        Raises:
            NotImplementedError: if it cannot be converted.
            ValueError: if ONNX Runtime disagrees.
        """
        _, ends = self._converted(cut(self.file.model, selection.ends))
        canvas = self.canvas()
        reported = ReportReader(self.size)(Runtime(self.file, self.size)(canvas))
        pairs = _pairs(ends)
        for pair, labels in [(one, labels) for labels in (True, False) for one in pairs]:
            layout = layout_of(pair, "boxes-scores")
            if layout is None:
                continue
            found = layout(list(pair.tensors.values()))
            if reported is not None:
                candidates = found.boxes[0], found.class_scores[0]
                if not candidates_hold(*candidates, reported, labels):
                    continue
                if layout.decoder.background is None:
                    layout = layout.without(background_of(candidates[1], reported))
            model = cut(self.file.model, list(pair.tensors))
            module, outputs = self._converted(model)
            proved = self._proved(model, module, layout, outputs)
            count = "nothing" if reported is None else str(len(reported[0]))
            said = f"{proved.said}; cut before the file's own selection, which reports {count}"
            return _Network(proved.module, layout, proved.levels, said)
        return None

    def canvas(self, layout: Layout | None = None) -> Tensor:
        """The test picture as the network takes it."""
        options: dict[str, Any] = {"value_range": 255.0} if self.file.image.integer else {}
        if layout is not None:
            options = self.canvas_options(layout)
        canvas, _ = Letterbox(self.size, **options)(sample_picture(self.size))
        return canvas.round() if self.file.image.integer else canvas

    def _converted(self, model: onnx.ModelProto) -> tuple[torch.nn.Module, Outputs]:
        module = network_of(self.file, model, self.file.fixed_inputs(self.size))
        tensors = _run(module, self.canvas())
        if self.file.image.batch is None and any(one.shape[:1] != (1,) for one in tensors):
            module = FixedBatch(module).eval()  # one image, without an axis for it
            tensors = _run(module, self.canvas())
        named = dict(zip((one.name for one in model.graph.output), tensors, strict=True))
        return module, Outputs(named, self.size, self.class_count, self.boxes, self.scores)

    def _proved(
        self, model: onnx.ModelProto, module: torch.nn.Module, layout: Layout, outputs: Outputs
    ) -> _Network:
        canvas = self.canvas(layout)
        tensors = _run(module, canvas)
        said = outputs.described()
        if self.check:
            theirs = Runtime(self.file, self.size, model)(canvas)
            chooses = any(node.op_type == "TopK" for node in model.graph.node)
            away = largest_difference(dict(zip(theirs, tensors, strict=True)), theirs, chooses)
            if not away <= TOLERANCE:
                raise ValueError(
                    f"{self.file.path}: the converted graph differs from ONNX Runtime by "
                    f"{away:.2g} of the largest output (at most {TOLERANCE:g} is accepted): its "
                    "explanations would be of another function; please report this file."
                )
            said += f"; agrees with ONNX Runtime to {away:.1g}"
        rows = layout(tensors).boxes.shape[1]
        return _Network(module, layout, levels_of_rows(module, canvas, rows), said)


def _run(module: torch.nn.Module, canvas: Tensor) -> list[Tensor]:
    with torch.no_grad():
        given = module(canvas)
    return [given] if isinstance(given, Tensor) else list(given)


def _pairs(ends: Outputs) -> list[Outputs]:
    """Pairs of values before a selection that may be boxes and scores.

    Those with the most classes come first, and among these those that are made last.
    """
    named = [
        (name, one)
        for name, one in ends.tensors.items()
        if one.is_floating_point() and one.numel() and one.dim() in (2, 3)
    ]
    found = []
    for box, boxes in named:
        rows = boxes.shape[-2]
        for score, scores in named:
            share = float(scores.min()) >= 0.0 and float(scores.max()) <= 1.0 + 1e-4
            same = scores.dim() == boxes.dim() and rows in scores.shape[-2:]
            if boxes.shape[-1] == 4 and score != box and same and share:
                pair = replace(ends, tensors={box: boxes, score: scores})
                found.append((scores.numel() // rows, pair))
    found.sort(key=lambda entry: (entry[0] != ends.class_count, -entry[0]))
    return [pair for _, pair in found]


def _black_box(
    reading: _Reading,
    why: str,
    preprocess: Letterbox | None,
    names: Sequence[str] | None,
    score_threshold: float,
) -> BlackBoxDetector:
    runtime = Runtime(reading.file, reading.size)
    outputs = runtime(reading.canvas())
    read = ReportReader(reading.size)
    if read(outputs) is None:
        raise ValueError(_unknown(reading.file, Outputs(outputs, reading.size), None, why))

    def function(canvas: Tensor) -> list[Any]:
        return [read(runtime(one[None])) for one in canvas]

    options = dict(STRETCHED if "stride" not in reading.file.metadata else YOLO_CANVAS)
    if reading.file.image.integer:
        options["value_range"] = 255.0
    detector = BlackBoxDetector(
        function,
        preprocess=preprocess or Letterbox(reading.size, **options),
        score_threshold=score_threshold,
        label_names=names,
        why=why,
    )
    shapes = Outputs(outputs, reading.size).described()
    return _described(detector, f"detections: {shapes}; only D-RISE explains it, as {why}")


def _described(detector: Any, description: str) -> Any:
    detector.description = description
    _log.info(description)
    return detector


def _unknown(file: OnnxFile, outputs: Outputs, layout: str | None, why: str | None = None) -> str:
    """What to do about an unknown layout, with a ``decode`` to begin with."""
    name, first = next(iter(outputs.tensors.items()))
    begin = f"{file.path}: " + (f"{why}; and its outputs are" if why else "the outputs are")
    wanted = "a known layout" if layout is None else f"the layout {layout!r}"
    return (
        f"{begin} {outputs.described()} for a canvas of {outputs.size}, which is not {wanted}: "
        "expected the YOLOX layout (N, R, 5 + C), YOLOv5's (the same), Ultralytics' (N, 4 + C, R), "
        f"boxes and scores as two outputs, or maps of heads; choose with layout= ("
        f"{', '.join(LAYOUTS)}), boxes= and scores=, or read it yourself:\n"
        "    from captum_ssgc.detectors import *\n"
        f"    network, _ = load_onnx({str(file.path)!r})\n"
        f"    def decode(output):  # {name} {tuple(first.shape)}\n"
        f"        rows = output{'' if len(outputs.tensors) == 1 else '[0]'}\n"
        "        boxes = rows[..., :4]  # (N, R, 4) xyxy on the canvas\n"
        "        scores = rows[..., 4:].sigmoid()  # (N, R, C) in [0, 1]\n"
        "        return Candidates(boxes, scores)\n"
        f"    detector = CandidateDetector(network, decode, preprocess=Letterbox({outputs.size}))"
    )
