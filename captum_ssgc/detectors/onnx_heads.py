"""Heads of converted graphs that look at a few cells, found in the graph.

Between the layer of a level and the rows of its candidates, a one-stage network convolves and
activates maps; what makes rows of these maps, joins the levels and decodes has no neighbours any
more. The maps in between are the ends of a :class:`LocalHead`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from torch import Tensor, fx, nn

from captum_ssgc.detectors._head_gradients import LocalHead
from captum_ssgc.detectors._local_heads import Step
from captum_ssgc.detectors.onnx_layers import OPERATORS

_CELL_BY_CELL = {
    OPERATORS[name]
    for name in (
        *("Abs", "Add", "BatchNormalization", "Cast", "Celu", "Clip", "Div", "Dropout", "Elu"),
        *("Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log", "Max"),
        *("Min", "Mish", "Mul", "Neg", "PRelu", "Pow", "Reciprocal", "Relu", "Selu", "Sigmoid"),
        *("Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tanh"),
    )
}
_MIXING = {
    OPERATORS[name]
    for name in (
        *("Conv", "ConvTranspose", "Einsum", "Gemm", "GlobalAveragePool", "GroupNormalization"),
        *("InstanceNormalization", "LayerNormalization", "MatMul", "ReduceMean", "Resize"),
    )
}


def local_head(
    graph: fx.GraphModule, layer: nn.Module, tables: Sequence[fx.Node]
) -> LocalHead | None:
    """The head between a layer and the nodes that hold all rows of its level.

    Returns:
        ``None`` where something that looks further stands between them.
    """
    leading = set(tables)
    for node in reversed(graph.graph.nodes):
        if node in leading:
            leading.update(one for one in node.all_input_nodes if not one.meta.get("whole"))
    local: dict[fx.Node, int] = {}
    behind: set[fx.Node] = set()
    steps: list[Step] = []
    for node in (node for node in graph.graph.nodes if node in leading):
        module: Any = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
        if module is layer:
            local[node] = 0
            continue
        inputs = [one for one in node.all_input_nodes if not one.meta.get("whole")]
        radius = None
        if module is not None and inputs and all(one in local for one in node.all_input_nodes):
            radius = _radius(module, [one.meta["shape"] for one in inputs])
        if radius is not None:
            steps.append(
                Step(module, radius, tuple(local[one] - len(steps) - 1 for one in node.args))
            )
            local[node] = len(steps)
        elif any(one in local or one in behind for one in inputs):
            behind.add(node)
            if module is not None and module.function in _MIXING:
                return None
    ends = [node for node in local if node in tables or any(user in behind for user in node.users)]
    modules = [graph.get_submodule(str(node.target)) for node in ends]
    return LocalHead(steps, [local[node] for node in ends], modules) if ends else None


def around_the_rows(graph: fx.GraphModule, tables: Sequence[Sequence[fx.Node]]) -> list[nn.Module]:
    """What leads to outputs that are made of rows, by a way on which no level's rows are.

    Other outputs, such as the prototypes of masks, are not looked at: no score is made of them.

    Args:
        graph: with shapes.
        tables: for each level the nodes that hold all rows of it.
    """
    ends = {node for level in tables for node in level}
    behind = set(ends)
    for node in graph.graph.nodes:
        if not behind.isdisjoint(node.all_input_nodes):
            behind.add(node)
    leading: set[fx.Node] = set()
    for node in reversed(graph.graph.nodes):
        if node.op == "output":
            leading.update(one for one in node.all_input_nodes if one in behind)
        elif node in leading and node not in ends:
            leading.update(one for one in node.all_input_nodes if not one.meta.get("whole"))
    return [
        graph.get_submodule(str(node.target)) for node in leading - ends if node.op == "call_module"
    ]


def layers_and_behind(graph: fx.GraphModule, layers: Collection[nn.Module]) -> list[nn.Module]:
    """The layers, and what they lead to, but for what leads to one of them again."""
    modules: dict[fx.Node, nn.Module] = {
        node: graph.get_submodule(str(node.target))
        for node in graph.graph.nodes
        if node.op == "call_module"
    }
    before: set[fx.Node] = set()
    for node in reversed(graph.graph.nodes):
        if node in before or modules.get(node) in layers:
            before.update(node.all_input_nodes)
    behind: set[fx.Node] = set()
    for node in graph.graph.nodes:
        if modules.get(node) in layers or behind.intersection(node.all_input_nodes):
            behind.add(node)
    return [
        module
        for node, module in modules.items()
        if module in layers or (node in behind and node not in before)
    ]


def _radius(module: Any, shapes: Sequence[Sequence[int]]) -> int | None:
    """How far an operation on maps of one grid reads, where it keeps the grid; else ``None``."""
    constants = [getattr(module, slot) for slot in module.slots if slot not in (None, "input")]
    if any(len(shape) != 4 or shape[2:] != shapes[0][2:] for shape in shapes):
        return None
    if module.function is OPERATORS["Conv"]:
        return None if module.slots[0] != "input" or "input" in module.slots[1:] else _reach(module)
    if module.function is OPERATORS["Concat"]:
        return 0 if module.attributes.get("axis", 1) in (1, -3) and not constants else None
    if module.function is OPERATORS["BatchNormalization"]:
        return 0 if not module.attributes.get("training_mode") else None
    same_everywhere = all(one.numel() == 1 or _same_everywhere(one) for one in constants)
    return 0 if module.function in _CELL_BY_CELL and same_everywhere else None


def _same_everywhere(constant: Tensor) -> bool:
    return constant.dim() <= 4 and tuple(constant.shape[-2:]) == (1, 1)


def _reach(module: Any) -> int | None:
    """Of a convolution that keeps the grid, with zeros around it."""
    options = module.attributes
    kernel = getattr(module, module.slots[1]).shape[2:]
    reach = {
        spread * (side - 1)
        for side, spread in zip(kernel, options.get("dilations") or [1, 1], strict=True)
    }
    if (
        len(kernel) != 2
        or len(reach) != 1
        or any(step != 1 for step in options.get("strides") or ())
    ):
        return None
    [whole] = reach
    automatic = options.get("auto_pad", "NOTSET")
    pads = [whole // 2] * 4 if str(automatic).startswith("SAME") else options.get("pads") or [0] * 4
    return None if whole % 2 or list(pads) != [whole // 2] * 4 else whole // 2
