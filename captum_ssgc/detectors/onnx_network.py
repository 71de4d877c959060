"""From an ONNX file to a converted and proved network in a known layout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import onnx
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from captum_ssgc.detectors.letterbox import Letterbox
from captum_ssgc.detectors.onnx import FixedBatch, network_of
from captum_ssgc.detectors.onnx_cut import Selection, cut, selection_of
from captum_ssgc.detectors.onnx_file import OnnxFile, Runtime
from captum_ssgc.detectors.onnx_layouts import (
    LAYOUTS,
    ORIENTED,
    Layout,
    canvas_options,
    layout_of,
)
from captum_ssgc.detectors.onnx_levels import Levels, levels_of_rows
from captum_ssgc.detectors.onnx_outputs import Outputs
from captum_ssgc.detectors.onnx_proof import TOLERANCE, largest_difference, sample_picture
from captum_ssgc.detectors.onnx_reports import (
    WRITTEN,
    Report,
    ReportReader,
    background_of,
    candidates_hold,
)


@dataclass(frozen=True)
class Network:
    """A converted graph whose outputs are candidates.

    Args:
        module: canvas to outputs.
        layout: outputs to candidates.
        levels: of the candidates.
        said: what was found, and how it was proved.
        queries: how many rows it makes of tokens that it chooses, ``None`` where it chooses none.
        classes: columns of scores.
    """

    module: torch.nn.Module
    layout: Layout
    levels: Levels
    said: str
    queries: int | None
    classes: int


@dataclass(frozen=True)
class Reading:
    """One file, and what the user says about it.

    Args:
        file: that was read.
        size: ``(H, W)`` of the canvas, in pixels.
        layout: its name; ``None`` for the first that fits.
        boxes: how boxes are written; ``None``: as the numbers say.
        scores: what is still to be done to scores; likewise.
        own_count: how many class names the file has; ``None`` where it has none.
        class_count: how many class names there are, those of the user included.
        check: compare with ONNX Runtime.
    """

    file: OnnxFile
    size: tuple[int, int]
    layout: str | None
    boxes: str | None
    scores: str | None
    own_count: int | None
    class_count: int | None
    check: bool

    def letterbox(self, layout: Layout | None = None) -> Letterbox:
        """The canvas as the layout's own tools make it; for ``None`` as detections suggest."""
        return Letterbox(self.size, **self._canvas_options(layout))

    def _canvas_options(self, layout: Layout | None) -> dict[str, Any]:
        options = canvas_options(layout, self.file.metadata)
        if self.file.image.white is not None:
            options["value_range"] = self.file.image.white
        return options

    def of_graph(self) -> Network:
        """The whole graph, where it selects nothing.

        Raises:
            NotImplementedError: if it cannot be converted.
            ValueError: if its layout is not known, or ONNX Runtime disagrees.
        """
        model = self.file.model
        module, outputs = self._converted(model)
        layout = layout_of(outputs, self.layout)
        if layout is None:
            raise ValueError(unknown_layout(self.file, outputs, self.layout))
        return self._proved(model, module, layout, outputs)

    def before(self, selection: Selection) -> Network | None:
        """The graph up to its selection; ``None`` where the candidates are not found.

        Raises:
            NotImplementedError: if it cannot be converted.
            ValueError: if ONNX Runtime disagrees.
        """
        _, ends = self._converted(cut(self.file.model, selection.ends))
        canvas = self.canvas()
        oriented = self.layout == ORIENTED
        written: list[Report] = []  # what is reported, by the ways in which boxes may be written
        if self.check:
            theirs = Runtime(self.file, self.size)(canvas)
            ways = ("xyxy",) if oriented else WRITTEN
            readers = (ReportReader(self.size, oriented, way) for way in ways)
            written = [one for read in readers if (one := read(theirs)) is not None]
        reported = written[0] if written else None
        pairs = _tables(ends) if oriented else _pairs(ends)
        for pair, labels in [(one, labels) for labels in (True, False) for one in pairs]:
            layout = layout_of(pair, ORIENTED if oriented else "boxes-scores")
            if layout is None:
                continue
            candidates = layout(list(pair.tensors.values()))
            if reported is not None:
                of_image = candidates.boxes[0], candidates.class_scores[0]
                if not any(candidates_hold(*of_image, one, labels) for one in written):
                    continue
                if layout.decoder.background is None and not oriented:
                    layout = layout.without(background_of(of_image[1], reported))
            model = cut(self.file.model, list(pair.tensors))
            module, outputs = self._converted(model)
            proved = self._proved(model, module, layout, outputs)
            said = f"{proved.said}; cut before the file's own selection"
            if reported is not None:
                count = len(reported[0])
                said += f", which reports {count} on the test picture, all of them candidates"
            return replace(proved, layout=layout, said=said)
        return None

    def canvas(self, layout: Layout | None = None) -> Tensor:
        """The test picture as the network takes it."""
        letterbox = Letterbox(self.size) if layout is None else self.letterbox(layout)
        if self.file.image.white is not None:
            letterbox = replace(letterbox, value_range=self.file.image.white)
        canvas, _ = letterbox(sample_picture(self.size, self.file.image.channels or 3))
        return canvas.round() if self.file.image.integer else canvas

    def _converted(self, model: onnx.ModelProto) -> tuple[torch.nn.Module, Outputs]:
        module = network_of(self.file, model, self.file.fixed_inputs(self.size))
        tensors = _run(module, self.canvas())
        if self.file.image.batch is None and any(one.shape[:1] != (1,) for one in tensors):
            module = FixedBatch(module).eval()  # one image, without an axis for it
            tensors = _run(module, self.canvas())
        named = dict(zip((one.name for one in model.graph.output), tensors, strict=True))
        return module, self.outputs(named)

    def outputs(self, tensors: dict[str, Tensor]) -> Outputs:
        """What was given for the sample picture; the user's count where it can be true."""
        count = self.own_count
        sides = {side for one in tensors.values() for side in one.shape}
        if count is None and self.class_count is not None:
            fits = any(self.class_count + more in sides for more in (0, 1, 4, 5))
            count = self.class_count if fits else None
        kinds = {node.op_type for node in self.file.model.graph.node}
        deformable = selection_of(self.file.model) is None and "TopK" in kinds
        deformable = deformable or "GridSample" in kinds
        return Outputs(tensors, self.size, count, self.boxes, self.scores, deformable)

    def _proved(
        self, model: onnx.ModelProto, module: torch.nn.Module, layout: Layout, outputs: Outputs
    ) -> Network:
        canvas = self.canvas(layout)
        tensors = _run(module, canvas)
        said = f"{outputs.described()}; canvas {self.letterbox(layout)}"
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
        candidates = layout(tensors)
        count, classes = candidates.boxes.shape[1], candidates.class_scores.shape[-1]
        with ChosenTokens() as chosen, torch.no_grad():
            module(canvas)
        queries = count if count in chosen.counts else None
        return Network(
            module, layout, levels_of_rows(module, canvas, count), said, queries, classes
        )


