"""Negated outputs and the contrast of two classes, through the public names."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import captum_ssgc as ssgc
from captum_ssgc._annotations import check_annotations
from captum_ssgc._outputs import parse_output, with_label_indices
from captum_ssgc.benchmark import BenchmarkSettings
from captum_ssgc.benchmark.heat_maps import MapMaker


@pytest.fixture
def named(blobs):
    return ssgc.wrap_detector(blobs, label_names=["cat", "dog"], score_threshold=0.0)


@pytest.fixture
def coloured():
    return torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))


def test_the_other_class_is_an_index_a_name_or_one_for_each(named, coloured):
    found = named.detect(coloured)[0]
    relabelled = ssgc.Detections(**{**vars(found), "labels": 1 - found.labels})
    own = named.score(coloured, found, "logit")
    other = named.score(coloured, relabelled, "logit")
    cats = named.score(
        coloured, ssgc.Detections(**{**vars(found), "labels": 0 * found.labels}), "logit"
    )
    each = tuple(relabelled.labels.tolist())
    for output, expected in [
        (("logit", 0), own - cats),
        (("logit", "cat"), own - cats),
        (("logit", each), own - other),
        (("logit", tuple(named.label_name(one) for one in each)), own - other),
    ]:
        wrapper = ssgc.InstanceScoreWrapper(named, found, output)
        torch.testing.assert_close(wrapper(coloured), expected)
        torch.testing.assert_close(named.score(coloured, found, output), expected)
    with pytest.raises(ValueError, match="output: expected one of"):
        named.score(coloured, found, "Logit")


def test_one_for_each_of_chosen_detections(faster_rcnn, image):
    detector = ssgc.wrap_detector(faster_rcnn)
    found = detector.detect(image)[0]
    others = tuple(1 + int(label) % 6 for label in found.labels)
    level = int(found.levels[0])
    rows = (found.levels == level).nonzero()[:, 0].tolist()[1:4]
    layer = detector.level_layers()[level]
    several = ssgc.ODAM(ssgc.InstanceScoreWrapper(detector, found, ("logit", others)), layer)
    maps = several.attribute_instances(image, rows)
    assert maps.any()
    for one, row in zip(maps, rows, strict=True):
        wrapper = ssgc.InstanceScoreWrapper(detector, found, ("logit", others[row]))
        alone = ssgc.ODAM(wrapper, layer).attribute(image, target=row)[0]
        scale = float(alone.max())
        torch.testing.assert_close(one, alone, rtol=1e-3, atol=1e-4 * scale)


def test_odam_of_a_negated_output_is_the_negative_part(faster_rcnn, image):
    detector = ssgc.wrap_detector(faster_rcnn)
    found = detector.detect(image)[0]
    layer = detector.layer_for(found, 0)
    signed = ssgc.ODAM(ssgc.InstanceScoreWrapper(detector, found, "logit"), layer).attribute(
        image, target=0, relu_attributions=False
    )
    against = ssgc.ODAM(ssgc.InstanceScoreWrapper(detector, found, "-logit"), layer)
    torch.testing.assert_close(against.attribute(image, target=0), (-signed).clamp(min=0.0))


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("-probability", "output: expected one of score, logit"),
        (("score", 1), "output: expected one of score, logit"),
        (("logit", 1.5), "output: expected one of score, logit"),
        (("logit", True), "output: expected one of score, logit"),
        (("logit", "cow"), "knows no 'cow'; expected one of cat, dog"),
        (("logit", 2), "an other label from 0 to 1, got 2"),
        (("logit", -1), "an other label from 0 to 1, got -1"),
        (("logit", (0, 1)), "one for each of 4 detections, got 2"),
    ],
    ids=str,
)
def test_outputs_that_mean_nothing_are_named(named, coloured, output, message):
    found = named.detect(coloured)[0]
    assert len(found) == 4
    with pytest.raises(ValueError, match=message):
        ssgc.InstanceScoreWrapper(named, found, output)(coloured)


def by_wrapper(detector, image, output):
    wrapper = ssgc.InstanceScoreWrapper(detector, detector.detect(image)[0], output)
    return ssgc.ODAM(wrapper, detector.model.fine).attribute_instances(
        image, interpolate_mode="bilinear"
    )[:, 0]


def by_explain(detector, image, **options):
    found = ssgc.explain(detector, image, "odam", layer="fine", score_threshold=0.0, **options)
    best_first = torch.stack([one.heat_map for one in found])
    return best_first[torch.tensor([one.index for one in found]).argsort()]


def by_union(detector, image, output):
    wrapper = ssgc.InstanceScoreWrapper(detector, detector.detect(image)[0])
    odam = ssgc.ODAM(wrapper, detector.model.fine)
    return odam.attribute_union(image, outputs=[output], interpolate_mode="bilinear")[:, 0]


def by_benchmark(detector, image, **options):
    settings = BenchmarkSettings(floors=(), layer="fine", **options)
    maps, _ = MapMaker(detector, settings).maps(settings.rows, image, detector.detect(image)[0], 0)
    return next(iter(maps.values()))


WAYS = {
    "wrapper": by_wrapper,
    "explain": lambda d, x, output: by_explain(d, x, output=output),
    "an option of explain": lambda d, x, output: by_explain(
        d, x, method_options={"odam": {"output": output}}
    ),
    "union": by_union,
    "benchmark": lambda d, x, output: by_benchmark(d, x, methods="odam", output=output),
    "a row of the benchmark": lambda d, x, output: by_benchmark(
        d, x, methods=[("odam", {"output": output})]
    ),
}


@pytest.mark.filterwarnings("ignore:.*all-zero map")  # a class against itself
@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_a_contrast_is_written_in_one_way_everywhere(named, coloured, way):
    expected = way(named, coloured, ("logit", 0))
    assert expected.any()
    for output in (("logit", "cat"), "contrast:cat", "contrast:0", ("logit", np.int64(0))):
        assert torch.equal(way(named, coloured, output), expected)
    for output in ("contrast:cow", ("logit", "cow")):
        with pytest.raises(ValueError, match="knows no 'cow'; expected one of cat, dog"):
            way(named, coloured, output)
    for output in ("contrast:", ("logit",), ("score", 0), "Logit", ("logit", 0.0)):
        with pytest.raises(ValueError, match="output: expected"):
            way(named, coloured, output)
    for output in (3, None, {"logit": 1}):
        with pytest.raises(TypeError, match="output: expected a text, got"):
            way(named, coloured, output)


def test_outputs_of_a_union_are_several(named, coloured):
    wrapper = ssgc.InstanceScoreWrapper(named, named.detect(coloured)[0])
    odam = ssgc.ODAM(wrapper, named.model.fine)
    expected = odam.attribute_union(coloured, [0], outputs=["score", "-logit"])
    once = (one for one in ["score", "-logit"])
    assert torch.equal(odam.attribute_union(coloured, [0], outputs=once), expected)
    for wrong in ("score", None, 3):
        with pytest.raises(TypeError, match="outputs: expected a list of outputs, got"):
            odam.attribute_union(coloured, [0], outputs=wrong)


@pytest.mark.filterwarnings("ignore:.*all-zero map")  # a class against itself
def test_explain_takes_a_contrast_by_name(named, coloured):
    options = {"layer": "fine", "mask": None, "score_threshold": 0.0, "method": "odam"}
    by_name = ssgc.explain(named, coloured, output=("logit", "cat"), **options)
    by_index = ssgc.explain(named, coloured, output=("logit", 0), **options)
    assert all(torch.equal(a.heat_map, b.heat_map) for a, b in zip(by_name, by_index, strict=True))
    assert (
        ssgc.explain(named, coloured, output="contrast:cat", **options).output
        == "logit against cat"
    )
    with pytest.raises(ValueError, match="knows no 'cow'"):
        ssgc.explain(named, coloured, output=("logit", "cow"), **options)


def test_any_box_can_be_explained_detected_or_not(faster_rcnn, image):
    detector = ssgc.wrap_detector(faster_rcnn)
    found = detector.detect(image)[0]
    candidates = detector.candidates_above(detector.run(image), 0.0)[0]
    reported = set(zip(found.candidates.tolist(), found.labels.tolist(), strict=True))
    pairs = zip(candidates.candidates.tolist(), candidates.labels.tolist(), strict=True)
    hidden = next(row for row, pair in enumerate(pairs) if pair not in reported)
    boxes = torch.stack([found.boxes[2], candidates.boxes[hidden]])
    labels = [int(found.labels[2]), int(candidates.labels[hidden])]
    asked = ssgc.explain(detector, image, ["odam", "ssgrad-cam"], boxes=boxes, labels=labels)
    assert [(one.index, one.method) for one in asked] == [
        (0, "odam"), (0, "ssgrad-cam"), (1, "odam"), (1, "ssgrad-cam"),
    ]  # fmt: skip
    for one, box, label in zip(asked[::2], boxes, labels, strict=True):
        same = candidates[candidates.labels == label]
        overlap = torch.tensor([float(iou(box, theirs)) for theirs in same.boxes])
        best = int((overlap * same.scores).argmax())
        assert torch.equal(one.box, same.boxes[best])
        assert one.score == float(same.scores[best])
        assert one.asked_iou == pytest.approx(float(overlap[best]))
        assert one.label_index == label
        assert one.detected == ((int(same.candidates[best]), label) in reported)
        assert one.heat_map.any()


def iou(box, other):
    low, high = torch.maximum(box[:2], other[:2]), torch.minimum(box[2:], other[2:])
    shared = (high - low).clamp(min=0).prod()
    return shared / ((box[2:] - box[:2]).prod() + (other[2:] - other[:2]).prod() - shared)


def test_score_and_place_both_matter():
    boxes = torch.tensor([[[0.0, 0, 8, 8], [0, 0, 8, 10], [0, 0, 4, 4]]])
    scores = torch.tensor([[[0.1], [0.3], [0.9]]])

    def network(images):
        return boxes.expand(len(images), -1, -1), scores.expand(len(images), -1, -1)

    detector = ssgc.detectors.CandidateDetector(network, score_threshold=0.2)
    image = torch.rand(1, 3, 16, 16)
    options = {"method": "d-rise", "method_options": {"d-rise": {"n_masks": 2}}}
    options |= {"boxes": torch.tensor([[0.0, 0, 8, 8]]), "labels": [0]}
    [one] = ssgc.explain(detector, image, **options)
    assert one.box.tolist() == [0, 0, 8, 10]
    assert (one.detected, one.asked_iou) == (True, pytest.approx(0.8))
    detector.score_threshold = 0.4
    [one] = ssgc.explain(detector, image, **options)
    assert not one.detected


@pytest.mark.parametrize(
    ("boxes", "labels", "message"),
    [
        (torch.zeros(0, 4), [], "boxes: expected at least one"),
        (torch.tensor([[0.0, 0, 4, 4]]), None, "expected both, or none"),
        (None, [1], "expected both, or none of them; class names are label_names="),
        (torch.tensor([[90.0, 90, 99, 99]]), [1], "no candidate of label 1 overlaps box 0"),
        (torch.tensor([[0.0, 0, 4, 4]]), [7], "labels: expected 0 to 1"),
        (torch.tensor([[0.1, 0.2, 0.5, 0.6]]), [0], "boxes: .* got shares of it: multiply"),
    ],
    ids=str,
)
def test_boxes_that_cannot_be_explained(named, coloured, boxes, labels, message):
    with pytest.raises(ValueError, match=message):
        ssgc.explain(named, coloured, boxes=boxes, labels=labels, layer="fine")


@pytest.mark.parametrize(
    "boxes", [[[0, 0, 8, 8]], ((0.0, 0.0, 8.0, 8.0),), np.array([[0, 0, 8, 8]])], ids=type
)
def test_boxes_may_be_lists_and_arrays(boxes):
    checked, _ = check_annotations(boxes, [0], None)
    assert torch.equal(checked, torch.tensor([[0.0, 0.0, 8.0, 8.0]]))


def test_lists_that_are_no_boxes_are_named():
    with pytest.raises(TypeError, match=r"boxes: expected x1, y1, x2, y2 in numbers"):
        check_annotations([["a", 0, 1, 1]], [0], None)
    with pytest.raises(ValueError, match=r"boxes: expected shape \(G, 4\), got \(1, 3\)"):
        check_annotations([[0, 1, 1]], [0], None)


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("score", "score"),
        ("-left", "-left"),
        ("contrast:cat", ("logit", "cat")),
        ("contrast:traffic light", ("logit", "traffic light")),
        ("contrast: 3", ("logit", "3")),
        ("contrast:a:b", ("logit", "a:b")),
    ],
)
def test_a_text_is_read_as_an_output(text, output):
    assert parse_output(text) == output


@pytest.mark.parametrize("text", ["", "contrast", "contrast:", "logit:cat", "middle", "--logit"])
def test_a_text_that_is_no_output_is_refused(text):
    with pytest.raises(ValueError, match="output: expected"):
        parse_output(text)


def test_digits_are_a_name_where_there_is_one_and_else_an_index():
    assert with_label_indices(("logit", "1"), ["0", "2", "1"]) == ("logit", 2)
    assert with_label_indices(("logit", "1"), ["cat", "dog"]) == ("logit", 1)
    assert with_label_indices(("logit", ("1", "cat", 4)), ["cat", "dog"]) == ("logit", (1, 0, 4))
    assert with_label_indices(("logit", "1"), None) == ("logit", 1)
    for other in ("cow", "-1", "1.0", "9" * 30, "²"):
        with pytest.raises(ValueError, match=r"the detector knows no .*expected one of cat, dog"):
            with_label_indices(("logit", other), ["cat", "dog"])
