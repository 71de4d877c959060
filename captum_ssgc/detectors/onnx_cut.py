"""Where an ONNX graph ends as a network and begins to select detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from onnx import numpy_helper

_SELECTING = {"TopK", "NonMaxSuppression", "NonZero", "ArgMax", "If", "Loop"}
_WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
_COMPARING = {"Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
_PLAIN = ("", "ai.onnx", "com.microsoft")
_STEPS_BACK = 12


@dataclass(frozen=True)
class Selection:
    """The end of a graph that picks detections among candidates.

    Args:
        ends: values from which it picks, and those before them, the last one first.
        iou_threshold: of its non-maximum suppression; ``None`` where there is none.
        one_label: each candidate is reported with its best class only.
        drops: some candidates are not reported.
    """

    ends: Sequence[str]
    iou_threshold: float | None
    one_label: bool
    drops: bool = True


def selection_of(model: onnx.ModelProto) -> Selection | None:
    """The selection at the end of a graph; ``None`` where there is none.

    Top-k inside a network, as transformers choose their queries, is followed by weights and is no
    such end.
    """
    nodes = list(model.graph.node)
    constants = {one.name: one for one in model.graph.initializer}
    for node in nodes:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    maker = {name: node for node in nodes for name in node.output if name}
    weighted: set[str] = set()  # values that weights are applied to afterwards
    for node in reversed(nodes):
        learned = node.op_type in _WEIGHTED and any(
            name in constants or _is_weight(maker.get(name)) for name in node.input
        )
        if learned or not weighted.isdisjoint(node.output):
            weighted.update(node.input)
    selecting = [
        node
        for node in nodes
        if (node.op_type in _SELECTING or node.domain not in _PLAIN)
        and weighted.isdisjoint(node.output)
    ]
    after: set[str] = {name for node in selecting for name in node.output}
    for node in nodes:
        if not after.isdisjoint(node.input):
            after.update(node.output)
    if after.isdisjoint(entry.name for entry in model.graph.output):
        return None
    from_image = {entry.name for entry in model.graph.input if entry.name not in constants}
    for node in nodes:
        if not from_image.isdisjoint(node.input):
            from_image.update(node.output)
    edge = [
        name
        for node in nodes
        if node in selecting or not after.isdisjoint(node.input)
        for name in node.input
        if name in from_image and name not in after
    ]
    beside = (entry.name for entry in model.graph.output)  # such as boxes of rows all kept
    edge += [name for name in beside if name in from_image and name not in after]
    place = {name: index for index, node in enumerate(nodes) for name in node.output}
    ends, latest = set(edge), set(edge)
    for _ in range(_STEPS_BACK):
        latest = {
            name
            for end in latest
            if end in maker and maker[end].op_type not in _WEIGHTED
            for name in maker[end].input
            if name in from_image and name in maker
        } - ends
        ends |= latest
    ordered = sorted(ends & set(place), key=place.__getitem__, reverse=True)
    kinds = {node.op_type for node in selecting}
    iou = _iou_threshold(selecting, nodes, constants)
    return Selection(ordered, iou, "ArgMax" in kinds, kinds != {"ArgMax"})


def cut(model: onnx.ModelProto, outputs: Sequence[str]) -> onnx.ModelProto:
    """The part of a graph that computes ``outputs``, which become its outputs."""
    part = onnx.ModelProto(ir_version=model.ir_version)
    part.opset_import.extend(model.opset_import)
    part.functions.extend(model.functions)
    part.graph.name = model.graph.name
    wanted, kept = set(outputs), []
    for node in reversed(model.graph.node):
        if not wanted.isdisjoint(node.output):
            kept.append(node)
            wanted.update(node.input)
    part.graph.node.extend(reversed(kept))
    part.graph.initializer.extend(one for one in model.graph.initializer if one.name in wanted)
    part.graph.input.extend(one for one in model.graph.input if one.name in wanted)
    part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    return part


def _is_weight(node: onnx.NodeProto | None) -> bool:
    """Exporters hide weights behind copies."""
    return node is not None and node.op_type in ("Identity", "Constant", "DequantizeLinear")


def _iou_threshold(
    selecting: Sequence[onnx.NodeProto],
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, onnx.TensorProto],
) -> float | None:
    for node in selecting:
        if node.op_type == "NonMaxSuppression":
            stored = constants.get(node.input[3]) if len(node.input) > 3 else None
            return 0.45 if stored is None else float(numpy_helper.to_array(stored).item())
    return _threshold_of_pairs(nodes, constants)


def _threshold_of_pairs(
    nodes: Sequence[onnx.NodeProto], constants: dict[str, onnx.TensorProto]
) -> float | None:
    """Of a suppression by arithmetic: each box is compared with the better ones of a triangle."""
    pairs: set[str] = set()
    for node in nodes:
        if node.op_type == "Trilu" or not pairs.isdisjoint(node.input):
            pairs.update(node.output)
        if node.op_type in _COMPARING and not pairs.isdisjoint(node.input):
            stored = [
                numpy_helper.to_array(constants[name]) for name in node.input if name in constants
            ]
            shares = [float(one.item()) for one in stored if one.size == 1]
            if shares and 0.0 < shares[0] < 1.0:
                return shares[0]
    return None
