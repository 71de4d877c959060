"""Which module feeds which pyramid level, read off the graph."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor, fx, nn

from captum_ssgc._hooks import forward_hooks
from captum_ssgc.detectors.onnx import graph_of
from captum_ssgc.detectors.onnx_layers import OPERATORS


@dataclass(frozen=True)
class Levels:
    """The pyramid levels of a network's rows.

    Args:
        sizes: rows of each level, in order; empty where rows have no levels.
        layers: one module for each level: the last map that all predictions of the level are
            computed from.
        tables: for each level the nodes of the graph that hold all of its rows, where known.
    """

    sizes: Sequence[int]
    layers: Sequence[nn.Module]
    tables: Sequence[Sequence[fx.Node]] = ()


class _Shapes(fx.Interpreter):
    """Records shapes, and what is whole numbers (sizes, places), in one run of a graph."""

    def run_node(self, n: fx.Node) -> object:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            n.meta["shape"] = tuple(result.shape)
            n.meta["whole"] = not result.is_floating_point()
        return result


def levels_of_rows(network: nn.Module, canvas: Tensor, row_count: int) -> Levels:
    """The levels of a network that joins its rows, or its tokens, level by level.

    Args:
        network: from :func:`captum_ssgc.detectors.load_onnx`.
        canvas: ``(1, 3, h, w)`` as the graph takes it.
        row_count: how many candidates the outputs have.

    Returns:
        The sizes of the levels and their layers. Without sizes: where the rows have no levels,
        one layer, or those that the tokens come from, the coarsest first.
    """
    graph = graph_of(network)
    given: list[Tensor] = []
    with torch.no_grad(), forward_hooks(before={graph: lambda _, args: given.extend(args)}):
        network(canvas)
        _Shapes(graph).run(given[0])
    grids = _Grids((canvas.shape[-2], canvas.shape[-1]), len(given[0]))
    joins: dict[tuple[int, ...], list[fx.Node]] = {}
    for node in graph.graph.nodes:
        sizes = _joined_sizes(graph, node)
        if len(sizes) > 1 and (sum(sizes) == row_count or grids.are_tokens(node, sizes)):
            joins.setdefault(sizes, []).append(node)
    of_rows = [sizes for sizes in joins if sum(sizes) == row_count]
    [output] = [node for node in graph.graph.nodes if node.op == "output"]
    if joins:
        sizes = (of_rows or list(joins))[-1]
        parts = [node.all_input_nodes for node in joins[sizes]]
        ends = [list(level) for level in zip(*parts, strict=True)]
        layers = grids.sources(graph, ends)
        return Levels(sizes, layers, ends) if of_rows else Levels((), layers[::-1])
    by_grid: dict[tuple[int, ...], list[fx.Node]] = {}
    for end in output.all_input_nodes:
        by_grid.setdefault(end.meta["shape"][2:4], []).append(end)
    heads = len(by_grid) > 1 and all(len(grid) == 2 for grid in by_grid)
    ends = list(by_grid.values()) if heads else [output.all_input_nodes]
    return Levels((), grids.sources(graph, ends), ends if heads else ())


class _Grids:
    """Which shapes are maps of the canvas."""

    def __init__(self, canvas: tuple[int, int], batch: int) -> None:
        self.batches = {1, batch}
        strides = [2**power for power in range(10)]
        self.shapes = {tuple(-(-side // stride) for side in canvas) for stride in strides}
        self.areas = {height * width for height, width in self.shapes}

    def are_tokens(self, node: fx.Node, sizes: Sequence[int]) -> bool:
        """Whether a concatenation joins maps of different sizes, cell by cell."""
        several = len(set(sizes)) == len(sizes) and self.areas.issuperset(sizes)
        return several and len(node.meta["shape"]) == 3

    def sources(self, graph: fx.GraphModule, ends: Sequence[list[fx.Node]]) -> list[nn.Module]:
        """For each of ``ends``, the last map before its own convolutions.

        That is the last module with a map that every path to the ends goes through, and that is
        convolved again on the way; without any such convolution, the last such module. Empty
        unless every one of ``ends`` has one.
        """
        nodes = list(graph.graph.nodes)
        place = {node: index for index, node in enumerate(nodes)}
        passed: list[int] = []  # for each node the nodes on every path to it, as bits
        before: list[int] = []  # and on any path
        feature_maps = convolutions = 0
        for index, node in enumerate(nodes):
            inputs = [place[one] for one in node.all_input_nodes if not one.meta.get("whole")]
            above = [i for i in inputs if before[i]]
            own = 1 << index if above or node.op == "placeholder" else 0  # else it is constant
            passed.append(reduce(operator.and_, (passed[i] for i in above), -bool(above)) | own)
            before.append(reduce(operator.or_, (before[i] for i in above), own))
            shape = node.meta.get("shape", ())
            if node.op == "call_module" and shape[2:] in self.shapes and shape[0] in self.batches:
                feature_maps |= own
                if graph.get_submodule(str(node.target)).function is OPERATORS["Conv"]:
                    convolutions |= own
        modules = []
        for group in ends:
            of_image = [place[end] for end in group if before[place[end]]]
            common = reduce(operator.and_, (passed[i] for i in of_image), feature_maps)
            leads = convolutions & reduce(operator.or_, (before[i] for i in of_image), 0)
            convolved = 0
            for index in range(len(nodes)):
                if leads >> index & 1:
                    convolved |= passed[index] & ~(1 << index)
            chosen = (common & convolved) or common
            if not chosen:
                return []
            modules.append(graph.get_submodule(str(nodes[chosen.bit_length() - 1].target)))
        return modules


def _joined_sizes(graph: fx.GraphModule, node: fx.Node) -> tuple[int, ...]:
    """How long the parts of a concatenation are along its axis; empty for another node."""
    if node.op != "call_module":
        return ()
    module: Any = graph.get_submodule(str(node.target))
    if module.function is not OPERATORS["Concat"] or set(module.slots) != {"input"}:
        return ()
    axis = module.attributes.get("axis", 1)
    return tuple(entry.meta["shape"][axis] for entry in node.all_input_nodes)
