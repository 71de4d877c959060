"""The YOLOX layout: an ONNX export whose boxes are still raw grid offsets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from captum_ssgc.detectors.candidates import CandidateDetector, Candidates
from captum_ssgc.detectors.letterbox import Letterbox
from captum_ssgc.detectors.onnx import OneByOne, common_sources, load_onnx

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
        cells, strides, levels = self._grid(output.device)
        if output.dim() != 3 or output.shape[1] != len(cells) or output.shape[2] < 6:
            raise ValueError(
                f"expected the YOLOX layout (N, {len(cells)}, 5 + C) for a canvas of {self.size}, "
                f"got {tuple(output.shape)}; for another layout pass your own decode to "
                "captum_ssgc.detectors.CandidateDetector."
            )
        centre = (output[..., :2] + cells) * strides[:, None]
        half = output[..., 2:4].exp() * strides[:, None] / 2
        scores = output[..., 4:5] * output[..., 5:]
        return Candidates(torch.cat([centre - half, centre + half], -1), scores, levels=levels)

    def _grid(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        cells, strides, levels = [], [], []
        for level, stride in enumerate(self.strides):
            rows, columns = self.size[0] // stride, self.size[1] // stride
            y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
            cells.append(torch.stack([x, y], -1).reshape(-1, 2).float())
            strides.append(torch.full((rows * columns,), float(stride)))
            levels.append(torch.full((rows * columns,), level))
        joined = (torch.cat(cells), torch.cat(strides), torch.cat(levels))
        return joined[0].to(device), joined[1].to(device), joined[2].to(device)


def yolox(
    path: str | os.PathLike[str],
    *,
    level_layers: Sequence[str] | None = None,
    score_threshold: float = 0.05,
    iou_threshold: float = 0.45,
    label_names: Sequence[str] | None = None,
) -> CandidateDetector:
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
    """
    network, shape = load_onnx(path)
    if shape.height is None or shape.width is None:
        raise ValueError(f"{path}: expected a fixed input height and width (YOLOX layout).")
    size = (shape.height, shape.width)
    decoder = YoloxDecoder(size)
    with torch.no_grad():
        output = network(torch.zeros(1, 3, *size))
    if not isinstance(output, Tensor):
        raise ValueError(f"{path}: expected one output (YOLOX layout), got several.")
    decoder(output)
    layers = list(level_layers) if level_layers is not None else _level_layers(network, size)
    detector = CandidateDetector(
        network,
        decoder,
        preprocess=Letterbox(size, bgr=True, value_range=255.0),
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        level_layers=layers,
        label_names=label_names,
    )
    detector.window_share = 0.0  # measured, see "The method" in the documentation
    return detector


class _Shapes(fx.Interpreter):
    """Records the shape of every tensor of a graph in one run."""

    def run_node(self, n: fx.Node) -> object:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            n.meta["shape"] = tuple(result.shape)
        return result


def _level_layers(network: nn.Module, size: tuple[int, int]) -> list[nn.Module]:
    graph = network.network if isinstance(network, OneByOne) else network
    if not isinstance(graph, fx.GraphModule):
        return []
    with torch.no_grad():
        _Shapes(graph).run(torch.zeros(1, 3, *size))
    joins = []
    for stride in STRIDES:
        grid = (size[0] // stride, size[1] // stride)
        on_grid = [
            node
            for node in graph.graph.nodes
            if len(node.meta.get("shape", ())) == 4 and node.meta["shape"][-2:] == grid
        ]
        joins.append(on_grid[-1])
    return common_sources(network, joins)
