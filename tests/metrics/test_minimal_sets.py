"""The smallest sets of patches that keep and lose a detection."""

from __future__ import annotations

import itertools

import pytest
import torch

import captum_ssgc as ssgc
from captum_ssgc.metrics import MinimalSets, minimal_sets

SIDE = 12


def weighted(worth):
    """One box over the whole image, scored by the brightness of its nine patches."""
    weights = torch.tensor(worth).repeat_interleave(4, 0).repeat_interleave(4, 1) / 16

    def network(images):
        boxes = torch.tensor([[[0.0, 0.0, SIDE, SIDE]]]).expand(len(images), 1, 4)
        return boxes, (images.mean(1) * weights).sum((-2, -1)).reshape(-1, 1, 1)

    return ssgc.wrap_detector(network, score_threshold=0.0), weights


def smallest(worth, least):
    """The fewest patches that are worth ``least``, by trying all sets."""
    flat = [value for row in worth for value in row]
    for count in range(10):
        if any(
            sum(flat[p] for p in chosen) >= least
            for chosen in itertools.combinations(range(9), count)
        ):
            return count
    return None


WORTHS = {
    "a few": [[0.02, 0.3, 0.02], [0.02, 0.05, 0.25], [0.3, 0.02, 0.02]],
    "one": [[0.0, 0.9, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    "all alike": [[0.1, 0.1, 0.1], [0.1, 0.1, 0.1], [0.1, 0.1, 0.1]],
}


@pytest.mark.parametrize("share", [0.25, 0.56, 0.94])
@pytest.mark.parametrize("worth", WORTHS.values(), ids=WORTHS)
@pytest.mark.parametrize("good_map", [True, False], ids=["its own map", "a map that misleads"])
def test_as_small_as_the_best_of_all_sets(worth, share, good_map):
    """With its own map; with one that misleads no patch of the sets can be left out either."""
    detector, weights = weighted(worth)
    image = torch.ones(1, 3, SIDE, SIDE)
    found = detector.detect(image)[0]
    heat_map = weights[None] if good_map else 1.0 - weights[None]
    sets = minimal_sets(detector, image, found, heat_map, share=share, patches=3)
    assert isinstance(sets, MinimalSets)
    total = float(sets.scores)
    assert total == pytest.approx(float(found.scores))
    # What loses it leaves less than the share: it is worth more than the complement of the share.
    for pixels, least in ((sets.keeping, share * total), (sets.losing, (1 - share) * total)):
        inside = [
            w for w, one in zip(itertools.chain(*worth), pixels[0, ::4, ::4].flatten()) if one
        ]
        assert sum(inside) >= least - 1e-6
        assert all(sum(inside) - value < least + 1e-6 for value in inside)
        if good_map:
            assert len(inside) == smallest(worth, least)
    shown = ((sets.keeping, sets.keeping_scores), (~sets.losing, sets.losing_scores))
    for visible, score in shown:
        again = detector.score(image * visible[:, None], found)
        torch.testing.assert_close(again[0], score)
    assert float(sets.keeping_scores) >= share * total > float(sets.losing_scores)
    assert sets.keeping_irreducible.all()
    assert sets.losing_irreducible.all()


def test_what_only_matters_together():
    """Score 1 for the two corners together, or for the middle: a set of two, and one that has both.

    The map begins with the corners, so that the middle alone is not looked for.
    """

    def network(images):
        lit = (images.mean(1) > 0.5).float()
        together = lit[:, 0, 0] * lit[:, 11, 11]
        score = torch.maximum(together, lit[:, 5, 5])
        boxes = torch.tensor([[[0.0, 0.0, SIDE, SIDE]]]).expand(len(images), 1, 4)
        return boxes, score.reshape(-1, 1, 1)

    detector, image = ssgc.wrap_detector(network), torch.ones(1, 3, SIDE, SIDE)
    heat_map = torch.zeros(1, SIDE, SIDE)
    heat_map[0, 0, 0], heat_map[0, 11, 11], heat_map[0, 5, 5] = 3.0, 2.0, 1.0
    sets = minimal_sets(detector, image, detector.detect(image)[0], heat_map, patches=3)
    assert [round(9 * float(area)) for area in (sets.keeping_area, sets.losing_area)] == [2, 2]
    kept, lost = (one[0, ::4, ::4].flatten().tolist() for one in (sets.keeping, sets.losing))
    assert [place for place, one in enumerate(kept) if one] == [0, 8]
    assert lost[4]
    assert lost[0] != lost[8]


def test_what_is_always_found_cannot_be_lost():
    def network(images):
        boxes = torch.tensor([[[0.0, 0.0, SIDE, SIDE]]]).expand(len(images), 1, 4)
        return boxes, torch.full((len(images), 1, 1), 0.8)

    detector, image = ssgc.wrap_detector(network), torch.ones(1, 3, SIDE, SIDE)
    found = detector.detect(image)[0]
    sets = minimal_sets(detector, image, found, torch.rand(1, SIDE, SIDE), patches=3)
    assert sets.losing.all()
    assert not sets.losing_irreducible
    assert float(sets.losing_scores) == pytest.approx(0.8)
    assert float(sets.keeping_area) == pytest.approx(1 / 9)


@pytest.mark.parametrize("forwards", [1, 6, 30, 200])
def test_no_more_forwards_than_said_and_batches_are_shared(forwards):
    sizes = []

    def network(images):
        sizes.append(len(images))
        halves = torch.tensor([[[0.0, 0.0, 6.0, 12.0], [6.0, 0.0, 12.0, 12.0]]])
        left, right = images[..., :6].mean((1, 2, 3)), images[..., 6:].mean((1, 2, 3))
        return halves.expand(len(images), 2, 4), torch.stack([left, right], 1)[..., None]

    detector, image = ssgc.wrap_detector(network), torch.ones(1, 3, SIDE, SIDE)
    found = detector.detect(image)[0]
    sizes.clear()
    maps = torch.rand(2, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    sets = minimal_sets(detector, image, found, maps, forwards=forwards, perturbations_per_eval=8)
    assert sizes[0] == 2  # the image as it is, for both
    assert sum(sizes[1:]) <= 2 * max(forwards, 2)
    assert max(sizes) <= 8
    assert (sets.keeping_scores >= 0.5 * sets.scores).all()
    assert (sets.losing_scores < 0.5 * sets.scores).all()
    alone = minimal_sets(detector, image, found[1], maps[1:], forwards=forwards)
    assert torch.equal(alone.keeping[0], sets.keeping[1])
    assert torch.equal(alone.losing[0], sets.losing[1])


def test_nothing_detected_has_no_sets():
    detector, _ = weighted(WORTHS["one"])
    found = detector.detect(torch.ones(1, 3, SIDE, SIDE))[0][[]]
    sets = minimal_sets(detector, torch.ones(3, SIDE, SIDE), found, torch.zeros(0, SIDE, SIDE))
    assert len(sets) == 0
    assert sets.keeping.shape == (0, SIDE, SIDE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 0.0}, "share: expected more than 0"),
        ({"share": 1.5}, r"share: expected a value in \[0, 1\]"),
        ({"forwards": 0}, "forwards: expected at least 1"),
        ({"patches": 0}, "patches: expected at least 1"),
    ],
    ids=str,
)
def test_wrong_options(options, message):
    detector, weights = weighted(WORTHS["one"])
    image = torch.ones(1, 3, SIDE, SIDE)
    with pytest.raises(ValueError, match=message):
        minimal_sets(detector, image, detector.detect(image)[0], weights[None], **options)
