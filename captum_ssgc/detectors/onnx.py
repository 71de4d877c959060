"""ONNX files as differentiable modules, through onnx2torch (extra ``[onnx]``)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, fx, nn

try:
    import onnx
    from onnx2torch import convert
except ImportError as error:
    raise ImportError(
        "ONNX detectors need onnx and onnx2torch: pip install 'captum-ssgc[onnx]'"
    ) from error


@dataclass(frozen=True)
class OnnxInput:
    """The single image input of an ONNX graph: ``(N, channels, height, width)``.

    A dimension that the file leaves open is ``None``.
    """

    batch: int | None
    height: int | None
    width: int | None


class OneByOne(nn.Module):
    """Runs a network whose batch size is fixed at one on a batch, image by image."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        outputs = [self.network(image[None]) for image in images]
        if isinstance(outputs[0], Tensor):
            return torch.cat(outputs)
        return [torch.cat(parts) for parts in zip(*outputs, strict=True)]


def load_onnx(path: str | os.PathLike[str]) -> tuple[nn.Module, OnnxInput]:
    """Read an ONNX file into a module with gradients and hooks, in evaluation mode.

    Args:
        path: the file; its graph takes one input ``(N, 3, H, W)``.

    Returns:
        The module, named after the nodes of the graph, and the shape of its input.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no ONNX model, has another input, or an operator that cannot be
            converted.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"ONNX file {path} does not exist.")
    try:
        graph = onnx.load(str(path))
        onnx.checker.check_model(graph)
    except Exception as error:  # protobuf and onnx raise several unrelated types
        raise ValueError(f"{path} is not a readable ONNX model: {_first_line(error)}") from None
    weights = {entry.name for entry in graph.graph.initializer}
    inputs = [entry for entry in graph.graph.input if entry.name not in weights]
    shape = inputs[0].type.tensor_type.shape.dim if inputs else []
    if len(inputs) != 1 or len(shape) != 4 or shape[1].dim_value not in (0, 3):
        sizes = [(entry.name, len(entry.type.tensor_type.shape.dim)) for entry in inputs]
        described = ", ".join(f"{name} ({axes}-D)" for name, axes in sizes)
        raise ValueError(f"{path}: expected one image input (N, 3, H, W), got {described}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module: nn.Module = convert(graph).eval()
    except Exception as error:  # NotImplementedError, KeyError, ...: all mean the same here
        raise ValueError(f"{path} cannot be converted to torch: {_first_line(error)}") from error
    size = OnnxInput(*((shape[axis].dim_value or None) for axis in (0, 2, 3)))
    return (OneByOne(module).eval() if size.batch == 1 else module), size


def common_sources(network: nn.Module, outputs: Iterable[fx.Node]) -> list[nn.Module]:
    """For each node of a converted graph, the last module that all of its inputs go through.

    This is how the layer of a pyramid level is found in a graph without names: everything that a
    level predicts (box, objectness, classes) is computed from that module's output.

    Args:
        network: from :func:`load_onnx`.
        outputs: the nodes that join a level's predictions.

    Returns:
        One module per node.
    """
    graph = _graph_module(network)
    dominators: dict[fx.Node, set[fx.Node]] = {}
    for node in graph.graph.nodes:
        inputs = [entry for entry in node.all_input_nodes if entry.op != "get_attr"]
        above = [dominators[entry] for entry in inputs]
        dominators[node] = (set.intersection(*above) if above else set()) | {node}
    order = {node: place for place, node in enumerate(graph.graph.nodes)}
    found = []
    for output in outputs:
        passed = dominators[output] - {output}
        modules = [node for node in passed if node.op == "call_module"]
        last = max(modules, key=order.__getitem__)
        found.append(graph.get_submodule(str(last.target)))
    return found


def _graph_module(network: nn.Module) -> fx.GraphModule:
    inner = network.network if isinstance(network, OneByOne) else network
    if not isinstance(inner, fx.GraphModule):
        raise TypeError(f"network: expected a converted ONNX graph, got {type(inner).__name__}.")
    return inner


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0][:200]
