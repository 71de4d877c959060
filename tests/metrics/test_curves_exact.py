"""Curves that can be written down by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from captum_ssgc.metrics import CurveSettings, deletion, deletion_insertion, insertion


def leftmost_first() -> torch.Tensor:
    """Falls column by column: the perfect map of the strip, and then some."""
    return torch.arange(10, 0, -1.0).expand(2, 10)[None]


@pytest.mark.parametrize(
    ("steps", "removed", "area"),
    [
        (5, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0], 0.1),
        (10, [1.0, 0.5, *[0.0] * 9], 0.1),
        (20, [1.0, 0.75, 0.5, 0.25, *[0.0] * 17], 0.1),
        (1, [1.0, 0.0], 0.5),
    ],
    ids=["five", "ten", "one-pixel-per-step", "endpoints-only"],
)
def test_perfect_map(strip, steps, removed, area):
    detector, image, found = strip
    chosen = CurveSettings(steps=steps)
    down = deletion(detector, image, found, leftmost_first(), chosen)
    up = insertion(detector, image, found, leftmost_first(), chosen)
    torch.testing.assert_close(down.scores, torch.tensor([removed]))
    torch.testing.assert_close(up.scores, 1.0 - down.scores)
    torch.testing.assert_close(down.area, torch.tensor([area]))
    torch.testing.assert_close(down.fractions, torch.linspace(0, 1, steps + 1))
    assert (down.higher_is_better, up.higher_is_better) == (False, True)


def test_inverse_map_is_the_other_end(strip):
    detector, image, found = strip
    down = deletion(detector, image, found, -leftmost_first(), CurveSettings())
    torch.testing.assert_close(down.scores, torch.tensor([[*[1.0] * 9, 0.5, 0.0]]))
    torch.testing.assert_close(down.area, torch.tensor([0.9]))


def test_the_baseline_is_what_remains(strip):
    detector, image, found = strip
    down = deletion(detector, image, found, leftmost_first(), CurveSettings(baseline=0.25))
    torch.testing.assert_close(down.scores, torch.tensor([[1.0, 0.625, *[0.25] * 9]]))


def test_a_pixel_is_removed_in_all_channels(strip):
    detector, image, found = strip
    image = image * torch.tensor([1.0, 0.5, 0.0])[None, :, None, None]
    down = deletion(detector, image, found, leftmost_first(), CurveSettings(steps=10))
    torch.testing.assert_close(down.scores[0, :3], torch.tensor([0.5, 0.25, 0.0]))


def test_budget_of_the_box(strip):
    detector, image, found = strip
    down = deletion(detector, image, found, leftmost_first(), CurveSettings(steps=5, budget="box"))
    up = insertion(detector, image, found, leftmost_first(), CurveSettings(steps=5, budget="box"))
    torch.testing.assert_close(down.scores, torch.tensor([[1.0, 0.5, 0.0, 0.0, 0.0, 0.0]]))
    torch.testing.assert_close(up.scores, 1.0 - down.scores)


def test_budget_of_the_box_counts_pixels_wherever_they_are(strip):
    detector, image, found = strip
    down = deletion(detector, image, found, -leftmost_first(), CurveSettings(steps=5, budget="box"))
    torch.testing.assert_close(down.scores, torch.ones(1, 6))


def test_normalised_by_the_score_of_the_unchanged_image(strip):
    detector, image, found = strip
    image = image * 0.8
    down = deletion(detector, image, found, leftmost_first(), CurveSettings(normalize=True))
    up = insertion(detector, image, found, leftmost_first(), CurveSettings(normalize=True))
    torch.testing.assert_close(down.scores, torch.tensor([[1.0, 0.5, *[0.0] * 9]]))
    torch.testing.assert_close(up.scores, torch.tensor([[0.0, 0.5, *[1.0] * 9]]))


def test_rounding_is_half_up(strip):
    """20 pixels in 8 steps: 2.5, 5, 7.5, ... pixels, and the score has four."""
    detector, image, found = strip
    down = deletion(detector, image, found, leftmost_first(), CurveSettings(steps=8))
    torch.testing.assert_close(down.scores[0, :4], torch.tensor([1.0, 0.25, 0.0, 0.0]))


def test_each_detection_follows_its_own_map(pair):
    detector, image, found = pair
    maps = torch.zeros(2, 6, 8)
    maps[0, 1:3, 1:3] = 1.0
    maps[1, 3:6, 5:8] = 1.0
    order = found.labels
    down = deletion(detector, image, found, maps[order], CurveSettings(steps=48))
    for row, label in enumerate(order.tolist()):
        pixels = (4, 9)[label]
        assert down.scores[row, pixels] == 0 < down.scores[row, pixels - 1]
    swapped = deletion(detector, image, found, maps[order.flip(0)], CurveSettings(steps=48))
    assert bool((swapped.area > down.area).all())


@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_perfect_map_and_its_inverse_enclose_every_other(pair, data):
    """For a score that adds up over pixels, no order beats that of their contributions."""
    detector, image, found = pair
    values = data.draw(st.lists(st.integers(-3, 3), min_size=96, max_size=96))
    some = torch.tensor(values, dtype=torch.float32).reshape(2, 6, 8)
    assume(bool(some.flatten(1).any(1).all()))  # an empty map names no pixel at all
    looked_at = torch.zeros(2, 6, 8)
    looked_at[0, 1:3, 1:3] = 1.0
    looked_at[1, 3:6, 5:8] = 1.0
    best = (looked_at * image.mean(1))[found.labels]
    results = deletion_insertion(
        detector, image, found, {"best": best, "some": some, "worst": -best}, scores=("s1",)
    )
    for kind in ("deletion", "insertion"):
        curves = [getattr(results[name], kind)["s1"].scores for name in ("best", "some", "worst")]
        low, between, high = curves if kind == "deletion" else curves[::-1]
        assert bool((low <= between + 1e-6).all())
        assert bool((between <= high + 1e-6).all())


def test_only_the_order_of_a_map_counts(pair):
    detector, image, found = pair
    maps = torch.rand(2, 6, 8, generator=torch.Generator().manual_seed(0))
    one = deletion(detector, image, found, maps)
    other = deletion(detector, image, found, 100.0 * maps**3 - 5.0)
    assert torch.equal(one.scores, other.scores)


def test_ties_in_reading_order(strip):
    detector, image, found = strip
    chosen = CurveSettings(steps=20, ties="reading")
    flat = deletion(detector, image, found, torch.full((1, 2, 10), 7.0), chosen)
    expected = [1.0, 0.75, *[0.5] * 9, 0.25, *[0.0] * 9]
    torch.testing.assert_close(flat.scores, torch.tensor([expected]))
    assert flat.valid.tolist() == [True]


@pytest.mark.parametrize("seed", [0, 5])
def test_ties_in_one_random_order(strip, seed):
    """A constant map removes pixels as the map does that numbers them in the random order."""
    detector, image, found = strip
    order = torch.randperm(20, generator=torch.Generator().manual_seed(seed))
    numbered = torch.empty(20)
    numbered[order] = torch.arange(20, 0, -1.0)
    flat = torch.full((1, 2, 10), 7.0)
    chosen = CurveSettings(steps=20)
    for measure in (deletion, insertion):
        generator = torch.Generator().manual_seed(seed) if seed else None
        tied = measure(detector, image, found, flat, chosen, generator=generator)
        expected = measure(detector, image, found, numbered.reshape(1, 2, 10), chosen)
        assert torch.equal(tied.scores, expected.scores)
    reading = deletion(detector, image, found, flat, CurveSettings(steps=20, ties="reading"))
    assert not torch.equal(reading.scores, deletion(detector, image, found, flat, chosen).scores)


def test_ties_are_broken_alike_for_every_map_and_only_among_equals(pair):
    detector, image, found = pair
    found = found[[0, 0, 1]]
    rough = torch.tensor([3.0, 1.0, 0.0]).repeat(16).reshape(1, 6, 8).expand(3, -1, -1)
    result = deletion(detector, image, found, rough, CurveSettings(steps=3))
    assert torch.equal(result.scores[0], result.scores[1])
    reading = deletion(detector, image, found, rough, CurveSettings(steps=3, ties="reading"))
    torch.testing.assert_close(result.scores, reading.scores)  # steps end where equals do


@pytest.mark.parametrize("bad", [0.0, float("nan"), float("inf"), float("-inf")])
def test_a_map_that_points_nowhere_turns_no_pixel_and_is_not_valid(strip, bad):
    detector, image, found = strip
    heat_map = leftmost_first() if bad else torch.zeros(1, 2, 10)
    heat_map = heat_map.clone()
    heat_map[0, 1, 9] = bad
    for measure, score in ((deletion, 1.0), (insertion, 0.0)):
        detector.batches.clear()
        result = measure(detector, image, found, heat_map, CurveSettings())
        assert result.valid.tolist() == [False]
        assert result.scores.tolist() == [[score] * 11]
        assert sum(detector.batches) == 2
        perfect = measure(detector, image, found, leftmost_first(), CurveSettings())
        inverse = measure(detector, image, found, -leftmost_first(), CurveSettings())
        areas = [float(curve.area) for curve in (perfect, inverse, result)]
        assert areas == sorted(areas, reverse=measure is insertion)


def test_mean_counts_every_map_unless_told_otherwise(pair):
    detector, image, found = pair
    maps = torch.stack([torch.zeros(6, 8), torch.rand(6, 8)])
    result = deletion(detector, image, found, maps, CurveSettings())
    assert result.mean() == pytest.approx(float(result.area.mean()))
    assert result.mean(valid_only=True) == pytest.approx(float(result.area[1]))


def test_one_pixel_map(strip):
    detector, image, found = strip
    heat_map = torch.zeros(1, 2, 10)
    heat_map[0, 0, 0] = 1.0
    down = deletion(detector, image, found, heat_map, CurveSettings(steps=20))
    assert float(down.scores[0, 1]) == pytest.approx(0.75)


def test_one_pixel_image(make_pixel_detector):
    """With more steps than pixels every point is one of the endpoints."""
    detector = make_pixel_detector(
        torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1, 1, 1, dtype=torch.bool), [0]
    )
    image = torch.ones(1, 3, 1, 1)
    found = detector.detect(image)[0]
    detector.batches.clear()
    down = deletion(detector, image, found, torch.ones(1, 1, 1), CurveSettings(steps=4))
    assert down.scores.tolist() == [[1.0, 1.0, 0.0, 0.0, 0.0]]
    assert sum(detector.batches) == 2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_precision_is_that_of_the_images_but_at_least_single(strip, dtype):
    detector, image, found = strip
    down = deletion(detector, image.to(dtype), found, leftmost_first().half(), CurveSettings())
    assert down.scores.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(down.area, torch.tensor([0.1]).to(down.area))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_the_budget_of_a_box_far_from_the_origin(make_pixel_detector, dtype):
    """Its 16 pixels are 16 in every precision; half precision cannot tell 2060 from 2060.5."""
    pixels = torch.zeros(1, 1, 2100, dtype=torch.bool)
    pixels[0, 0, 2064:2080] = True
    detector = make_pixel_detector(torch.tensor([[2064.0, 0.0, 2080.0, 1.0]]), pixels, [0])
    image = torch.ones(1, 3, 1, 2100, dtype=dtype)
    found = detector.detect(image)[0]
    chosen = CurveSettings(steps=16, budget="box")
    down = deletion(detector, image, found, torch.arange(2100.0, 0, -1)[None, None], chosen)
    assert down.scores.tolist() == [[1.0] * 17]
    down = deletion(detector, image, found, pixels.float(), chosen)
    torch.testing.assert_close(down.scores[0], torch.linspace(1, 0, 17), rtol=0, atol=4e-3)
