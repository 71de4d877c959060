"""Where the values of a converted graph are: on the host, or wherever the network is sent.

What is made of shapes and of constants alone stays on the host, together with these constants, as
far as its numbers are read there (sizes, axes, counts) or it is whole numbers: reading them from a
device would wait for it, at every use. Everything else is where the image and the weights are, and
what comes from the host is moved there.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import onnx
import torch
from torch import Tensor, fx

SHAPES = ("Shape", "Size")
# The inputs whose numbers an operator reads, by place; the others are data.
_READ = {
    "Reshape": (1,), "Expand": (1,), "Tile": (1,), "Split": (1,), "Squeeze": (1,),
    "Unsqueeze": (1,), "Slice": (1, 2, 3, 4), "Pad": (1, 2, 3), "Range": (0, 1, 2),
    "ConstantOfShape": (0,), "Trilu": (1,), "OneHot": (1,), "TopK": (1,), "CumSum": (1,),
    "Resize": (1, 2, 3), "Upsample": (1,), "Dropout": (1, 2),
}  # fmt: skip


def read_inputs(operator: str) -> Collection[int]:
    """The places of the inputs whose numbers an operator reads, as it cannot run without them."""
    return (1,) if operator.startswith("Reduce") else _READ.get(operator, ())


def numbers_in(graph: onnx.GraphProto) -> set[str]:
    """The values of a graph, its nodes in order, that numbers are read from or made of."""
    numbers: set[str] = set()
    for node in reversed(graph.node):
        made = node.op_type not in SHAPES and not numbers.isdisjoint(node.output)
        read = read_inputs(node.op_type)
        numbers.update(name for place, name in enumerate(node.input) if made or place in read)
    return numbers


def stays_on_host(
    node: onnx.NodeProto,
    inputs: Sequence[fx.Node | Tensor | None],
    hosted: Collection[fx.Node],
    numbers: Collection[str],
) -> bool:
    """Whether a node computes on the host.

    Args:
        node: of the graph.
        inputs: of the node; constants are tensors.
        hosted: nodes before it whose values are on the host.
        numbers: from :func:`numbers_in`.
    """
    if node.op_type in SHAPES:
        return True
    read = read_inputs(node.op_type)
    data = [value for place, value in enumerate(inputs) if place not in read]
    if any(isinstance(value, fx.Node) and value not in hosted for value in data):
        return False
    weights = any(isinstance(value, Tensor) and value.is_floating_point() for value in data)
    return not weights or any(name in numbers for name in node.output)


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device, without waiting for a GPU that has other work."""
    # CUDA copies ordinary memory before it returns; other devices may read it later.
    return tensor.to(device, non_blocking=device.type == "cuda" and tensor.device.type == "cpu")
