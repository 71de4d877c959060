"""The engine's short cuts (windows, local gradients) give what the plain way gives."""

from __future__ import annotations

import pytest
import torch
from detectors.plain_maps import assert_maps_are_plain, plain_heat_maps, recorded
from every_method import every_method
from leftovers import tensors_left_by

import captum_ssgc as ssgc
from captum_ssgc.attr import METHODS, Layers, _batched_gradients, _sparse_convolution, recording
from captum_ssgc.attr._batched_gradients import gradients_of_each

LOCAL = {
    *("retinanet", "ssd300", "ssdlite"),
    *("yolov8n", "yolo11n", "yolo26n", "yolov8n-seg", "yolo26n-seg", "yolov8n-pose"),
    *("yolov3-tinyu", "yolov5nu", "yolov6n", "yolov9t", "yolo12n"),
    *("yolov8n-obb", "yolo11n-obb", "yolo26n-obb"),
}


def chosen(family, picture):
    """A few detections of every level."""
    found = family.detector.detect(picture)[0]
    rows = []
    for level in found.levels.unique().tolist():
        rows += (found.levels == level).nonzero()[:, 0].tolist()[:2]
    return found[rows]


@pytest.mark.filterwarnings("ignore:.*all-zero map", "ignore:.*pyramid level")
@pytest.mark.parametrize("output", ["score", pytest.param("left", marks=pytest.mark.slow)])
def test_short_cuts_give_what_the_plain_way_gives(family, picture, output):
    found = chosen(family, picture)
    assert_maps_are_plain(family.detector, picture, found, every_method(), output)


@pytest.mark.parametrize("output", ["score"])
def test_where_gradients_are_local_they_are_taken_so(family, picture, output, request):
    """Else the test above would compare the plain way with itself."""
    detector, found = family.detector, chosen(family, picture)
    name = request.node.callspec.id.removesuffix(f"-{output}")
    layers = detector.level_layers()
    kept = {}

    def keep(module, args, output):
        kept[module] = output.detach()

    hooks = [layer.register_forward_hook(keep) for layer in dict.fromkeys(layers)]
    try:
        with torch.no_grad():
            raw = detector.run(picture)
    finally:
        for hook in hooks:
            hook.remove()
    features = {level: kept[layer] for level, layer in enumerate(layers)}
    local = detector.local_gradients(raw, features, found, output)
    assert (local is not None) == (name in LOCAL), name
    if local is not None:
        assert len(local.gradients) == len(found)
    with recording(detector, Layers.of_detector(detector), picture, outputs=[output]) as run:
        taken = run._local_gradients(found, found.levels.tolist(), output)
    assert (taken is not None) == (name in LOCAL), name


def test_a_head_that_does_more_is_not_taken_for_local(build_family, picture):
    """The value tells: a crop cannot see what a look at the whole grid adds."""
    family = build_family("torchvision", "retinanet")
    detector, head = family.detector, family.detector.model.head.classification_head
    forward = type(head).forward

    def with_context(self, features):
        return forward(self, [one + one.mean((-2, -1), keepdim=True) for one in features])

    patched = pytest.MonkeyPatch()
    patched.setattr(type(head), "forward", with_context)
    try:
        again = detector.detect(picture)[0]
        expected = plain_heat_maps(detector, picture, again[:3], [(METHODS["odam"], {})])[0]
        ours = ssgc.explain(detector, picture, "odam", score_threshold=0.0)
        for row in range(3):
            plain, scale = expected[row]
            [mine] = [one for one in ours if one.index == row]
            torch.testing.assert_close(mine.heat_map, plain, rtol=0.0, atol=1e-5 * scale)
    finally:
        patched.undo()


def test_gradients_as_a_batch_are_those_of_one_after_the_other(family, picture, monkeypatch):
    """As a GPU makes them, where convolutions go back over the whole grid."""
    monkeypatch.setattr(_sparse_convolution, "WORTH_A_LOOK", 10**9)
    found = family.detector.detect(picture)[0]
    rows = list(range(min(len(found), 6)))
    leaves, values = recorded(family.detector, picture, found, "score")
    tensors = list(leaves.values())
    batched = _batched_gradients._as_a_batch(values, rows, tensors)
    for row, slopes in zip(rows, batched, strict=True):
        expected = gradients_of_each(values, [row], tensors)[0]
        for slope, one in zip(slopes, expected, strict=True):
            assert (slope is None) == (one is None)
            if one is not None:
                scale = float(one.abs().max())
                torch.testing.assert_close(slope, one, rtol=0.0, atol=1e-5 * scale + 1e-30)


@pytest.mark.filterwarnings("ignore:.*all-zero map", "ignore:.*pyramid level")
@pytest.mark.parametrize("output", ["score", pytest.param("left", marks=pytest.mark.slow)])
def test_an_explanation_leaves_no_tensor_to_the_garbage_collector(family, picture, output):
    """By the short cut of a family and by the way through the network; vendors have caches."""

    def plain() -> None:
        with torch.no_grad():
            family.detector.run(picture)

    def explain() -> None:
        ssgc.explain(
            family.detector,
            picture,
            ["ssgrad-cam++", "odam"],
            output=output,
            top_k=2,
            score_threshold=0.0,
        )

    left = tensors_left_by(explain)
    assert not left or len(left) <= len(tensors_left_by(plain))
