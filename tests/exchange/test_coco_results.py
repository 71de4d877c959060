"""COCO results, against pycocotools."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from exchange.same_detections import SIZE, assert_same

from captum_ssgc import Detections

IDS = {0: 17, 2: 90}


@pytest.fixture(scope="module")
def boxes_only(detections):
    return replace(detections, masks=None)


def test_out(boxes_only):
    results = json.loads(json.dumps(boxes_only.to_coco("a.jpg", IDS)))
    assert [one["image_id"] for one in results] == ["a.jpg"] * 3
    assert [one["category_id"] for one in results] == [90, 17, 90]
    assert [one["bbox"] for one in results] == [[2.5, 3, 9.5, 6.5], [14, 1, 14, 18], [0, 10, 6, 10]]
    assert [one["score"] for one in results] == boxes_only.scores.tolist()


@pytest.mark.parametrize("ids", [IDS, range(91), [5, 9, 3]], ids=["dict", "range", "list"])
def test_back(boxes_only, ids):
    others = boxes_only[:1].to_coco(8, ids)
    results = others + json.loads(json.dumps(boxes_only.to_coco(7, ids)))
    assert_same(Detections.from_coco(results, 7, ids, SIZE), boxes_only)
    assert len(Detections.from_coco(results, 8, ids, SIZE)) == 1
    assert len(Detections.from_coco(results, 9, ids, SIZE)) == 0


def test_what_does_not_fit(boxes_only):
    with pytest.raises(ValueError, match="got none for 2; labels 0, 1 have one"):
        boxes_only.to_coco(1, [7, 8])
    results = boxes_only.to_coco(1, IDS)
    with pytest.raises(ValueError, match="got none for 90; categories 17 have one"):
        Detections.from_coco(results, 1, {0: 17}, SIZE)
    with pytest.raises(ValueError, match="one label for each category, got 0 and 1 for 17"):
        Detections.from_coco(results, 1, [17, 17, 90], SIZE)
    del results[1]["score"]
    with pytest.raises(ValueError, match=r"results\[1\]: .* got no score"):
        Detections.from_coco(results, 1, IDS, SIZE)


def ground_truth(results):
    coco = pytest.importorskip("pycocotools.coco").COCO()
    found = [{**one, "id": at, "iscrowd": 0, "area": 1} for at, one in enumerate(results, 1)]
    coco.dataset = {
        "images": [{"id": 7, "height": SIZE[0], "width": SIZE[1]}],
        "categories": [{"id": one, "name": str(one)} for one in IDS.values()],
        "annotations": found,
        "info": {},
    }
    coco.createIndex()
    return coco


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_pycocotools_reads_and_evaluates_it(detections, kind, capsys, tmp_path):
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    path = tmp_path / "results.json"
    path.write_text(json.dumps(detections.to_coco(7, IDS)))
    truth = ground_truth(detections.to_coco(7, IDS))
    own = truth.loadRes(str(path))
    made = evaluation.COCOeval(truth, own, kind)
    made.evaluate()
    made.accumulate()
    made.summarize()
    assert made.stats[0] == pytest.approx(1.0)
    for place, one in enumerate(own.loadAnns(own.getAnnIds())):
        assert np.array_equal(own.annToMask(one), detections.masks[place] >= 0.5)
    capsys.readouterr()


def test_masks_come_back(detections):
    pytest.importorskip("pycocotools")
    results = detections.to_coco(7, IDS)
    found = Detections.from_coco(results, 7, IDS, SIZE)
    assert torch.equal(found.masks, detections.masks >= 0.5)
    # A code that is not compressed: columns, beginning with what is 0.
    plain = {"size": list(SIZE), "counts": [20, 3, 20 * 30 - 23]}
    found = Detections.from_coco([{**results[0], "segmentation": plain}], 7, IDS, SIZE)
    assert found.masks[0].nonzero().tolist() == [[0, 1], [1, 1], [2, 1]]
    polygons = [{**results[0], "segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]]}]
    assert int(Detections.from_coco(polygons, 7, IDS, SIZE).masks.sum()) == 16
    assert Detections.from_coco([*results, *without(results)], 7, IDS, SIZE).masks is None
    as_bytes = {"size": list(SIZE), "counts": results[0]["segmentation"]["counts"].encode()}
    found = Detections.from_coco([{**results[0], "segmentation": as_bytes}], 7, IDS, SIZE)
    assert torch.equal(found.masks[0], detections.masks[0] >= 0.5)


def without(results):
    return [{name: one[name] for name in one if name != "segmentation"} for one in results]


@pytest.mark.parametrize(
    ("entry", "asked"),
    [("7", 7), (7, "7"), (7.0, 7), (7, np.int64(7)), ("a.jpg", "a.jpg"), (2**60, str(2**60))],
)
def test_ids_mean_the_same_however_they_are_written(boxes_only, entry, asked):
    results = [{**one, "image_id": entry, "category_id": str(one["category_id"])}
               for one in boxes_only.to_coco(7, IDS)]  # fmt: skip
    ids = {"0": 17.0, np.int32(2): "90"}
    assert_same(Detections.from_coco(results, asked, ids, SIZE), boxes_only)
    written = json.loads(json.dumps(boxes_only.to_coco(np.int64(7), ids)))
    assert written == boxes_only.to_coco(7, IDS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": [1, 2, 3]}, r"results\[1\].bbox: expected four numbers, got \[1, 2, 3\]"),
        ({"bbox": ["1", 2, 3, 4]}, r"results\[1\].bbox\[0\]: expected a number"),
        ({"bbox": [1, 2, float("nan"), 4]}, r"results\[1\].bbox\[2\]: expected a number from"),
        ({"bbox": [5, 2, -3, 4]}, r"boxes: .* 20 x 30, got .* in row 1, which ends before"),
        ({"bbox": [31, 2, 3, 4]}, r"boxes: .* in row 1, which lies outside"),
        ({"score": "0.5"}, r"results\[1\].score: expected a number"),
        ({"score": float("nan")}, r"results\[1\].score: expected a number from"),
        ({"score": 80}, r"scores: expected numbers in \[0, 1\], got 80.0 in row 1"),
        ({"image_id": [7]}, r"results\[1\].image_id: expected a whole number or a text"),
        ({"category_id": "dog"}, r"results\[1\].category_id: expected a whole number, got"),
    ],
)
def test_values_that_cannot_be_meant(boxes_only, change, message):
    results = boxes_only.to_coco(7, IDS)
    results[1] |= change
    with pytest.raises(ValueError, match=message):
        Detections.from_coco(results, 7, IDS, SIZE)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [20, 30], "counts": [10, 5]}, r"results\[0\].segmentation.counts: .* add up"),
        ({"size": [30, 20], "counts": [600]}, r"results\[0\].segmentation.size: expected a run"),
        ({"size": [20, 30], "counts": "zz~"}, r"results\[0\].segmentation.counts\[\d\]: expected"),
        ({"counts": [600]}, r"results\[0\].segmentation: expected polygons or a run-length code"),
    ],
)
def test_codes_that_cannot_be_meant(boxes_only, segmentation, message):
    results = [{**boxes_only[:1].to_coco(7, IDS)[0], "segmentation": segmentation}]
    with pytest.raises(ValueError, match=message):
        Detections.from_coco(results, 7, IDS, SIZE)


def test_shares_of_the_image_are_no_pixels(boxes_only):
    results = [{**one, "bbox": [0.1, 0.25, 0.5, 0.5]} for one in boxes_only.to_coco(7, IDS)]
    with pytest.raises(ValueError, match="got shares of it: multiply them"):
        Detections.from_coco(results, 7, IDS, SIZE)


@pytest.mark.parametrize("results", ["results.json", {"annotations": []}, 5, [None], [[1, 2]]])
def test_what_is_no_list_of_results(results):
    with pytest.raises(TypeError, match="results: expected a list of dictionaries"):
        Detections.from_coco(results, 7, IDS, SIZE)


@pytest.mark.parametrize(("ids", "error"), [(None, TypeError), ("coco", TypeError),
                                            ({1: "person"}, ValueError)])  # fmt: skip
def test_what_is_no_category_ids(boxes_only, ids, error):
    with pytest.raises(error, match="category_ids"):
        boxes_only.to_coco(7, ids)
    with pytest.raises(error, match="category_ids"):
        Detections.from_coco([], 7, ids, SIZE)
