"""From an ONNX graph to a :class:`torch.fx.GraphModule`, node by node."""

from __future__ import annotations

import inspect
import operator
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import onnx
import onnx.inliner
import torch
from onnx import numpy_helper
from torch import Tensor, fx, nn

from captum_ssgc.detectors.onnx_layers import OPERATORS
from captum_ssgc.detectors.onnx_places import numbers_in, read_inputs, sent, stays_on_host

_HALF = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)


class Operation(nn.Module):
    """One node of the graph; inputs that do not depend on the image are kept inside.

    Args:
        function: of the node's inputs.
        constants: inputs by their place; the others come from the forward, in order.
        count: how many inputs there are.
        attributes: keywords of ``function``.
        read: places of the inputs whose numbers ``function`` reads; they are on the host.
        on_host: so are all constants.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        constants: Mapping[int, Tensor | None],
        count: int,
        attributes: Mapping[str, Any],
        read: Collection[int] = (),
        on_host: bool = False,
    ) -> None:
        super().__init__()
        self.function, self.attributes, self.read = function, dict(attributes), read
        self.slots: list[str | None] = ["input"] * count
        for place, constant in constants.items():
            name = self.slots[place] = None if constant is None else f"constant_{place}"
            if name is None or constant is None:
                continue
            if on_host or place in read:
                setattr(self, name, constant)  # no buffer, which would follow the network
            elif constant.is_floating_point():
                self.register_parameter(name, nn.Parameter(constant, requires_grad=False))
            else:
                self.register_buffer(name, constant)

    def forward(self, *inputs: Tensor) -> Any:
        given = iter(inputs)
        tensors: list[Any] = [
            None if slot is None else next(given) if slot == "input" else getattr(self, slot)
            for slot in self.slots
        ]
        data = [i for i, one in enumerate(tensors) if one is not None and i not in self.read]
        away = [tensors[i].device for i in data if tensors[i].device.type != "cpu"]
        for place in data if away else ():
            tensors[place] = sent(tensors[place], away[0])
        for place in self.read:
            if place < len(tensors) and tensors[place] is not None:
                tensors[place] = tensors[place].cpu()
        return self.function(*tensors, **self.attributes)

    def extra_repr(self) -> str:
        return getattr(self.function, "__name__", "").strip("_")


class Conversion:
    """A graph on its way; values are nodes of the new graph, or tensors where they are constant.

    Raises:
        NotImplementedError: for an operator that is not known.
    """

    def __init__(self, model: onnx.ModelProto, fixed: Mapping[str, Tensor]) -> None:
        self.opset = next(
            (one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 1
        )
        self.modules, self.graph = nn.Module(), fx.Graph()
        self.names: Counter[str] = Counter()
        self.values: dict[str, fx.Node | Tensor | None] = {"": None, **fixed}
        self.numbers, self.hosted = numbers_in(model.graph), set[fx.Node]()
        for tensor in model.graph.initializer:
            self.values[tensor.name] = tensor_of(tensor)
        for entry in model.graph.input:
            if entry.name not in self.values:
                self.values[entry.name] = self.graph.placeholder(f"input_{len(self.graph.nodes)}")
        for node in model.graph.node:
            self._add(node)
        outputs = [self._node(self.values[entry.name]) for entry in model.graph.output]
        self.graph.output(outputs[0] if len(outputs) == 1 else tuple(outputs))
        self.graph.lint()
        self.module = fx.GraphModule(self.modules, self.graph)

    def _add(self, node: onnx.NodeProto) -> None:
        attributes = {entry.name: _attribute(entry) for entry in node.attribute}
        if node.op_type == "Constant":
            (value,) = attributes.values()
            self.values[node.output[0]] = (
                value if isinstance(value, Tensor) else torch.tensor(value, device="cpu")
            )
            return
        if node.op_type not in OPERATORS:
            raise NotImplementedError(f"operator {node.op_type} (node {node.name!r})")
        function = OPERATORS[node.op_type]
        if node.op_type in ("Split", "Resize", "RoiAlign", "Softmax", "LogSoftmax"):
            known = inspect.signature(function).parameters
            extra = {"opset": self.opset, "outputs": len(node.output)}
            attributes.update({key: value for key, value in extra.items() if key in known})
        inputs = [self.values[name] for name in node.input]
        used = [name for name in node.output if name]
        if not any(isinstance(value, fx.Node) for value in inputs):
            with torch.no_grad():
                results = function(*inputs, **attributes)
            parts = results if isinstance(results, (tuple, list)) else [results]
            self.values.update(zip(node.output, parts, strict=False))
            return
        on_host = stays_on_host(node, inputs, self.hosted, self.numbers)
        read = read_inputs(node.op_type)
        call = self._call(self._unique(node), function, inputs, attributes, read, on_host)
        if node.op_type in ("Split", "TopK"):
            for place, output in enumerate(node.output):
                part = self.graph.call_function(operator.getitem, (call, place))
                self.values[output] = part
                self.hosted.update([part] if on_host else ())
        elif len(used) > 1 and node.op_type not in ("Dropout", "BatchNormalization"):
            raise NotImplementedError(f"{node.op_type} with {len(used)} outputs ({node.name!r})")
        else:
            self.values[node.output[0]] = call

    def _call(
        self,
        name: str,
        function: Callable[..., Any],
        inputs: Sequence[fx.Node | Tensor | None],
        attributes: Mapping[str, Any],
        read: Collection[int],
        on_host: bool,
    ) -> fx.Node:
        constants = {i: value for i, value in enumerate(inputs) if not isinstance(value, fx.Node)}
        module = Operation(function, constants, len(inputs), attributes, read, on_host)
        self.modules.add_module(name, module)
        arguments = tuple(value for value in inputs if isinstance(value, fx.Node))
        call = self.graph.call_module(name, arguments)
        self.hosted.update([call] if on_host else ())
        return call

    def _unique(self, node: onnx.NodeProto) -> str:
        stem = node.name.replace(".", "/") or node.op_type
        count = self.names[stem] = self.names[stem] + 1
        return f"{stem}_{count - 1}" if count > 1 else stem

    def _node(self, value: fx.Node | Tensor | None) -> fx.Node:
        if isinstance(value, fx.Node) and value in self.hosted:
            here = torch.empty(0, dtype=torch.int64, device="cpu")  # goes where the network goes
            return self._call(
                f"output_{value.name}", OPERATORS["Identity"], [value, here], {}, (), False
            )
        if isinstance(value, fx.Node):
            return value
        if value is None:
            raise NotImplementedError("an output without a value")
        name = f"constant_output_{len(dict(self.modules.named_buffers(recurse=False)))}"
        self.modules.register_buffer(name, value)
        return self.graph.get_attr(name)


def convert(model: onnx.ModelProto, fixed: Mapping[str, Tensor] | None = None) -> fx.GraphModule:
    """An ONNX model as a module in evaluation mode, its modules named after its nodes.

    Args:
        model: checked; functions of its own are inlined.
        fixed: inputs that shall be constant, by name.

    Raises:
        NotImplementedError: for an operator, or a variant of one, that is not known.
    """
    return Conversion(onnx.inliner.inline_local_functions(model), fixed or {}).module.eval()


def tensor_of(tensor: onnx.TensorProto) -> Tensor:
    """A stored tensor; half precision becomes single."""
    array = numpy_helper.to_array(tensor)
    if tensor.data_type in _HALF:
        array = array.astype("float32")
    return torch.from_numpy(array.copy())


def _attribute(entry: onnx.AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(entry)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return tensor_of(value)
    if isinstance(value, onnx.GraphProto):
        raise NotImplementedError("a branch or loop inside the graph")
    if entry.type in (onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS):
        return list(value)
    return value
