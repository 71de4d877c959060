"""What the outputs of a file hold, by their names, shapes and numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from detectors.exported import (
    PIXELS,
    SIZE,
    Written,
    centres,
    corners,
    pyramid,
    rows,
    save,
    scores,
)
from torch import Tensor
from torchvision.ops import box_convert, nms

from captum_ssgc.detectors import Candidates, Letterbox

onnx = pytest.importorskip("onnx")
from captum_ssgc.detectors import onnx_detector  # noqa: E402
from captum_ssgc.detectors.onnx_boxes import BoxDecoder  # noqa: E402
from captum_ssgc.detectors.onnx_layouts import layout_of  # noqa: E402
from captum_ssgc.detectors.onnx_outputs import Outputs  # noqa: E402
from captum_ssgc.detectors.onnx_reports import ReportReader  # noqa: E402
from captum_ssgc.detectors.onnx_white import white_of  # noqa: E402

IMAGE = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
Tensors = dict[str, Tensor]


@pytest.fixture(scope="module")
def maps() -> list[Tensor]:
    with torch.no_grad():
        return pyramid()(IMAGE)


def parts(maps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Boxes xyxy, objectness, classes given an object, and coefficients of masks."""
    raw = rows(maps)
    return (
        corners(centres(raw)),
        raw[..., 4:5].sigmoid(),
        raw[..., 5:].sigmoid(),
        raw.repeat(1, 1, 4),
    )


def split_heads(maps: list[Tensor]) -> Tensors:
    """Classes before boxes, without objectness, level by level."""
    pairs = [(one[:, 5:].sigmoid() * one[:, 4:5].sigmoid(), one[:, :4]) for one in maps]
    return {
        f"o{level}{kind}": one for level, pair in enumerate(pairs) for kind, one in enumerate(pair)
    }


def channels_last(maps: list[Tensor]) -> Tensors:
    return {f"o{level}": one.permute(0, 2, 3, 1) for level, one in enumerate(maps)}


def top_left(maps: list[Tensor]) -> Tensors:
    boxes, objects, classes, _ = parts(maps)
    sides = boxes[..., 2:] - boxes[..., :2]
    return {"output0": torch.cat([boxes[..., :2], sides, objects * classes], -1).mT}


READ: dict[str, Callable[[list[Tensor]], Tensors]] = {
    "three": lambda maps: dict(zip(("boxes", "obj", "cls"), parts(maps))),
    "three-unnamed": lambda maps: dict(zip(("a", "b", "c"), parts(maps)[2::-1])),
    "single-class-scores": lambda maps: {
        "boxes": parts(maps)[0],
        "o": parts(maps)[1][..., 0],
        "scores": parts(maps)[2],
    },
    "masks-before-scores": lambda maps: {
        "coefficients": parts(maps)[3],
        "boxes": parts(maps)[0],
        "scores": scores(rows(maps)),
    },
    "best-score-beside": lambda maps: {
        "a": parts(maps)[0],
        "b": scores(rows(maps)),
        "c": scores(rows(maps)).amax(-1),
    },
    "both-transposed": lambda maps: {"a": scores(rows(maps)).mT, "b": parts(maps)[0].mT},
    "boxes-transposed": lambda maps: {"a": centres(rows(maps)).mT, "b": scores(rows(maps))},
    "misleading-names": lambda maps: {"boxes": scores(rows(maps)), "scores": parts(maps)[0]},
    "split-heads": split_heads,
    "channels-last": channels_last,
    "from-the-top-left": top_left,
}


