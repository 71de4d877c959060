"""Every operator that is converted, against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from captum_ssgc.detectors.onnx_convert import convert  # noqa: E402
from captum_ssgc.detectors.onnx_layers import OPERATORS  # noqa: E402

LONG = np.int64


def drawn(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


IMAGE = drawn(2, 3, 7, 9)
PAIR = drawn(2, 3, 4), drawn(3, 1, seed=1)
COUNTS = np.arange(24, dtype=LONG).reshape(2, 3, 4)


def node_model(
    op: str, first: np.ndarray, rest: list[Any], attributes: dict[str, Any], opset: int, outs: int
) -> Any:
    """One node; its first input is the graph's, the others are stored."""
    from onnx import helper, numpy_helper

    names = ["x"]
    stored = []
    for place, value in enumerate(rest):
        names.append("" if value is None else f"c{place}")
        if value is not None:
            stored.append(numpy_helper.from_array(np.asarray(value), f"c{place}"))
    outputs = [f"y{place}" for place in range(outs)]
    node = helper.make_node(op, names, outputs, "node", **attributes)
    kind = helper.np_dtype_to_tensor_dtype(first.dtype)
    ends = [helper.make_tensor_value_info("x", kind, first.shape)]
    given = [onnx.ValueInfoProto(name=name) for name in outputs]
    graph = helper.make_graph([node], "one", ends, given, stored)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=min(10, 4 + opset // 3))


UNARY = (
    *("Abs", "Atan", "Ceil", "Cos", "Erf", "Exp", "Floor", "Neg", "Round", "Sign", "Sin", "Tanh"),
    *("Relu", "Sigmoid", "Softplus", "Softsign", "HardSwish", "Elu", "Selu", "Celu", "LeakyRelu"),
    *("HardSigmoid", "Identity"),
)
REDUCED = (
    *("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2"),
    *("ReduceSumSquare", "ReduceLogSumExp"),
)
RESIZES = [
    {"mode": mode, "coordinate_transformation_mode": transform}
    for mode in ("linear", "cubic")
    for transform in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
] + [
    {"mode": "nearest", "coordinate_transformation_mode": transform, "nearest_mode": rounding}
    for transform in ("asymmetric", "half_pixel")
    for rounding in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
]
FACTORS = np.array([1, 1, 2, 1.5], np.float32)
EVEN = drawn(1, 3, 8, 8)
POOL: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2]}
W = drawn(4, 3, 3, 3, seed=2)

