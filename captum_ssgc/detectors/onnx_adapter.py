"""The detector that a converted ONNX file becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, fx, nn

from captum_ssgc._hooks import forward_hooks, left_alone
from captum_ssgc.detections import Detections
from captum_ssgc.detector import OUTPUTS, LocalGradients, Output
from captum_ssgc.detectors._head_gradients import (
    Cell,
    LocalHead,
    anchors_come_last,
    cell_of_row,
    head_gradients,
)
from captum_ssgc.detectors.candidates import CandidateDetector, CandidateOutput, Candidates
from captum_ssgc.detectors.onnx import down_to_graph, graph_of
from captum_ssgc.detectors.onnx_heads import around_the_rows, layers_and_behind, local_head


class OnnxDetector(CandidateDetector):
    """The candidates of a converted file.

    A network that chooses queries runs on one image after the other, as its file may take one
    image only; the tokens of every image are pinned for themselves.

    Args:
        network: from :func:`captum_ssgc.detectors.load_onnx`.
        decode: what it gives to candidates.
        tables: for each level the nodes of the graph that hold all of its rows, where known.
        **options: of :class:`captum_ssgc.detectors.CandidateDetector`.
    """

    def __init__(
        self,
        network: nn.Module,
        decode: Any,
        *,
        tables: Sequence[Sequence[fx.Node]],
        **options: Any,
    ) -> None:
        super().__init__(network, decode, **options)
        graph, layers = graph_of(network), self.level_layers()
        pairs = zip(layers, tables, strict=True) if len(layers) == len(tables) else ()
        heads = [local_head(graph, layer, ends) for layer, ends in pairs]
        self._heads: dict[int, LocalHead] = {
            level: head for level, head in enumerate(heads) if head is not None
        }
        beside = around_the_rows(graph, tables) if self._heads else []
        if len(self._heads) < len(layers) or any(layer in beside for layer in layers):
            self._heads = {}
        self._on_the_way = [*down_to_graph(network), *layers_and_behind(graph, layers)]
        self._anchors_last: dict[int, bool | None] = {}

    def run(
        self, images: Tensor, detections: Sequence[Detections] | None = None
    ) -> CandidateOutput:
        if self.queries is None or len(images) == 1:
            return super().run(images, detections)
        outputs = [
            super(OnnxDetector, self).run(
                images[i : i + 1], None if detections is None else [detections[i]]
            )
            for i in range(len(images))
        ]
        of_images = [one.candidates for one in outputs]
        logits = [one.class_logits for one in of_images if one.class_logits is not None]
        candidates = Candidates(
            torch.cat([one.boxes for one in of_images]),
            torch.cat([one.class_scores for one in of_images]),
            torch.cat(logits) if logits else None,
        )
        tokens = torch.cat([one.tokens for one in outputs if one.tokens is not None])
        return CandidateOutput(candidates, outputs[0].geometry, tokens)

    def local_outputs(self) -> tuple[str, ...]:
        return OUTPUTS if self._heads and left_alone(self._on_the_way) else ()

    def run_for_gradients(
        self, images: Tensor, detections: Sequence[Detections] | None
    ) -> CandidateOutput:
        """With a graph that begins at the ends of the local heads."""
        ends: dict[nn.Module, Tensor] = {}

        def cut(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
            ends[module] = output.detach().requires_grad_()
            return ends[module]

        modules = [module for head in self._heads.values() for module in head.modules]
        with torch.enable_grad(), forward_hooks(dict.fromkeys(modules, cut)):
            return replace(self.run(images, detections), ends=ends)

    def local_gradients(
        self,
        raw: CandidateOutput,
        features: Mapping[int, Tensor],
        detections: Detections,
        output: Output,
    ) -> LocalGradients | None:
        if output not in self.local_outputs() or not raw.ends:
            return None
        with torch.enable_grad():
            values = self.values(raw, [detections], output)[0]
            places = self._places(raw, detections)
            gradients = None
            if places is not None:
                gradients = head_gradients(self._heads, raw.ends, values, features, places)
        if gradients is None:
            self._heads = {}  # the rows do more than was read off the graph: do not try again
            return None
        return LocalGradients(values.detach(), gradients)

    def _places(self, raw: CandidateOutput, chosen: Detections) -> list[tuple[int, Cell]] | None:
        """Level and cell of each detection; ``None`` where rows are not laid out by cells."""
        candidates = raw.candidates
        sizes = [candidates.boxes.shape[1]]
        if candidates.levels is not None:
            sizes = torch.bincount(candidates.levels, minlength=len(self._heads)).tolist()
        starts = [0, *accumulate(sizes)]
        places = []
        for row, level in zip(chosen.candidates.tolist(), chosen.levels.tolist(), strict=True):
            ends = [raw.ends[module] for module in self._heads[level].modules]
            if level not in self._anchors_last:
                last = starts[level + 1] - 2
                value = candidates.boxes[0, last].sum() + candidates.class_scores[0, last].sum()
                self._anchors_last[level] = anchors_come_last(value, sizes[level], ends)
            order = self._anchors_last[level]
            if order is None:
                return None
            grid = (ends[0].shape[-2], ends[0].shape[-1])
            places.append((level, cell_of_row(row - starts[level], sizes[level], grid, order)))
        return places
