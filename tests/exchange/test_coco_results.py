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
    polygons = [{**results[0], "segmentation": [[0, 0, 5, 0, 5, 5]]}]
    assert Detections.from_coco(polygons, 7, IDS, SIZE).masks is None