CASES: list[tuple[str, np.ndarray, list[Any], dict[str, Any], int]] = [
    *((op, IMAGE, [], {}, 17) for op in UNARY),
    *((op, np.abs(IMAGE) + 0.1, [], {}, 17) for op in ("Log", "Sqrt", "Reciprocal")),
    *((op, drawn(3, 4, low=-0.9, high=0.9), [], {}, 17) for op in ("Acos", "Asin", "Tan")),
    *((op, *[PAIR[0], [PAIR[1]]], {}, 17) for op in ("Add", "Sub", "Mul", "Div", "Max", "Min")),
    ("Sum", PAIR[0], [PAIR[1], PAIR[1]], {}, 17),
    ("Mean", PAIR[0], [PAIR[1]], {}, 17),
    ("Pow", np.abs(IMAGE), [np.float32(1.5)], {}, 17),
    ("Div", COUNTS - 12, [np.array(5, LONG)], {}, 17),
    ("Mod", COUNTS - 12, [np.array(5, LONG)], {}, 17),
    ("Mod", PAIR[0], [np.float32(0.7)], {"fmod": 1}, 17),
    *((op, COUNTS, [COUNTS % 5], {}, 17) for op in ("Equal", "Greater", "LessOrEqual")),
    ("Clip", IMAGE, [np.float32(-1), np.float32(0.5)], {}, 17),
    ("Clip", IMAGE, [None, np.float32(0.5)], {}, 17),
    ("Clip", IMAGE, [], {"min": -1.0, "max": 0.5}, 9),
    ("PRelu", IMAGE, [drawn(3, 1, 1)], {}, 17),
    ("Gelu", IMAGE, [], {"approximate": "tanh"}, 20),
    ("Mish", IMAGE, [], {}, 18),
    ("Softmax", IMAGE, [], {"axis": 1}, 17),
    ("Softmax", IMAGE, [], {}, 17),
    ("Softmax", IMAGE, [], {"axis": 2}, 11),
    ("LogSoftmax", IMAGE, [], {}, 9),
    ("Cast", IMAGE, [], {"to": 7}, 17),
    ("Where", COUNTS % 2 == 0, [PAIR[0], PAIR[0] * 2], {}, 17),
    *((op, np.abs(IMAGE), [], {"axes": [1, -1], "keepdims": 0}, 11) for op in REDUCED),
    ("ReduceSum", IMAGE, [np.array([2], LONG)], {}, 17),
    ("ReduceMean", IMAGE, [np.array([2, 3], LONG)], {}, 18),
    ("ReduceMax", IMAGE, [], {}, 18),
    ("ReduceMean", IMAGE, [], {"noop_with_empty_axes": 1}, 18),
    ("ArgMax", IMAGE, [], {"axis": 2, "keepdims": 0}, 17),
    ("ArgMax", COUNTS % 2, [], {"axis": 2, "select_last_index": 1}, 17),
    ("CumSum", IMAGE, [np.array(2, LONG)], {"exclusive": 1, "reverse": 1}, 17),
    ("CumSum", IMAGE, [np.array(1, LONG)], {}, 17),
    ("Reshape", IMAGE, [np.array([0, -1, 9], LONG)], {}, 17),
    ("Flatten", IMAGE, [], {"axis": 2}, 17),
    ("Flatten", IMAGE, [], {"axis": -1}, 17),
    ("Flatten", IMAGE, [], {"axis": 0}, 17),
    ("Transpose", IMAGE, [], {"perm": [0, 2, 3, 1]}, 17),
    ("Transpose", IMAGE, [], {}, 17),
    ("Squeeze", IMAGE[:1], [np.array([0], LONG)], {}, 17),
    ("Squeeze", IMAGE[:1], [], {"axes": [0]}, 11),
    ("Unsqueeze", IMAGE, [np.array([0, -1], LONG)], {}, 17),
    ("Unsqueeze", IMAGE, [], {"axes": [1, 3]}, 11),
    ("Concat", IMAGE, [IMAGE + 1], {"axis": -1}, 17),
    ("Slice", IMAGE, [np.array([1, -1], LONG), np.array([6, -9], LONG),
                      np.array([2, 3], LONG), np.array([2, -3], LONG)], {}, 17),
    ("Slice", IMAGE, [np.array([8], LONG), np.array([-(2**63)], LONG), np.array([3], LONG),
                      np.array([-1], LONG)], {}, 17),
    ("Slice", IMAGE, [], {"starts": [1], "ends": [2**31], "axes": [2]}, 9),
    ("Gather", IMAGE, [np.array([[0, -1], [1, 1]], LONG)], {"axis": 2}, 17),
    ("Gather", IMAGE, [np.array(2, LONG)], {"axis": 1}, 17),
    ("GatherElements", IMAGE, [np.array([[[[0, -1, 2]]]], LONG)], {"axis": 3}, 17),
    ("GatherND", IMAGE, [np.array([[0, 1], [1, 2]], LONG)], {}, 17),
    ("GatherND", IMAGE, [np.array([[1], [2]], LONG)], {"batch_dims": 1}, 17),
    ("ScatterND", IMAGE, [np.array([[0, 1], [1, 2]], LONG), drawn(2, 7, 9)], {}, 17),
    ("ScatterElements", IMAGE, [np.array([[[[0, -1, 2]]]], LONG), drawn(1, 1, 1, 3)],
     {"axis": 3}, 17),
    ("Expand", drawn(3, 1), [np.array([2, 1, 4], LONG)], {}, 17),
    ("Tile", PAIR[0], [np.array([1, 2, 3], LONG)], {}, 17),
    ("Pad", IMAGE, [np.array([0, 0, 1, 2, 0, 1, 0, 3], LONG), np.float32(7)], {}, 17),
    ("Pad", IMAGE, [np.array([0, 0, 1, -2, 0, 0, 0, 3], LONG)], {}, 17),
    ("Pad", IMAGE, [np.array([2, 3], LONG), None, np.array([3], LONG)], {"mode": "wrap"}, 19),
    *(("Pad", IMAGE, [np.array([0, 0, 2, 4, 0, 0, 5, 3], LONG)], {"mode": mode}, 17)
      for mode in ("reflect", "edge")),
    ("Pad", IMAGE, [], {"pads": [0, 0, 1, 2, 0, 1, 0, 3], "value": 7.0}, 10),
    ("Trilu", PAIR[0], [np.array(1, LONG)], {"upper": 0}, 17),
    ("DepthToSpace", drawn(1, 8, 2, 3), [], {"blocksize": 2}, 17),
    ("DepthToSpace", drawn(1, 8, 2, 3), [], {"blocksize": 2, "mode": "CRD"}, 17),
    ("SpaceToDepth", drawn(1, 2, 4, 6), [], {"blocksize": 2}, 17),
    ("NonZero", COUNTS % 3, [], {}, 17),
    ("OneHot", COUNTS[0], [np.array(5, LONG), np.array([0, 1], np.float32)], {"axis": 1}, 17),
    ("Shape", IMAGE, [], {"start": 1}, 17),
    ("EyeLike", drawn(3, 4), [], {"k": 1}, 17),
    ("Conv", IMAGE, [W, drawn(4)], {"pads": [1, 1, 1, 1], "strides": [2, 1]}, 17),
    ("Conv", IMAGE, [W], {"pads": [0, 1, 2, 1], "dilations": [2, 2]}, 17),
    ("Conv", IMAGE, [W], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, 17),
    ("Conv", EVEN, [W], {"auto_pad": "SAME_LOWER", "strides": [2, 2]}, 22),
    ("Conv", IMAGE, [drawn(6, 1, 3, 3)], {"group": 3}, 17),
    ("Conv", IMAGE[:, :, 0], [drawn(4, 3, 3)], {}, 17),
    ("ConvTranspose", IMAGE, [drawn(3, 4, 2, 2)], {"strides": [2, 2]}, 17),
    ("ConvTranspose", IMAGE, [drawn(3, 4, 3, 3), drawn(4)],
     {"strides": [2, 2], "pads": [1] * 4, "output_padding": [1, 1]}, 17),
    ("MaxPool", IMAGE, [], {**POOL, "pads": [1] * 4}, 17),
    ("MaxPool", IMAGE, [], {**POOL, "pads": [0, 0, 1, 1]}, 17),
    ("MaxPool", EVEN, [], {**POOL, "ceil_mode": 1}, 17),
    ("MaxPool", EVEN, [], {**POOL, "auto_pad": "SAME_UPPER"}, 9),
    ("AveragePool", IMAGE, [], {**POOL, "pads": [1] * 4}, 17),
    ("AveragePool", IMAGE, [], {**POOL, "pads": [1] * 4, "count_include_pad": 1}, 17),
    ("AveragePool", IMAGE, [], {**POOL, "pads": [0, 0, 1, 1]}, 22),
    ("AveragePool", EVEN, [], {**POOL, "auto_pad": "SAME_UPPER"}, 17),
    ("GlobalAveragePool", IMAGE, [], {}, 17),
    ("GlobalMaxPool", IMAGE, [], {}, 17),
    ("MatMul", drawn(2, 3, 4), [drawn(4, 5)], {}, 17),
    ("Gemm", drawn(4, 2), [drawn(5, 4), drawn(5)],
     {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}, 17),
    ("Einsum", drawn(2, 3, 4), [drawn(2, 4, 5)], {"equation": "bij,bjk->bik"}, 17),
    ("BatchNormalization", IMAGE, [drawn(3), drawn(3), drawn(3), np.abs(drawn(3)) + 0.5],
     {"epsilon": 1e-3}, 17),
    ("InstanceNormalization", IMAGE, [drawn(3), drawn(3)], {}, 17),
    ("LayerNormalization", IMAGE, [drawn(9), drawn(9)], {}, 17),
    ("LayerNormalization", IMAGE, [drawn(7, 9)], {"axis": 2}, 17),
    ("GroupNormalization", drawn(2, 6, 3), [drawn(6), drawn(6)], {"num_groups": 3}, 21),
    ("LpNormalization", IMAGE, [], {"axis": 1}, 17),
    *(("Resize", IMAGE, [None, FACTORS], mode, 13) for mode in RESIZES),
    ("Resize", IMAGE, [None, None, np.array([2, 3, 14, 5], LONG)], {"mode": "linear"}, 18),
    ("Resize", IMAGE, [None, None, np.array([14, 5], LONG)], {"axes": [2, 3]}, 19),
    ("Resize", IMAGE, [np.array([1, 1, 2, 2], np.float32)], {"mode": "nearest"}, 10),
    ("Resize", IMAGE, [np.array([1, 1, 2, 2], np.float32)], {"mode": "linear"}, 10),
    ("Upsample", IMAGE, [np.array([1, 1, 2, 2], np.float32)], {"mode": "nearest"}, 9),
    *(("GridSample", IMAGE, [drawn(2, 4, 5, 2, low=-1.2, high=1.2)],
       {"mode": mode, "padding_mode": padding, "align_corners": corners}, 16)
      for mode, padding, corners in (("bilinear", "zeros", 0), ("nearest", "border", 1))),
    ("GridSample", IMAGE, [drawn(2, 4, 5, 2)], {"mode": "linear"}, 20),
    ("RoiAlign", IMAGE, [np.array([[1, 1, 6, 5], [0, 0, 8, 6]], np.float32),
                         np.array([0, 1], LONG)],
     {"output_height": 2, "output_width": 3, "sampling_ratio": 2}, 16),
    ("RoiAlign", IMAGE, [np.array([[1, 1, 6, 5]], np.float32), np.array([1], LONG)],
     {"output_height": 2, "output_width": 2, "sampling_ratio": 2}, 10),
    ("Dropout", IMAGE, [], {}, 13),
]  # fmt: skip


