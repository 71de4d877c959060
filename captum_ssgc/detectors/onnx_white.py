"""Which values a graph takes for white, read off the first arithmetic on its image."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

# What moves or copies pixels without changing their values.
_MOVES = {
    "Cast", "Concat", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Resize", "Slice", "Split",
    "Squeeze", "Transpose", "Unsqueeze", "Upsample",
}  # fmt: skip
_ARITHMETIC = {"Add": 0.0, "Sub": 0.0, "Mul": 1.0, "Div": 1.0}  # and what changes nothing
_BYTES = 255.0
_FACTOR = 16.0  # between those of shares (deviations near 1/4) and those of bytes


def white_of(model: onnx.ModelProto, image: str) -> float | None:
    """255 where a graph begins to normalise bytes, 1 where shares.

    Args:
        model: the graph.
        image: name of its input.

    Returns:
        ``None`` where nothing of the kind comes before the first layer.
    """
    constants = {one.name: one for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    pixels = {image}
    for node in model.graph.node:
        if pixels.isdisjoint(node.input):
            continue
        if node.op_type in _MOVES:
            pixels.update(node.output)
            continue
        other = [constants[name] for name in node.input if name in constants]
        if node.op_type not in _ARITHMETIC or len(other) != 1 or node.input[0] not in pixels:
            return None
        value = np.abs(numpy_helper.to_array(other[0]).astype("float64"))
        if (value == _ARITHMETIC[node.op_type]).all():
            pixels.update(node.output)
            continue
        if node.op_type in ("Add", "Sub"):
            return _BYTES if value.max() > 1.0 else 1.0
        factor = np.median(value)
        return _BYTES if (1 / factor if node.op_type == "Mul" else factor) >= _FACTOR else 1.0
    return None
