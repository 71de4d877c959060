from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from detectors.exported import (
    CLASSES,
    PIXELS,
    SIZE,
    STRIDES,
    Pyramid,
    Written,
    centres,
    corners,
    pyramid,
    rows,
    save,
    scores,
    truth,
)
from torch import Tensor, nn
from torchvision.ops import nms

import captum_ssgc as ssgc
from captum_ssgc.detectors import (
    BlackBoxDetector,
    CandidateDetector,
    Letterbox,
    load_onnx,
    onnx_detector,
)

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
Layout = Callable[..., Any]


def yolov8(maps: list[Tensor]) -> Tensor:
    return torch.cat([centres(rows(maps)), scores(rows(maps))], -1).transpose(1, 2)


def shares(maps: list[Tensor]) -> Tensor:
    return torch.cat([centres(rows(maps)) / PIXELS, scores(rows(maps))], -1).transpose(1, 2)


def yolov5(maps: list[Tensor]) -> Tensor:
    return torch.cat([centres(rows(maps)), rows(maps)[..., 4:].sigmoid()], -1)


def yolox(maps: list[Tensor]) -> Tensor:
    return torch.cat([rows(maps)[..., :4], rows(maps)[..., 4:].sigmoid()], -1)


def yolox_logits(maps: list[Tensor]) -> Tensor:
    return rows(maps) * 1.0


def xyxy_and_scores(maps: list[Tensor]) -> Any:
    return corners(centres(rows(maps))), scores(rows(maps))


def scores_first(maps: list[Tensor]) -> Any:
    return scores(rows(maps)).transpose(1, 2), corners(centres(rows(maps))) / PIXELS


def ssd(maps: list[Tensor]) -> Any:
    return corners(centres(rows(maps)))[:, :, None] / PIXELS, scores(rows(maps))


def detr(maps: list[Tensor]) -> Any:
    return scores(rows(maps)).logit(), centres(rows(maps)) / PIXELS


def raw_maps(maps: list[Tensor]) -> Any:
    return tuple(one * 1.0 for one in maps)


def split_maps(maps: list[Tensor]) -> Any:
    parts = [one.split([4, 1, CLASSES], 1) for one in maps]
    return tuple(part * 1.0 for kind in range(3) for part in (one[kind] for one in parts))


LAYOUTS: dict[str, tuple[Layout, list[str], str]] = {
    "ultralytics": (yolov8, ["output0"], "yolov8"),
    "ultralytics-shares": (shares, ["output0"], "yolov8"),
    "yolov5": (yolov5, ["output"], "yolov5"),
    "yolox": (yolox, ["output"], "yolox"),
    "yolox-logits": (yolox_logits, ["output"], "yolox"),
    "boxes-scores": (xyxy_and_scores, ["boxes", "scores"], "boxes-scores"),
    "scores-first": (scores_first, ["a", "b"], "boxes-scores"),
    "ssd": (ssd, ["boxes", "scores"], "boxes-scores"),
    "detr": (detr, ["logits", "pred_boxes"], "boxes-scores"),
    "maps": (raw_maps, ["p3", "p4", "p5"], "heads"),
    "nine-maps": (split_maps, [f"o{i}" for i in range(9)], "heads"),
}
# Of the picture as it is, so that every layout sees the same canvas.
AS_IT_IS = Letterbox(SIZE, stretch=True)
OPTIONS: dict[str, Any] = {
    "preprocess": AS_IT_IS, "score_threshold": 0.0, "iou_threshold": 0.6, "max_detections": 60,
}  # fmt: skip


@pytest.fixture(scope="module")
def network() -> Pyramid:
    return pyramid()


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand(1, 3, 48, 80, generator=torch.Generator().manual_seed(0))


def expected(network: nn.Module, **options: Any) -> CandidateDetector:
    layers = [f"features.{level}.1" for level in range(3)]
    return CandidateDetector(network, truth, level_layers=layers, **{**OPTIONS, **options})


