from __future__ import annotations

import itertools

import numpy as np
import pytest

from captum_ssgc.benchmark.uncertainty import (
    bootstrap_intervals,
    holm,
    ratio_of_sums,
    sign_flip_test,
)


@pytest.fixture
def random():
    return np.random.default_rng(5)


def test_means_are_over_detections_not_over_images():
    sums, counts = np.array([[3.0, 0.0], [1.0, 0.0]]), np.array([[3.0, 0.0], [1.0, 0.0]])
    sums[1] = 0.0
    means = ratio_of_sums(sums, counts)
    assert means[0] == 0.75
    assert np.isnan(means[1])


def test_the_bootstrap_draws_images(random):
    counts = random.integers(1, 5, (20, 1)).astype(float)
    sums = counts * random.random((20, 1))
    low, high = bootstrap_intervals(sums, counts, seed=1, samples=4000)
    generator = np.random.default_rng(9)
    slow = []
    for _ in range(4000):
        rows = [generator.integers(20) for _ in range(20)]
        slow.append(sum(sums[r, 0] for r in rows) / sum(counts[r, 0] for r in rows))
    assert low[0] == pytest.approx(np.quantile(slow, 0.025), abs=0.01)
    assert high[0] == pytest.approx(np.quantile(slow, 0.975), abs=0.01)


def test_intervals_cover_as_often_as_they_say(random):
    hits = 0
    for trial in range(200):
        sums = random.normal(2.0, 1.0, (60, 1))
        low, high = bootstrap_intervals(sums, np.ones((60, 1)), seed=trial, samples=300)
        hits += low[0] <= 2.0 <= high[0]
    assert 180 <= hits <= 198


def test_intervals_need_no_detection_in_every_image():
    sums, counts = np.array([[1.0], [0.0], [0.0]]), np.array([[2.0], [0.0], [0.0]])
    low, high = bootstrap_intervals(sums, counts, seed=0)
    assert low[0] == high[0] == 0.5


@pytest.mark.parametrize("images", [0, 3])
def test_without_detections_there_is_no_interval(images):
    low, high = bootstrap_intervals(np.zeros((images, 2)), np.zeros((images, 2)), seed=0)
    assert np.isnan([low, high]).all()


def test_few_images_are_tested_exactly(random):
    differences = random.normal(0.3, 1.0, (9, 2))
    for column, p in enumerate(sign_flip_test(differences, seed=0)):
        values = differences[:, column]
        signs = itertools.product((-1, 1), repeat=9)
        extreme = sum(abs(np.dot(sign, values)) >= abs(values.sum()) - 1e-12 for sign in signs)
        assert p == extreme / 512


def test_many_images_are_tested_as_exactly_as_the_flips_allow(random):
    differences = random.normal(0.4, 1.0, (14, 1))
    exact = sign_flip_test(differences[:13], seed=0)[0]
    sampled = sign_flip_test(np.concatenate([differences[:13], np.zeros((1, 1))]), seed=0)[0]
    assert 0.01 < exact < 0.9
    assert sampled == pytest.approx(exact, abs=0.015)


def test_a_clear_difference_is_as_significant_as_the_flips_allow():
    p = sign_flip_test(np.full((100, 1), 0.2), seed=0, flips=999)
    assert p[0] == 1 / 1000


def test_no_difference_is_none():
    assert sign_flip_test(np.zeros((30, 1)), seed=0)[0] == 1.0
    assert np.isnan(sign_flip_test(np.zeros((0, 1)), seed=0)[0])


def test_p_values_are_uniform_where_nothing_differs(random):
    p = sign_flip_test(random.normal(size=(25, 400)), seed=0, flips=999)
    assert 0.02 <= (p <= 0.05).mean() <= 0.09


def test_the_order_of_images_does_not_matter_to_the_exact_test(random):
    differences = random.normal(0.3, 1.0, (8, 1))
    assert sign_flip_test(differences, 0) == sign_flip_test(differences[::-1], 0)


def test_seeds_decide(random):
    sums, counts = random.random((50, 1)), np.ones((50, 1))
    assert bootstrap_intervals(sums, counts, 3) == bootstrap_intervals(sums, counts, 3)
    assert bootstrap_intervals(sums, counts, 3) != bootstrap_intervals(sums, counts, 4)


def test_holm_step_down():
    adjusted = holm(np.array([0.001, np.nan, 0.04, 0.03, 0.5]))
    np.testing.assert_allclose(adjusted, [0.004, np.nan, 0.09, 0.09, 0.5])


def test_holm_stays_below_one():
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]
