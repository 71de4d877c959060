"""Graphs as the conversion needs them: in order, and for one image."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import numpy_helper


def in_order(graph: onnx.GraphProto) -> None:
    """Put the nodes of a graph behind those that they use, in place.

    Tools that change the precision of a file append their nodes at its end. ONNX Runtime sorts them
    itself, the standard does not allow it.
    """
    nodes = list(graph.node)
    made = {name for node in nodes for name in node.output if name}
    ready: set[str] = set()
    ordered: list[onnx.NodeProto] = []
    while nodes:
        waiting = []
        for node in nodes:
            if ready.issuperset(made.intersection(_used(node))):
                ordered.append(node)
                ready.update(node.output)
            else:
                waiting.append(node)
        if len(waiting) == len(nodes):  # a circle: the checker says so
            return
        nodes = waiting
    if any(old is not new for old, new in zip(graph.node, ordered, strict=True)):
        kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered]
        del graph.node[:]
        graph.node.extend(kept)


def for_one_image(model: onnx.ModelProto, batch: int) -> onnx.ModelProto:
    """The same graph for one image, where its fixed batch stands in the shapes that it reshapes to.

    The number may have meant something else there: whether the graph is still the same, the caller
    has to try.
    """
    single = onnx.ModelProto.FromString(model.SerializeToString())
    graph = single.graph
    shapes = {node.input[1] for node in graph.node if node.op_type in ("Reshape", "Expand")}
    stored = [one for one in graph.initializer if one.name in shapes]
    stored += [
        node.attribute[0].t
        for node in graph.node
        if node.op_type == "Constant"
        and node.output[0] in shapes
        and node.attribute[0].HasField("t")
    ]
    for tensor in stored:
        sides = numpy_helper.to_array(tensor).copy()
        if sides.ndim == 1 and len(sides) > 1 and sides[0] == batch:
            sides[0] = 1
            tensor.CopyFrom(numpy_helper.from_array(sides, tensor.name))
    return single


def _used(node: onnx.NodeProto) -> Iterator[str]:
    """What a node takes, the graphs inside it included."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _used(inner)
