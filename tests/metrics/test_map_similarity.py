"""Rank correlation and SSIM of maps, against loops and against other packages."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from captum_ssgc.metrics import rank_correlation, structural_similarity


def spearman(one, other):
    """By its definition: Pearson's correlation of mean ranks, over what is not zero in both."""
    pairs = [(a, b) for a, b in zip(one, other) if a != 0 or b != 0]
    ranks = []
    for values in zip(*pairs):
        below = [sum(v < value for v in values) for value in values]
        equal = [sum(v == value for v in values) for value in values]
        ranks.append([b + (e - 1) / 2 for b, e in zip(below, equal)])
    means = [sum(rank) / len(rank) for rank in ranks]
    sums = [
        sum((a - means[i]) * (b - means[j]) for a, b in zip(ranks[i], ranks[j]))
        for i, j in ((0, 1), (0, 0), (1, 1))
    ]
    return sums[0] / math.sqrt(sums[1] * sums[2])


def ssim(one, other):
    """Equation 13 of Wang et al. in Gaussian windows, over what is not zero in both."""
    height, width = len(one), len(one[0])
    one, other = ([[v / max(map(max, m)) for v in row] for row in m] for m in (one, other))
    weights = [math.exp(-0.5 * (offset / 1.5) ** 2) for offset in range(-5, 6)]

    def window(y, x):
        for dy in range(-5, 6):
            for dx in range(-5, 6):
                at = min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1)
                yield weights[dy + 5] * weights[dx + 5] / sum(weights) ** 2, at

    found = []
    for y in range(height):
        for x in range(width):
            if one[y][x] == 0 and other[y][x] == 0:
                continue
            means = [sum(w * m[i][j] for w, (i, j) in window(y, x)) for m in (one, other)]

            def spread(a, b, y=y, x=x, means=means):
                maps = one, other
                return sum(
                    w * (maps[a][i][j] - means[a]) * (maps[b][i][j] - means[b])
                    for w, (i, j) in window(y, x)
                )

            top = (2 * means[0] * means[1] + 0.0001) * (2 * spread(0, 1) + 0.0009)
            bottom = (means[0] ** 2 + means[1] ** 2 + 0.0001) * (
                spread(0, 0) + spread(1, 1) + 0.0009
            )
            found.append(top / bottom)
    return sum(found) / len(found)


@pytest.fixture
def maps():
    """Two pairs with ties and zeros, one of them related."""
    generator = torch.Generator().manual_seed(0)
    one = (torch.rand(2, 9, 13, generator=generator) * 6).round() * 0.7
    noise = (torch.rand(2, 9, 13, generator=generator) * 3).round()
    other = torch.stack([noise[0], (one[1] * 2 + noise[1]) * (one[1] > 1)])
    one[:, :3], other[:, :2], other[:, -1] = 0.0, 0.0, 0.0
    return one, other


def test_rank_correlation(maps):
    found = rank_correlation(*maps)
    expected = [spearman(a.flatten().tolist(), b.flatten().tolist()) for a, b in zip(*maps)]
    assert found.values.tolist() == pytest.approx(expected, abs=1e-6)
    assert found.valid.all()
    assert found.values[1] > 0.4 > 0.1 > found.values[0]


def test_structural_similarity(maps):
    found = structural_similarity(*maps)
    expected = [ssim(a.tolist(), b.tolist()) for a, b in zip(*maps)]
    assert found.values.tolist() == pytest.approx(expected, abs=1e-6)


def test_scipy():
    scipy = pytest.importorskip("scipy.stats")
    one, other = (torch.rand(1, 40, 50, generator=torch.Generator().manual_seed(s)) for s in (1, 2))
    other = 0.3 * one + other
    expected = scipy.spearmanr(one.flatten(), other.flatten()).statistic
    assert float(rank_correlation(one, other).values) == pytest.approx(expected, abs=1e-6)


def test_torchmetrics():
    """Inside, where borders do not matter, which differ."""
    image = pytest.importorskip("torchmetrics.functional.image")
    one, other = (torch.rand(1, 40, 50, generator=torch.Generator().manual_seed(s)) for s in (1, 2))
    one, other = (F.pad(m[:, 10:30, 10:40], (10, 10, 10, 10)) for m in (one, other))
    one, other = one / one.max(), other / other.max()
    _, each = image.structural_similarity_index_measure(
        one[None], other[None], data_range=1.0, return_full_image=True
    )
    seen = (one != 0) | (other != 0)
    expected = float(each[0][seen].mean())
    assert float(structural_similarity(one, other).values) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("measure", [rank_correlation, structural_similarity])
def test_the_same_map(maps, measure):
    one, _ = maps
    assert measure(one, one * 5).values.tolist() == pytest.approx([1.0, 1.0])
    flat = torch.full((1, 1, 4, 4), 0.3)
    assert measure(flat, flat).values.tolist() == pytest.approx([1.0])


@pytest.mark.parametrize("measure", [rank_correlation, structural_similarity])
def test_what_points_nowhere_is_like_nothing(measure):
    some = torch.rand(4, 5, 6, generator=torch.Generator().manual_seed(0))
    others = some.clone()
    others[0], others[1, 2, 2], some[2] = 0.0, float("nan"), 0.0
    found = measure(some, others)
    assert found.values.tolist() == [0.0, 0.0, 0.0, 1.0]
    assert found.valid.tolist() == [False, False, False, True]


@pytest.mark.parametrize("measure", [rank_correlation, structural_similarity])
def test_every_pair_is_measured_as_if_alone(maps, measure):
    one, other = maps
    nothing, constant, broken = torch.zeros(9, 13), torch.ones(9, 13), one[0] / 0.0
    ones = torch.stack([one[0], nothing, constant, broken, -one[1], one[1], constant])
    others = torch.stack([other[0], one[0], one[0], one[0], other[1], nothing, constant])
    together = measure(ones, others)
    for row in range(len(ones)):
        alone = measure(ones[row : row + 1], others[row : row + 1])
        assert torch.equal(together.values[row], alone.values[0])
        assert together.valid[row] == alone.valid[0]
    assert together.valid.tolist()[:2] == [True, False]
    assert together.values[-1] == 1.0


def test_a_constant_has_no_order():
    found = rank_correlation(torch.ones(1, 2, 2), torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
    assert (found.values.tolist(), found.valid.tolist()) == ([0.0], [False])


def test_pixels_outside_of_both_do_not_count(maps):
    one, other = maps
    wider = [F.pad(m, (30, 30, 30, 30)) for m in maps]
    assert torch.equal(rank_correlation(*wider).values, rank_correlation(one, other).values)


def test_shapes():
    with pytest.raises(ValueError, match=r"others: expected the shape of the maps, \(2, 4, 4\)"):
        rank_correlation(torch.rand(2, 4, 4), torch.rand(2, 4, 5))