def _run(module: torch.nn.Module, canvas: Tensor) -> list[Tensor]:
    with torch.no_grad():
        given = module(canvas)
    return [given] if isinstance(given, Tensor) else list(given)


class ChosenTokens(TorchFunctionMode):
    """How many entries of rows each ``topk`` of a forward takes."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: set[int] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.topk and args[0].dim() == 2 and result.indices.shape[1] < args[0].shape[1]:
            self.counts.add(result.indices.shape[1])
        return result


def _tables(ends: Outputs) -> list[Outputs]:
    """Single values before a selection that may hold boxes, scores and angles, the last first."""
    named = [(name, one) for name, one in ends.tensors.items() if one.dim() == 3 and one.numel()]
    return [replace(ends, tensors={name: one}) for name, one in named if one.is_floating_point()]


def _pairs(ends: Outputs) -> list[Outputs]:
    """Pairs of values before a selection that may be boxes and scores.

    Those with the most classes come first, and among these those that are made last.
    """
    named = [
        (name, one)
        for name, one in ends.tensors.items()
        if one.is_floating_point() and one.numel() and one.dim() in (2, 3)
    ]
    pairs = []
    for box, boxes in named:
        count = boxes.shape[-2]
        for score, scores in named:
            share = float(scores.min()) >= 0.0 and float(scores.max()) <= 1.0 + 1e-4
            same = scores.dim() == boxes.dim() and count in scores.shape[-2:]
            if boxes.shape[-1] == 4 and score != box and same and share:
                pair = replace(ends, tensors={box: boxes, score: scores})
                pairs.append((scores.numel() // count, pair))
    pairs.sort(key=lambda entry: (entry[0] != ends.class_count, -entry[0]))
    return [pair for _, pair in pairs]


def unknown_layout(
    file: OnnxFile, outputs: Outputs, layout: str | None, why: str | None = None
) -> str:
    """What to do about an unknown layout, with a ``decode`` to begin with."""
    name, first = next(iter(outputs.tensors.items()))
    begin = f"{file.path}: " + (f"{why}; and its outputs are" if why else "the outputs are")
    wanted = "a known layout" if layout is None else f"the layout {layout!r}"
    return (
        f"{begin} {outputs.described()} for a canvas of {outputs.size}, which is not {wanted}: "
        "expected the YOLOX layout (N, R, 5 + C), YOLOv5's (the same), Ultralytics' (N, 4 + C, R), "
        f"boxes and scores as two outputs, or maps of heads; choose with layout= ("
        f"{', '.join(LAYOUTS)}), boxes= and scores=, say with label_names= how many "
        "classes there are, or read it yourself:\n"
        "    from captum_ssgc.detectors import *\n"
        f"    network, _ = load_onnx({str(file.path)!r})\n"
        f"    def decode(output):  # {name} {tuple(first.shape)}\n"
        f"        rows = output{'' if len(outputs.tensors) == 1 else '[0]'}\n"
        "        boxes = rows[..., :4]  # (N, R, 4) xyxy on the canvas\n"
        "        scores = rows[..., 4:].sigmoid()  # (N, R, C) in [0, 1]\n"
        "        return Candidates(boxes, scores)\n"
        f"    detector = CandidateDetector(network, decode, preprocess=Letterbox({outputs.size}))"
    )