@pytest.mark.parametrize("name", READ)
def test_outputs_are_read_by_what_they_hold(name, maps):
    tensors = READ[name](maps)
    layout = layout_of(Outputs(tensors, SIZE))
    assert layout is not None
    found = layout(list(tensors.values()))
    boxes, objects, classes, _ = parts(maps)
    wanted = classes if name == "single-class-scores" else objects * classes
    torch.testing.assert_close(found.boxes, boxes, atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(found.class_scores, wanted)


@pytest.mark.parametrize("scores_first", [True, False])
def test_scores_of_four_classes_are_not_boxes(scores_first, maps):
    boxes, _, classes, _ = parts(maps)
    four = torch.cat([classes, classes[..., :1] / 2], -1)
    pair = [four, boxes / PIXELS] if scores_first else [boxes / PIXELS, four]
    layout = layout_of(Outputs(dict(zip("ab", pair)), SIZE))
    assert layout is not None
    found = layout(pair)
    torch.testing.assert_close(found.boxes, boxes, atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(found.class_scores, four)


def keypoints(maps: list[Tensor]) -> Tensors:
    """One class and two points, each with x, y and how sure it is, of a file without names."""
    middle, score = centres(rows(maps)), scores(rows(maps))[..., :1]
    return {"output0": torch.cat([middle, score, *[middle[..., :2], score] * 2], -1).mT}


def offsets_from_priors(maps: list[Tensor]) -> Tensors:
    return {"loc": rows(maps)[..., :4], "conf": scores(rows(maps))}


def scores_before_boxes(maps: list[Tensor]) -> Tensors:
    return {"out": torch.cat([scores(rows(maps)), centres(rows(maps))], -1)}


def distances(maps: list[Tensor]) -> Tensors:
    """To the four sides; in pixels or in strides, who knows."""
    return {
        f"o{level}": torch.cat([one[:, :4].exp(), one[:, 4:]], 1) for level, one in enumerate(maps)
    }


REFUSED: dict[str, Callable[[list[Tensor]], Tensors]] = {
    "two-that-may-be-scores": lambda maps: dict(zip("abc", (*parts(maps)[::-3], parts(maps)[2]))),
    "keypoints": keypoints,
    "offsets-from-priors": offsets_from_priors,
    "scores-before-boxes": scores_before_boxes,
    "distances": distances,
    "heads-without-boxes": lambda maps: {
        f"o{i}{j}": one for i, one in enumerate(maps) for j in "ab"
    },
}


@pytest.mark.parametrize("name", REFUSED)
def test_outputs_that_do_not_tell_are_not_guessed(name, maps):
    assert layout_of(Outputs(REFUSED[name](maps), SIZE)) is None


def test_objectness_is_no_class_of_a_softmax():
    logits = torch.tensor([[[2.0, 0.0]]])
    decoder = BoxDecoder("xyxy", "softmax", (8, 8))
    found: Candidates = decoder(torch.zeros(1, 1, 4), logits, torch.zeros(1, 1, 1))
    torch.testing.assert_close(found.class_scores, logits.softmax(-1) / 2)


def graph(*steps: tuple[str, float | list[float] | None]) -> onnx.ModelProto:
    """Operators one after the other, each with a constant."""
    nodes, weights, last = [], [], "images"
    for place, (kind, value) in enumerate(steps):
        constants = [] if value is None else [f"constant_{place}"]
        if value is not None:
            array = torch.tensor(value).numpy()
            weights.append(onnx.numpy_helper.from_array(array, constants[0]))
        nodes.append(onnx.helper.make_node(kind, [last, *constants], [f"value_{place}"]))
        last = f"value_{place}"
    entries = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, 8, 8])
        for name in ("images", last)
    ]
    made = onnx.helper.make_graph(nodes, "g", entries[:1], entries[1:], weights)
    return onnx.helper.make_model(made)


@pytest.mark.parametrize(
    ("steps", "white"),
    [
        ([("Div", 255.0)], 255.0),
        ([("Transpose", None), ("Mul", 1 / 255)], 255.0),
        ([("Sub", [[[123.7]], [[116.3]], [[103.5]]]), ("Div", 58.0)], 255.0),
        ([("Sub", 0.0), ("Mul", 2 / 255), ("Sub", 1.0)], 255.0),
        ([("Sub", 0.485), ("Div", 0.229)], 1.0),
        ([("Add", -127.5)], 255.0),
        ([("Mul", 2.0), ("Sub", 1.0)], 1.0),
        ([("Relu", None), ("Div", 255.0)], None),
        ([("Identity", None)], None),
    ],
)
def test_white_is_read_off_the_first_arithmetic(steps, white):
    assert white_of(graph(*steps), "images") == white