def assert_same(found: ssgc.Detections, wanted: ssgc.Detections) -> None:
    assert len(wanted) >= 5
    assert found.labels.tolist() == wanted.labels.tolist()
    torch.testing.assert_close(found.scores, wanted.scores, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.boxes, wanted.boxes, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_recognised_and_read(name, network, image, tmp_path):
    layout, names, taken = LAYOUTS[name]
    path = save(tmp_path / "it.onnx", Written(network, layout).eval(), names)
    detector = onnx_detector(path, **OPTIONS)
    assert isinstance(detector, CandidateDetector)
    assert detector.description.startswith(f"{taken}: ")
    assert "agrees with ONNX Runtime" in detector.description
    several = {"multi_label": True} if taken == "boxes-scores" else {}
    wanted = expected(network, **several).detect(image)[0]
    found = detector.detect(image)[0]
    assert_same(found, wanted)
    assert found.candidates.tolist() == wanted.candidates.tolist()
    assert found.levels.tolist() == wanted.levels.tolist()
    assert len(wanted.levels.unique()) > 1
    logits = ssgc.InstanceScoreWrapper(detector, found, "logit")(image)
    torch.testing.assert_close(logits.sigmoid()[0], found.scores, rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*all-zero map")  # random weights
@pytest.mark.parametrize("name", ["ultralytics", "yolox", "boxes-scores", "maps", "nine-maps"])
def test_levels_are_traced_to_the_maps_that_feed_them(name, network, image, tmp_path):
    layout, names, _ = LAYOUTS[name]
    path = save(tmp_path / "it.onnx", Written(network, layout).eval(), names)
    detector = onnx_detector(path, **OPTIONS)
    relus = [f"network./network/features/{i}/features/{i}/1/Relu".replace(".0", "") for i in "012"]
    assert list(detector.target_layers()) == relus
    torch_detector = expected(network, multi_label=name == "boxes-scores")
    torch_detector.window_share = detector.window_share
    options: dict[str, Any] = {"score_threshold": 0.0, "method": ["ssgrad-cam++", "odam"]}
    maps = ssgc.explain(detector, image, **options)
    wanted = ssgc.explain(torch_detector, image, **options)
    assert len({entry.layer for entry in maps}) > 1
    for one, other in zip(maps, wanted, strict=True):
        assert relus.index(one.layer) == int(other.layer.split(".")[1])
        torch.testing.assert_close(one.heat_map, other.heat_map, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("opset", [9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20])
def test_opsets(opset, network, image, tmp_path):
    path = save(
        tmp_path / "it.onnx", Written(network, yolov8).eval(), ["output0"], opset_version=opset
    )
    found = onnx_detector(path, **OPTIONS).detect(image)[0]
    assert_same(found, expected(network).detect(image)[0])


@pytest.mark.slow
@pytest.mark.parametrize("opset", [18, 21, 22])
def test_the_new_exporter(opset, network, image, tmp_path):
    pytest.importorskip("onnxscript")
    path = tmp_path / "it.onnx"
    module = Written(network, yolov8).eval()
    save(path, module, ["output0"], opset_version=opset, dynamo=True, verbose=False)
    found = onnx_detector(path, **OPTIONS).detect(image)[0]
    assert_same(found, expected(network).detect(image)[0])


def test_names_and_canvas_come_from_the_metadata(network, image, tmp_path):
    metadata = {
        "names": "{0: 'cat', 1: 'dog', 2: 'hen'}", "stride": "32", "imgsz": list(SIZE),
        "task": "detect",
    }  # fmt: skip
    axes = {"images": {0: "batch", 2: "height", 3: "width"}}
    module = Written(network, raw_maps).eval()
    path = save(
        tmp_path / "it.onnx", module, ["p3", "p4", "p5"], metadata=metadata, dynamic_axes=axes
    )
    detector = onnx_detector(path, score_threshold=0.0)
    assert detector.geometry((10, 10)).canvas_size == SIZE
    assert detector.label_name(1) == "dog"
    assert onnx_detector(path, size=64).geometry((10, 10)).canvas_size == (64, 64)
    assert len(onnx_detector(path, size=64, score_threshold=0.0).detect(image)[0]) > 5


def test_a_fixed_size_is_respected(network, tmp_path):
    path = save(tmp_path / "it.onnx", Written(network, yolov8).eval(), ["output0"])
    with pytest.raises(ValueError, match=r"takes \(64, 96\) only, got 128"):
        onnx_detector(path, size=128)


def test_names_that_do_not_fit_are_refused_before_any_image(network, tmp_path):
    metadata = {"names": {0: "cat", 1: "dog", 2: "hen"}}
    module = Written(network, yolov8).eval()
    path = save(tmp_path / "it.onnx", module, ["output0"], metadata=metadata)
    with pytest.raises(ValueError, match=r"label_names: expected 3 names.*got 2"):
        onnx_detector(path, label_names=["a", "b"], **OPTIONS)


def test_a_fixed_batch_takes_any_number_of_images(network, image, tmp_path):
    images = torch.cat([image, image.flip(-1), image.flip(-2)])
    example = (torch.zeros(2, 3, *SIZE),)
    path = save(tmp_path / "it.onnx", Written(network, yolov8).eval(), ["output0"], example)
    detector = onnx_detector(path, **OPTIONS)
    for found, wanted in zip(detector.detect(images), expected(network).detect(images)):
        assert_same(found, wanted)
    maps = ssgc.explain(detector, image, score_threshold=0.0, top_k=3)
    truths = ssgc.explain(expected(network), image, score_threshold=0.0, top_k=3)
    for one, wanted in zip(maps, truths, strict=True):
        torch.testing.assert_close(one.heat_map, wanted.heat_map, rtol=1e-3, atol=1e-6)


def test_a_number_that_is_no_batch_is_left_alone(image, tmp_path):
    class Halves(nn.Module):
        """Reshapes to two halves of the channels, for a batch of two."""

        def forward(self, images: Tensor) -> Tensor:
            halves = images.reshape(2, images.shape[0] * 3, -1)
            return halves.reshape(images.shape[0], 3, *SIZE)

    example = (torch.zeros(2, 3, *SIZE),)
    path = save(tmp_path / "it.onnx", Halves().eval(), ["same"], example)
    module, described = load_onnx(path)
    pixels = AS_IT_IS(torch.cat([image, image.flip(-1)]))[0]
    assert described.batch == 2
    assert torch.equal(module(pixels), pixels)


def test_nodes_in_any_order_are_read(network, image, tmp_path):
    path = save(tmp_path / "it.onnx", Written(network, yolov8).eval(), ["output0"])
    model = onnx.load(path)
    nodes = [onnx.NodeProto.FromString(one.SerializeToString()) for one in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes[::-1])
    onnx.save(model, path)
    detector = onnx_detector(path, **OPTIONS)
    assert_same(detector.detect(image)[0], expected(network).detect(image)[0])


class Bytes(nn.Module):
    """Takes ``(1, H, W, 3)`` in bytes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> list[Tensor]:
        found: list[Tensor] = self.network(images.permute(0, 3, 1, 2).float() / 255)
        return found


def test_channels_last_in_bytes(network, tmp_path):
    example = (torch.zeros(1, *SIZE, 3, dtype=torch.uint8),)
    path = save(tmp_path / "it.onnx", Written(Bytes(network), yolov8).eval(), ["output0"], example)
    options = {**OPTIONS, "preprocess": None}
    detector = onnx_detector(path, **options)
    pixels = torch.randint(0, 256, (1, 3, *SIZE), generator=torch.Generator().manual_seed(2)) / 255
    assert_same(detector.detect(pixels)[0], expected(network).detect(pixels)[0])


def test_half_precision_is_computed_in_single(network, image, tmp_path):
    from onnx import numpy_helper

    path = save(tmp_path / "it.onnx", Written(network, yolov8).eval(), ["output0"])
    model = onnx.load(path)
    for one in model.graph.initializer:
        if one.data_type == onnx.TensorProto.FLOAT:
            half = numpy_helper.to_array(one).astype("float16")
            one.CopyFrom(numpy_helper.from_array(half, one.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "value" and attribute.t.data_type == onnx.TensorProto.FLOAT:
                half = numpy_helper.to_array(attribute.t).astype("float16")
                attribute.t.CopyFrom(numpy_helper.from_array(half))
            if node.op_type == "Cast" and attribute.i == onnx.TensorProto.FLOAT:
                attribute.i = onnx.TensorProto.FLOAT16
    for entry in [*model.graph.input, *model.graph.output]:
        entry.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(model, path)
    detector = onnx_detector(path, **OPTIONS)
    found, wanted = detector.detect(image)[0], expected(network).detect(image)[0]
    torch.testing.assert_close(found.scores[:5], wanted.scores[:5], rtol=0, atol=5e-3)


def end_to_end(maps: list[Tensor]) -> Tensor:
    boxes, classes = corners(centres(rows(maps))), scores(rows(maps))
    best, place = classes.flatten(1).topk(20)
    row = place // CLASSES
    chosen = boxes.gather(1, row[..., None].expand(-1, -1, 4))
    return torch.cat([chosen, best[..., None], (place - row * CLASSES)[..., None].float()], -1)


def deployed(maps: list[Tensor], sizes: Tensor) -> Any:
    found = end_to_end(maps)
    share = found[..., :4] / PIXELS * sizes.repeat(1, 2)[:, None].float()
    return found[..., 5].long(), share, found[..., 4]


def suppressed(maps: list[Tensor]) -> Any:
    boxes, classes = corners(centres(rows(maps)))[0], scores(rows(maps))[0]
    best, label = classes.max(1)
    kept = nms(boxes + label[:, None].float() * 1000.0, best, 0.5)[:30]
    return boxes[kept], label[kept], best[kept]


def suppressed_in_pairs(maps: list[Tensor]) -> Any:
    """Of each class what no better one overlaps, by arithmetic alone."""
    boxes, classes = corners(centres(rows(maps)))[0], scores(rows(maps))[0]
    best, label = classes.max(1)
    best, order = best.topk(len(best))
    boxes, label = boxes[order], label[order]
    apart = boxes + label[:, None].float() * 1000.0
    sides = (torch.minimum(apart[:, None, 2:], apart[:, 2:]) - torch.maximum(
        apart[:, None, :2], apart[:, :2]
    )).clamp(min=0)  # fmt: skip
    shared = sides[..., 0] * sides[..., 1]
    area = (apart[:, 2] - apart[:, 0]) * (apart[:, 3] - apart[:, 1])
    overlap = shared / (area[:, None] + area - shared)
    kept = ((overlap.triu(1) > 0.5).float().sum(0) <= 0).nonzero()[:, 0][:30]
    return boxes[kept], label[kept], best[kept]


@pytest.mark.parametrize("name", ["top-k", "deployed", "suppression", "pairs"])
def test_a_selection_inside_the_graph_is_cut_off(name, network, image, tmp_path):
    layout, names, more, options = {
        "top-k": (end_to_end, ["output0"], (), {"iou_threshold": 1.0, "multi_label": True}),
        "deployed": (
            deployed, ["labels", "boxes", "scores"], (torch.tensor([[SIZE[1], SIZE[0]]]),),
            {"iou_threshold": 1.0, "multi_label": True},
        ),
        "suppression": (suppressed, ["boxes", "labels", "scores"], (), {"iou_threshold": 0.5}),
        "pairs": (suppressed_in_pairs, ["boxes", "labels", "scores"], (), {"iou_threshold": 0.5}),
    }[name]  # fmt: skip
    path = save(
        tmp_path / "it.onnx",
        Written(network, layout).eval(),
        names,
        (torch.zeros(1, 3, *SIZE), *more),
        input_names=["images", "orig_target_sizes"][: 1 + len(more)],
        opset_version=14,
    )
    detector = onnx_detector(path, preprocess=AS_IT_IS, score_threshold=0.0, max_detections=20)
    assert isinstance(detector, CandidateDetector)
    assert "cut before the file's own selection" in detector.description
    assert len(detector.level_layers()) == 3
    options = {**options, "max_detections": 20}
    assert_same(detector.detect(image)[0], expected(network, **options).detect(image)[0])


@pytest.mark.parametrize("output", ["logits", "probabilities"])
def test_a_single_map_is_one_level(output, network, image, tmp_path):
    def layout(maps: list[Tensor]) -> Tensor:
        kept = maps[1] * 1.0
        return kept if output == "logits" else torch.cat([kept[:, :4], kept[:, 4:].sigmoid()], 1)

    path = save(tmp_path / "it.onnx", Written(network, layout).eval(), ["out"])
    detector = onnx_detector(path, **OPTIONS)
    wanted = truth(network(AS_IT_IS(image)[0]))
    [candidates] = [detector.run(image).candidates]
    torch.testing.assert_close(candidates.boxes, wanted.boxes[:, 96:120], rtol=0, atol=1e-3)
    torch.testing.assert_close(candidates.class_scores, wanted.class_scores[:, 96:120])
    [layer] = detector.target_layers()
    assert layer == "network./network/features/1/features/1/1/Relu"


def test_rows_without_objectness_are_known_by_their_names(network, image, tmp_path):
    def layout(maps: list[Tensor]) -> Tensor:
        return yolov8(maps).transpose(1, 2)

    path = save(tmp_path / "it.onnx", Written(network, layout).eval(), ["out"])
    detector = onnx_detector(path, label_names=["a", "b", "c"], **OPTIONS)
    assert_same(detector.detect(image)[0], expected(network).detect(image)[0])


def entangled(maps: list[Tensor]) -> Any:
    """Boxes that are only made after the selection, of what it selected."""
    raw, classes = rows(maps), scores(rows(maps))
    best, place = classes.amax(-1).topk(20)
    chosen = raw.gather(1, place[..., None].expand(-1, -1, raw.shape[-1]))
    middle = (chosen[..., :2].sigmoid() * 0.5 + 0.25) * PIXELS[:2]
    boxes = torch.cat([middle - 8.0 - best[..., None], middle + 8.0 + best[..., None]], -1)
    return boxes, torch.zeros_like(place), best


@pytest.mark.filterwarnings("ignore:.*all-zero map")
def test_a_selection_that_cannot_be_cut_leaves_a_black_box(network, image, tmp_path):
    module = Written(network, entangled).eval()
    path = save(tmp_path / "it.onnx", module, ["boxes", "labels", "scores"])
    detector = onnx_detector(path, preprocess=AS_IT_IS, score_threshold=0.0)
    assert isinstance(detector, BlackBoxDetector)
    assert "only methods that need no gradient explain it" in detector.description
    with torch.no_grad():
        boxes, _, best = module(AS_IT_IS(image)[0])
    found = detector.detect(image)[0]
    torch.testing.assert_close(found.scores, best[0])
    geometry = detector.geometry((48, 80))
    torch.testing.assert_close(found.boxes, geometry.boxes_to_image(boxes[0]).clamp(min=0))
    with pytest.raises(ValueError, match=r"no gradient passes.*What is left: method='d-rise'"):
        ssgc.explain(detector, image, score_threshold=0.0)
    options = {"d-rise": {"n_masks": 8}}
    [entry] = ssgc.explain(
        detector, image, "d-rise", score_threshold=0.0, top_k=1, method_options=options
    )
    assert entry.heat_map.shape == (48, 80)


def test_what_cannot_be_converted_is_run_only(network, image, tmp_path, monkeypatch):
    from captum_ssgc.detectors import onnx_layers

    path = save(tmp_path / "it.onnx", Written(network, yolox).eval(), ["output"])
    monkeypatch.delitem(onnx_layers.OPERATORS, "Relu")
    detector = onnx_detector(path, **OPTIONS)
    assert "operator Relu" in detector.description
    assert_same(detector.detect(image)[0], expected(network).detect(image)[0])
    with pytest.raises(ValueError, match=r"cannot be converted .*What is left: a method that only"):
        detector.check_differentiable()
    found = detector.detect(image)[0]
    scores_again = ssgc.InstanceScoreWrapper(detector, found)(torch.cat([image, image]))
    torch.testing.assert_close(scores_again, found.scores.expand(2, -1), rtol=0, atol=1e-6)


def test_onnx_runtime_is_asked_for(network, tmp_path, monkeypatch):
    path = save(tmp_path / "it.onnx", Written(network, yolov8).eval(), ["output0"])
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"onnxruntime.*check=False"):
        onnx_detector(path)
    assert isinstance(onnx_detector(path, check=False), CandidateDetector)


def test_an_unknown_layout_shows_outputs_and_a_decode(tmp_path):
    path = save(tmp_path / "it.onnx", nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten()), ["what"])
    with pytest.raises(ValueError, match=r"(?s)what \(1, 11656\).*def decode\(output\)") as caught:
        onnx_detector(path)
    assert len(str(caught.value).splitlines()) <= 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "ssd"}, "layout: expected one of heads, boxes-scores"),
        ({"boxes": "yxyx"}, "boxes: expected one of xyxy, cxcywh"),
        ({"scores": "exp"}, "scores: expected one of none, sigmoid, softmax"),
        ({"layout": "boxes-scores"}, "not the layout 'boxes-scores'"),
    ],
    ids=["layout", "boxes", "scores", "other"],
)
def test_what_the_user_says_is_checked(options, message, network, tmp_path):
    path = save(tmp_path / "it.onnx", Written(network, yolov8).eval(), ["output0"])
    with pytest.raises(ValueError, match=message):
        onnx_detector(path, **options)


def test_the_user_has_the_last_word(network, image, tmp_path):
    path = save(tmp_path / "it.onnx", Written(network, xyxy_and_scores).eval(), ["a", "b"])
    detector = onnx_detector(path, boxes="cxcywh", scores="sigmoid", **OPTIONS)
    candidates = detector.run(image).candidates
    wanted = truth(network(AS_IT_IS(image)[0]))
    torch.testing.assert_close(candidates.boxes, corners(wanted.boxes))
    torch.testing.assert_close(candidates.class_scores, wanted.class_scores.sigmoid())


def with_background(maps: list[Tensor]) -> Any:
    boxes, classes = corners(centres(rows(maps))) / PIXELS, scores(rows(maps)) / CLASSES
    return boxes, torch.cat([1.0 - classes.sum(-1, keepdim=True), classes], -1)


@pytest.mark.parametrize("place", ["first", "last"])
def test_a_background_is_no_detection(place, network, image, tmp_path):
    def layout(maps: list[Tensor]) -> Any:
        boxes, classes = with_background(maps)
        last = torch.cat([classes[..., 1:], classes[..., :1]], -1)
        return boxes, classes if place == "first" else last

    path = save(tmp_path / "it.onnx", Written(network, layout).eval(), ["boxes", "scores"])
    detector = onnx_detector(path, **{**OPTIONS, "score_threshold": 0.01})
    found = detector.detect(image)[0]
    wanted = expected(network, multi_label=True, score_threshold=0.03).detect(image)[0]
    assert found.candidates.tolist() == wanted.candidates.tolist()
    offset = 1 if place == "first" else 0
    assert (found.labels - offset).tolist() == wanted.labels.tolist()
    torch.testing.assert_close(found.scores * CLASSES, wanted.scores)


DISTANCES = torch.randn(64, 5 + CLASSES, 1, 1, generator=torch.Generator().manual_seed(1))


def dfl(maps: list[Tensor]) -> Any:
    return tuple(torch.cat([F.conv2d(one, DISTANCES), one[:, 5:]], 1) for one in maps)


def test_distributions_of_distances(network, image, tmp_path):
    """Slowly, for some cells."""
    path = save(tmp_path / "it.onnx", Written(network, dfl).eval(), ["a", "b", "c"])
    detector = onnx_detector(path, boxes="dfl", **OPTIONS)
    candidates = detector.run(image).candidates
    maps = dfl(network(AS_IT_IS(image)[0]))
    start = 0
    for stride, one in zip(STRIDES, maps, strict=True):
        height, width = one.shape[-2:]
        for y, x in ((0, 0), (height - 1, width - 2)):
            bins = one[0, :64, y, x].reshape(4, 16).softmax(-1)
            left, top, right, bottom = (bins * torch.arange(16)).sum(-1).tolist()
            box = [x + 0.5 - left, y + 0.5 - top, x + 0.5 + right, y + 0.5 + bottom]
            row = start + y * width + x
            expect = torch.tensor(box) * stride
            torch.testing.assert_close(candidates.boxes[0, row], expect, rtol=0, atol=1e-3)
            assert int(candidates.levels[row]) == STRIDES.index(stride)
        start += height * width


def test_anchors_of_yolov5(network, image, tmp_path):
    """Slowly, for some cells; three anchors, two of the three classes."""

    def layout(maps: list[Tensor]) -> Any:
        return tuple(
            torch.stack([one[:, :7], one[:, 1:8], one[:, :7] * 0.5], 1).permute(0, 1, 3, 4, 2)
            for one in maps
        )

    path = save(tmp_path / "it.onnx", Written(network, layout).eval(), ["a", "b", "c"])
    candidates = onnx_detector(path, **OPTIONS).run(image).candidates
    first = layout(network(AS_IT_IS(image)[0]))[0][0, 1, 2, 3]
    row = 1 * (8 * 12) + 2 * 12 + 3
    share = first.sigmoid().tolist()
    x, y = (share[0] * 2 - 0.5 + 3) * 8, (share[1] * 2 - 0.5 + 2) * 8
    width, height = (share[2] * 2) ** 2 * 16, (share[3] * 2) ** 2 * 30
    expect = torch.tensor([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
    torch.testing.assert_close(candidates.boxes[0, row], expect, rtol=0, atol=1e-3)
    found = candidates.class_scores[0, row].tolist()
    assert found == pytest.approx([share[4] * share[5], share[4] * share[6]], abs=1e-5)


def test_a_conversion_that_disagrees_is_refused(network, tmp_path, monkeypatch):
    from captum_ssgc.detectors import onnx_layers

    path = save(tmp_path / "it.onnx", Written(network, yolov8).eval(), ["output0"])
    monkeypatch.setitem(onnx_layers.OPERATORS, "Exp", lambda x: torch.exp(x) * 1.01)
    with pytest.raises(ValueError, match=r"differs from ONNX Runtime by 0\.0"):
        onnx_detector(path)
    assert isinstance(onnx_detector(path, check=False), CandidateDetector)


def oriented(maps: list[Tensor]) -> Tensor:
    """As Ultralytics exports it, ``(N, 4 + C + 1, R)``; the fifth raw column becomes the angle."""
    raw = rows(maps)
    angle = (raw[..., 4:5].sigmoid() - 0.25) * math.pi
    return torch.cat([centres(raw), raw[..., 5:].sigmoid(), angle], -1).transpose(1, 2)


def selected(maps: list[Tensor]) -> Tensor:
    """The end-to-end export: the best 20 rows of centre, sides, score, class and angle."""
    table = oriented(maps).transpose(1, 2)
    best, labels = table[..., 4:7].max(-1)
    place = best.topk(20, 1).indices
    parts = [table[..., :4], best[..., None], labels[..., None].float(), table[..., 7:]]
    chosen = torch.cat(parts, -1)
    return chosen.gather(1, place[..., None].expand(-1, -1, 7))


@pytest.mark.parametrize("write", [oriented, selected], ids=["rows", "end-to-end"])
def test_oriented_boxes(network, image, tmp_path, write):
    names = dict(enumerate(("ship", "plane", "harbour")))
    metadata = {"task": "obb", "names": str(names), "stride": "32"}
    path = save(
        tmp_path / "it.onnx", Written(network, write).eval(), ["output0"], metadata=metadata
    )
    detector = onnx_detector(path, score_threshold=0.0, max_detections=20)
    assert isinstance(detector, CandidateDetector)
    assert detector.label_names == ("ship", "plane", "harbour")
    raw = detector.run(image).candidates
    with torch.no_grad():
        table = oriented(network(detector.preprocess(image)[0])).transpose(1, 2)
    torch.testing.assert_close(raw.class_scores, table[..., 4:7], rtol=0, atol=1e-4)
    x, y, wide, high, angle = (table[..., [column]] for column in (0, 1, 2, 3, 7))
    along = [(1, 1), (1, -1), (-1, -1), (-1, 1)]
    corners = [
        torch.cat(
            [
                x + (one * wide * angle.cos() - other * high * angle.sin()) / 2,
                y + (one * wide * angle.sin() + other * high * angle.cos()) / 2,
            ],
            -1,
        )
        for one, other in along
    ]
    torch.testing.assert_close(raw.corners, torch.stack(corners, -2), rtol=1e-4, atol=1e-2)
    found = detector.detect(image)[0]
    assert len(found) >= 5
    assert torch.equal(found.boxes[:, :2], found.corners.amin(1))
    assert torch.equal(found.boxes[:, 2:], found.corners.amax(1))
    wrapper = ssgc.InstanceScoreWrapper(detector, found, "left")
    with torch.no_grad():
        torch.testing.assert_close(wrapper(image)[0], found.boxes[:, 0], rtol=0, atol=1e-3)
    [one] = ssgc.explain(detector, image, score_threshold=0.0, top_k=1, output="logit")
    assert torch.equal(one.corners, found.corners[found.scores.argmax()])


def test_oriented_boxes_without_gradients(network, image, tmp_path, monkeypatch):
    """What the end of a graph reports, where the graph cannot be converted."""
    from captum_ssgc.detectors import onnx_layers

    path = save(
        tmp_path / "it.onnx", Written(network, selected).eval(), ["o"], metadata={"task": "obb"}
    )
    monkeypatch.delitem(onnx_layers.OPERATORS, "Exp")
    detector = onnx_detector(path, score_threshold=0.0)
    found = detector.detect(image)[0]
    with torch.no_grad():
        best = selected(network(detector.preprocess(image)[0]))[0]
    torch.testing.assert_close(found.scores, best[:, 4], rtol=0, atol=1e-4)
    assert found.labels.tolist() == best[:, 5].long().tolist()


@pytest.mark.parametrize("channels", [1, 4])
def test_files_of_other_channels(tmp_path, channels):
    network = pyramid()
    network.stem = torch.nn.Conv2d(channels, 8, 3, 4, 1)
    given = torch.rand(1, channels, *SIZE, generator=torch.Generator().manual_seed(1))
    module = Written(network, yolov8).eval()
    path = save(tmp_path / "it.onnx", module, ["output0"], (given,))
    detector = onnx_detector(path, score_threshold=0.0)
    assert detector.channels == channels
    with torch.no_grad():
        expected = scores(rows(network(given)))
    torch.testing.assert_close(
        detector.run(given).candidates.class_scores, expected, rtol=0, atol=1e-4
    )
    with pytest.raises(ValueError, match=f"the model takes {channels} channels"):
        detector.detect(torch.rand(1, 2, *SIZE))
