from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

import captum_ssgc as ssgc
from captum_ssgc.detectors import load_onnx, yolox
from captum_ssgc.detectors.yolox import YoloxDecoder

onnx = pytest.importorskip("onnx")


class Tiny(nn.Module):
    """A network in the YOLOX layout: three strides, two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.necks = nn.ModuleList(nn.Conv2d(3, 4, 3, stride, 1) for stride in (8, 16, 32))
        self.boxes = nn.ModuleList(nn.Conv2d(4, 4, 1) for _ in range(3))
        self.objects = nn.ModuleList(nn.Conv2d(4, 1, 1) for _ in range(3))
        self.classes = nn.ModuleList(nn.Conv2d(4, 2, 1) for _ in range(3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        levels = []
        for neck, box, seen, kind in zip(
            self.necks, self.boxes, self.objects, self.classes, strict=True
        ):
            features = neck(images / 255.0).relu()
            joined = [box(features), seen(features).sigmoid(), kind(features).sigmoid()]
            levels.append(torch.cat(joined, 1).flatten(2))
        return torch.cat(levels, 2).transpose(1, 2)


def onnx_graph(weights: dict[str, torch.Tensor], batch: int | str = "batch"):
    """The same network written as an ONNX graph by hand."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, outputs = [], []
    tensors = [numpy_helper.from_array(value.numpy(), name) for name, value in weights.items()]
    tensors.append(helper.make_tensor("white", TensorProto.FLOAT, [], [255.0]))
    tensors.append(helper.make_tensor("flat", TensorProto.INT64, [3], [0, 7, -1]))

    def conv(name: str, source: str, target: str, **options: list[int]) -> None:
        inputs = [source, f"{name}.weight", f"{name}.bias"]
        nodes.append(helper.make_node("Conv", inputs, [target], name=target, **options))

    nodes.append(helper.make_node("Div", ["images", "white"], ["scaled"], name="scaled"))
    for level, stride in enumerate((8, 16, 32)):
        conv(f"necks.{level}", "scaled", f"neck{level}", strides=[stride] * 2, pads=[1] * 4)
        nodes.append(helper.make_node("Relu", [f"neck{level}"], [f"act{level}"], f"act{level}"))
        conv(f"boxes.{level}", f"act{level}", f"box{level}")
        parts = [f"box{level}"]
        for kind in ("objects", "classes"):
            conv(f"{kind}.{level}", f"act{level}", f"{kind}{level}")
            name = f"p_{kind}{level}"
            nodes.append(helper.make_node("Sigmoid", [f"{kind}{level}"], [name], name))
            parts.append(name)
        nodes.append(helper.make_node("Concat", parts, [f"cat{level}"], f"cat{level}", axis=1))
        nodes.append(
            helper.make_node("Reshape", [f"cat{level}", "flat"], [f"r{level}"], f"r{level}")
        )
        outputs.append(f"r{level}")
    nodes.append(helper.make_node("Concat", outputs, ["all"], "all", axis=2))
    nodes.append(helper.make_node("Transpose", ["all"], ["out"], "out", perm=[0, 2, 1]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, 64, 64])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [batch, 84, 7])],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.fixture(scope="module")
def tiny() -> Tiny:
    torch.manual_seed(1)
    return Tiny().eval()


@pytest.fixture(scope="module", params=["batch", 1], ids=["open-batch", "batch-of-one"])
def path(request, tiny, tmp_path_factory):
    weights = {name: value.detach() for name, value in tiny.state_dict().items()}
    file = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    onnx.save(onnx_graph(weights, request.param), file)
    return file


def test_decoding_is_the_layout_of_the_paper():
    """Slowly, cell by cell."""
    output = torch.randn(1, 84, 8, generator=torch.Generator().manual_seed(0)) / 2
    found = YoloxDecoder((64, 64))(output)
    row = 0
    for level, (stride, cells) in enumerate(((8, 8), (16, 4), (32, 2))):
        for y in range(cells):
            for x in range(cells):
                cell = output[0, row].tolist()
                centre = (cell[0] + x) * stride, (cell[1] + y) * stride
                size = math.exp(cell[2]) * stride, math.exp(cell[3]) * stride
                box = [centre[0] - size[0] / 2, centre[1] - size[1] / 2]
                box += [centre[0] + size[0] / 2, centre[1] + size[1] / 2]
                assert found.boxes[0, row].tolist() == pytest.approx(box, abs=1e-4)
                scores = [cell[4] * other for other in cell[5:]]
                assert found.class_scores[0, row].tolist() == pytest.approx(scores, abs=1e-6)
                assert int(found.levels[row]) == level
                row += 1