def by_the_runtime(model, first):
    """What ONNX Runtime computes; skips the test where this version of it cannot."""
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        return session.run(None, {"x": first})
    except Exception as error:  # its exceptions have no public names
        if tuple(map(int, onnxruntime.__version__.split(".")[:2])) >= (1, 32):
            raise
        pytest.skip(f"onnxruntime {onnxruntime.__version__}: {error}")


@pytest.mark.parametrize(
    ("op", "first", "rest", "attributes", "opset"),
    CASES,
    ids=[f"{case[0]}-{place}" for place, case in enumerate(CASES)],
)
def test_an_operator_is_what_the_runtime_computes(op, first, rest, attributes, opset):
    model = node_model(op, first, rest, attributes, opset, 1)
    [expected] = by_the_runtime(model, first)
    module = convert(model)
    with torch.no_grad():
        found = module(torch.from_numpy(first))
    assert tuple(found.shape) == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("op", "first", "rest", "attributes", "opset", "outs"),
    [
        ("Split", IMAGE, [np.array([2, 7], LONG)], {"axis": 3}, 17, 2),
        ("Split", IMAGE, [], {"axis": 3, "split": [4, 5]}, 11, 2),
        ("Split", IMAGE, [], {"axis": 1}, 17, 3),
        ("Split", IMAGE, [], {"axis": 3, "num_outputs": 4}, 18, 4),
        ("TopK", IMAGE, [np.array([3], LONG)], {"axis": 3}, 17, 2),
        ("TopK", IMAGE, [np.array([3], LONG)], {"axis": 2, "largest": 0}, 11, 2),
    ],
    ids=["split", "split-old", "equal", "counted", "top", "lowest"],
)
def test_operators_with_several_outputs(op, first, rest, attributes, opset, outs):
    model = node_model(op, first, rest, attributes, opset, outs)
    expected = by_the_runtime(model, first)
    for mine, theirs in zip(convert(model)(torch.from_numpy(first)), expected, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs)


def test_what_is_not_compared_here_is_known():
    """Operators that take no floating point tensor, or that are made while converting."""
    compared = {case[0] for case in CASES} | {"Split", "TopK"}
    others = (
        "Acosh Asinh Atanh Cosh Sinh IsNaN IsInf Not And Or Xor GreaterOrEqual Less CastLike "
        "Swish QuickGelu Size ConstantOfShape Range Scatter ReduceLogSum ArgMin"
    )
    assert set(OPERATORS) - compared == set(others.split())


def test_an_unknown_operator_is_named():
    model = node_model("Det", drawn(3, 3), [], {}, 17, 1)
    with pytest.raises(NotImplementedError, match="operator Det"):
        convert(model)
