"""Queries that are chosen among the tokens of the image stay what they were."""

from __future__ import annotations

import pytest
import torch
from detectors.family import scene

import captum_ssgc as ssgc
from captum_ssgc.detectors._query_selection import (
    Queries,
    QuerySelection,
    candidates_of,
    query_of,
)
from captum_ssgc.geometry import ImageGeometry

TWO_STAGE = [
    ("transformers", "deformable-detr-two-stage"),
    ("transformers", "rt-detr"),
    ("transformers", "rt-detr-v2"),
    ("prompts", "grounding-dino"),
    ("prompts", "omdet-turbo"),
]
SCORES = torch.tensor([[0.1, 0.9, 0.3, 0.8, 0.5, 0.2], [0.9, 0.1, 0.8, 0.2, 0.7, 0.3]])


def pinned(candidates):
    rows = torch.tensor(candidates, dtype=torch.int64)
    count = len(rows)
    return ssgc.Detections(
        boxes=torch.zeros(count, 4),
        labels=torch.zeros(count, dtype=torch.int64),
        scores=torch.zeros(count),
        candidates=rows,
        regions=torch.zeros(count, 4),
        levels=torch.zeros(count, dtype=torch.int64),
        class_scores=torch.zeros(count, 1),
        image_size=(4, 4),
    )


def test_the_choice_is_read_and_left_alone():
    with QuerySelection(3) as selection:
        values, indices = torch.topk(SCORES, 3, dim=1)
    assert indices.tolist() == [[1, 3, 4], [0, 2, 4]]
    assert torch.equal(selection.tokens, indices)
    assert torch.equal(values, SCORES.gather(1, indices))


@pytest.mark.parametrize("call", ["function", "method", "keywords"])
def test_pinned_tokens_keep_their_places(call):
    first = candidates_of(torch.tensor([2, 0]), torch.tensor([1, 5]), 3)
    assert first.tolist() == [1 * 3 + 2, 5 * 3 + 0]
    with QuerySelection(3, [pinned(first.tolist()), pinned([4 * 3 + 1])]) as selection:
        if call == "function":
            result = torch.topk(SCORES, 3, dim=1)
        elif call == "method":
            result = SCORES.topk(3, dim=1)
        else:
            result = torch.topk(input=SCORES, k=3, dim=1)
    assert result[1].tolist() == [[5, 3, 1], [0, 4, 2]]
    assert torch.equal(result.values, SCORES.gather(1, result.indices))
    assert torch.equal(selection.tokens, result.indices)
    assert query_of(first, 3).tolist() == [2, 0]


def test_only_the_first_topk_of_that_size_is_the_choice():
    with QuerySelection(3, [pinned([5 * 3]), pinned([5 * 3])]):
        other = torch.rand(2, 4, 6).topk(3)
        assert other.indices.shape == (2, 4, 3)
        assert SCORES.topk(2, dim=1).indices.tolist() == [[1, 3], [0, 2]]
        assert SCORES.topk(3, dim=1).indices.tolist() == [[5, 1, 3], [5, 0, 2]]
        assert SCORES.topk(3, dim=1).indices.tolist() == [[1, 3, 4], [0, 2, 4]]
    assert SCORES.topk(3, dim=1).indices.tolist() == [[1, 3, 4], [0, 2, 4]]


def test_fewer_tokens_than_queries_are_all_chosen():
    with QuerySelection(300) as selection:
        SCORES.topk(6, dim=1)
    assert selection.tokens.shape == (2, 6)


@pytest.mark.parametrize("family", TWO_STAGE, ids="-".join)
def test_a_changed_image_is_scored_at_the_same_tokens(build_family, picture, family):
    detector = build_family(*family).detector
    found = detector.detect(picture)[0]
    other = scene(8)
    with torch.no_grad():
        free, kept = detector.run(other), detector.run(other, [found])
    queries = kept.tokens.shape[1]
    places, tokens = found.candidates % queries, found.candidates // queries
    assert not torch.equal(free.tokens[0, places], tokens), "the image must change the choice"
    assert torch.equal(kept.tokens[0, places], tokens)
    assert len(kept.tokens[0].unique()) == queries


@pytest.mark.parametrize("family", TWO_STAGE, ids="-".join)
def test_one_detection_alone_scores_as_among_others(build_family, picture, family):
    """On the reference image the rest of the choice is the vendor's, in the vendor's order."""
    detector = build_family(*family).detector
    found = detector.detect(picture)[0]
    with torch.no_grad():
        for target in (0, len(found) - 1):
            alone = ssgc.InstanceScoreWrapper(detector, found[target])(picture)[0]
            torch.testing.assert_close(alone, found.scores[[target]], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize(("count", "classes"), [(7, 3), (300, 91), (13, 1)])
def test_scores_are_those_of_the_whole_batch(count, classes):
    """Vendors compute them so, and the last elements of a tensor may be rounded in another way."""
    logits = torch.randn(3, count, classes, generator=torch.Generator().manual_seed(0)) * 3
    geometry = ImageGeometry.identity((8, 8))
    batch = (geometry, logits, torch.rand(3, count, 4), None)
    for image, expected in enumerate(logits.sigmoid()):
        assert torch.equal(Queries(*batch, image).scores(), expected)
    assert torch.equal(Queries(*batch).scores(), logits.sigmoid().flatten(0, 1))