def test_an_onnx_file_is_a_detector(path, tiny):
    detector = yolox(path, score_threshold=0.0, iou_threshold=0.99)
    images = torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(0))
    found = detector.detect(images)
    assert len(found[0]) >= 5
    assert len(found[0].levels.unique()) >= 2
    canvas, _ = detector.preprocess(images)
    expected = tiny(canvas)
    with torch.no_grad():
        scores = ssgc.InstanceScoreWrapper(detector, found[0])(images)
    raw = YoloxDecoder((64, 64))(expected).class_scores
    torch.testing.assert_close(scores, raw[:, found[0].candidates, found[0].labels])
    torch.testing.assert_close(scores[0], found[0].scores)


@pytest.mark.filterwarnings("ignore:.*all-zero map")  # random weights
def test_level_layers_are_found_from_the_graph(path):
    detector = yolox(path, score_threshold=0.0, iou_threshold=0.99)
    names = [name.removeprefix("network.") for name in detector.target_layers()]
    assert names == ["act0", "act1", "act2"]
    image = torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(0))
    detections = detector.detect(image)[0]
    wrapper = ssgc.InstanceScoreWrapper(detector, detections)
    for level in detections.levels.unique().tolist():
        target = detections.levels.tolist().index(level)
        layer = detector.layer_for(detections, target)
        attributions = ssgc.SSGradCAMPlusPlus(wrapper, layer).attribute(image, target=target)
        assert attributions.shape[-1] == 64 // (8, 16, 32)[level]


def test_bad_onnx_files_are_named(tmp_path):
    from onnx import TensorProto, helper

    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_onnx(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(ValueError, match="not a readable ONNX model"):
        load_onnx(tmp_path / "text.onnx")
    node = helper.make_node("Relu", ["x"], ["y"])
    flat = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph([node], "flat", flat[:1], flat[1:])
    onnx.save(helper.make_model(graph, ir_version=8), tmp_path / "flat.onnx")
    with pytest.raises(ValueError, match=r"expected one image input \(N, 3, H, W\), got x \(2-D\)"):
        load_onnx(tmp_path / "flat.onnx")
    images = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 64, 64]) for name in "xy"
    ]
    graph = helper.make_graph([node], "foreign", images[:1], images[1:])
    onnx.save(helper.make_model(graph, ir_version=8), tmp_path / "foreign.onnx")
    with pytest.raises(ValueError, match="expected the YOLOX layout"):
        yolox(tmp_path / "foreign.onnx")


@pytest.mark.parametrize("batch", [1, "n"], ids=["fixed", "open"])
def test_a_graph_with_two_outputs_runs_on_a_batch(tmp_path, batch):
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["z"])]
    shape = [batch, 3, 4, 6]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xyz"]
    graph = helper.make_graph(nodes, "two", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, ir_version=8), tmp_path / "two.onnx")
    network, _ = load_onnx(tmp_path / "two.onnx")
    images = torch.randn(3, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    above, negative = network(images)
    assert torch.equal(above, images.relu())
    assert torch.equal(negative, -images)


def test_a_real_photo(shared_data):
    folder = shared_data / "coco_val_50"
    names = [c["name"] for c in json.loads((folder / "instances.json").read_text())["categories"]]
    detector = yolox(shared_data / "yolox_nano_coco.onnx", label_names=names)
    image = ssgc.load_image(next(iter(sorted((folder / "images").iterdir()))))
    detections = detector.detect(image)[0]
    assert len(detections.above(0.4)) >= 1
    assert len(detector.level_layers()) == 3
    with torch.no_grad():
        scores = ssgc.InstanceScoreWrapper(detector, detections)(image)[0]
    torch.testing.assert_close(scores, detections.scores)