def test_a_file_that_only_names_the_best_class(tmp_path):
    """Boxes, scores and labels of all rows: nothing is selected, and gradients pass."""
    pytest.importorskip("onnxruntime")

    def best(maps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        values, labels = scores(rows(maps)).max(-1)
        return corners(centres(rows(maps))), values, labels

    network = pyramid()
    whole = Written(network, best).eval()
    path = save(tmp_path / "it.onnx", whole, ["boxes", "scores", "labels"])
    detector = onnx_detector(path, preprocess=Letterbox(SIZE, stretch=True), score_threshold=0.0)
    detector.check_differentiable()
    with torch.no_grad():
        _, values, labels = whole(IMAGE)
    found = detector.detect(IMAGE)[0]
    assert 5 <= len(found) < len(values[0])
    torch.testing.assert_close(found.scores, values[0, found.candidates])
    assert torch.equal(found.labels, labels[0, found.candidates])


@pytest.mark.parametrize("written", ["xyxy", "yxyx", "cxcywh", "xywh"])
@pytest.mark.parametrize("shares", [False, True])
def test_reports_may_write_their_boxes_in_other_ways(written, shares):
    boxes = torch.tensor([[8.0, 4, 24, 20], [30, 10, 90, 60]])
    turned = boxes[:, [1, 0, 3, 2]]
    given = turned if written == "yxyx" else box_convert(boxes, "xyxy", written)
    sides = PIXELS[[1, 0, 3, 2]] if written == "yxyx" else PIXELS
    table = torch.cat([given / sides if shares else given, torch.tensor([[0.9, 1], [0.8, 2]])], 1)
    report = ReportReader(SIZE, boxes=written)({"output": table[None]})
    assert report is not None
    torch.testing.assert_close(report[0], boxes)


@pytest.mark.parametrize("label_first", [False, True])
def test_whole_numbers_are_labels(label_first):
    columns = [[1.0, 0.9], [2.0, 0.8]] if label_first else [[0.9, 1.0], [0.8, 2.0]]
    table = torch.cat([torch.tensor([[8.0, 4, 24, 20]]).expand(2, 4), torch.tensor(columns)], 1)
    report = ReportReader(SIZE)({"output": table})
    assert report is not None
    assert report[1].tolist() == pytest.approx([0.9, 0.8])
    assert report[2].tolist() == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("written", ["yxyx", "cxcywh"])
def test_a_selection_is_cut_off_however_its_boxes_are_written(written, tmp_path):
    pytest.importorskip("onnxruntime")

    def selected(maps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        boxes, (best, labels) = corners(centres(rows(maps)))[0], scores(rows(maps))[0].max(1)
        kept = nms(boxes, best, 0.5)[:20]
        chosen = boxes[kept]
        middle, sides = (chosen[:, :2] + chosen[:, 2:]) / 2, chosen[:, 2:] - chosen[:, :2]
        other = torch.cat([middle, sides], 1) if written == "cxcywh" else chosen[:, [1, 0, 3, 2]]
        return other, best[kept], labels[kept]

    path = save(
        tmp_path / "it.onnx",
        Written(pyramid(), selected).eval(),
        ["boxes", "scores", "labels"],
    )
    detector = onnx_detector(path, preprocess=Letterbox(SIZE, stretch=True), score_threshold=0.0)
    detector.check_differentiable()
    torch.testing.assert_close(
        detector.run(IMAGE).candidates.boxes, parts(pyramid()(IMAGE))[0], atol=1e-3, rtol=1e-5
    )
