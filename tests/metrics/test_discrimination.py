"""Compactness and ODI against loops written from the formulas, and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from captum_ssgc.metrics import compactness, object_discrimination_index

BOX = torch.tensor([[0.0, 0.0, 6.0, 8.0]])  # diagonal 10, half of it 5


def two_points(distance, share):
    """A peak, and a second point that holds ``share`` times as much."""
    heat_map = torch.zeros(1, 20, 20)
    heat_map[0, 3, 2] = 1.0
    heat_map[0, 3, 2 + distance] += share
    return heat_map


@pytest.mark.parametrize(
    ("distance", "share", "expected"),
    [(0, 0.0, 0.0), (5, 0.25, math.sqrt(0.2)), (10, 0.25, 2 * math.sqrt(0.2))],
    ids=["one-pixel", "near", "far"],
)
def test_compactness_by_hand(distance, share, expected):
    result = compactness(two_points(distance, share), BOX)
    assert result.values.tolist() == pytest.approx([expected], abs=1e-6)
    assert result.higher_is_better is False
    assert result.valid.tolist() == [True]


def test_compactness_is_measured_in_sizes_of_the_object():
    heat_map = two_points(5, 0.5)
    once, twice = compactness(heat_map, BOX).values, compactness(heat_map, 2 * BOX).values
    torch.testing.assert_close(once, 2 * twice)


def test_compactness_takes_the_mean_over_tied_maxima():
    """Seen from either end the three equal points are further away than from the middle."""
    heat_map = torch.zeros(1, 4, 9)
    heat_map[0, 1, [1, 4, 7]] = 2.0
    from_end, from_middle = math.sqrt((0 + 9 + 36) / 3) / 5, math.sqrt((9 + 0 + 9) / 3) / 5
    expected = (2 * from_end + from_middle) / 3
    assert compactness(heat_map, BOX).values.tolist() == pytest.approx([expected])


@settings(max_examples=50)
@given(st.lists(st.integers(-2, 4), min_size=20, max_size=20))
def test_compactness_against_loops(values):
    positive = [max(value, 0) for value in values]
    result = compactness(torch.tensor(values).reshape(1, 4, 5), BOX)
    if not any(positive):
        assert result.valid.tolist() == [False]
        assert math.isnan(float(result.values))
        return
    spreads = []
    for peak in (n for n in range(20) if positive[n] == max(positive)):
        total = 0.0
        for n, value in enumerate(positive):
            total += value * ((n // 5 - peak // 5) ** 2 + (n % 5 - peak % 5) ** 2)
        spreads.append(math.sqrt(total / sum(positive) / ((6**2 + 8**2) / 4)))
    assert float(result.values) == pytest.approx(sum(spreads) / len(spreads), abs=1e-6)


@pytest.mark.parametrize("bad", [0.0, float("nan"), float("inf")])
def test_compactness_of_a_map_that_points_nowhere(bad):
    heat_maps = torch.cat([torch.zeros(1, 20, 20), two_points(5, 0.25)])
    heat_maps[0, 0, 0] = bad
    result = compactness(heat_maps, BOX.expand(2, 4))
    assert result.valid.tolist() == [False, True]
    assert math.isnan(float(result.values[0]))
    assert math.isnan(result.mean())
    assert result.mean(valid_only=True) == pytest.approx(math.sqrt(0.2))


def test_compactness_of_a_box_without_extent():
    result = compactness(two_points(5, 0.25), torch.tensor([[1.0, 1.0, 1.0, 1.0]]))
    assert result.valid.tolist() == [False]
    assert math.isnan(float(result.values))


def test_compactness_does_not_depend_on_where_or_how_strong():
    heat_map = torch.zeros(1, 400, 600)
    heat_map[0, :9, :9] = torch.rand(9, 9, generator=torch.Generator().manual_seed(0))
    near = compactness(heat_map, BOX).values
    far = compactness(heat_map.roll((380, 590), (1, 2)) * 1e20, BOX).values
    torch.testing.assert_close(near, far, rtol=1e-4, atol=0.0)


OBJECTS = torch.tensor([[0.0, 0.0, 2.0, 2.0], [2.0, 0.0, 4.0, 2.0], [3.0, 0.0, 6.0, 2.0]])


def six_columns(*values):
    return torch.tensor(values, dtype=torch.float32).expand(2, 6)[None] / 2


@pytest.mark.parametrize(
    ("target", "columns", "expected"),
    [
        (0, (1, 1, 0, 0, 0, 0), 0.0),
        (0, (1, 1, 2, 0, 0, 0), 0.5),
        (0, (0, 0, 0, 0, 0, 3), 1.0),
        (1, (0, 0, 1, 1, 0, 0), 0.5),
        (2, (0, 0, 0, 1, 1, 1), 1 / 3),
        (2, (3, 0, 0, 0, 3, -9), 0.5),
    ],
    ids=["own", "half", "other", "shared-pixels-are-the-others", "shared-less", "negative"],
)
def test_odi_by_hand(target, columns, expected):
    result = object_discrimination_index(
        six_columns(*columns), torch.tensor([target]), boxes=OBJECTS
    )
    assert result.values.tolist() == pytest.approx([expected])
    assert result.valid.tolist() == [True]
    assert result.higher_is_better is False


def test_odi_ignores_the_background():
    boxes = OBJECTS[:2]
    heat_map = six_columns(3, 0, 1, 0, 50, 50)
    result = object_discrimination_index(heat_map, torch.tensor([0]), boxes=boxes)
    assert result.values.tolist() == pytest.approx([0.25])


def test_odi_counts_overlapping_others_once():
    heat_map = six_columns(1, 0, 0, 1, 0, 0)
    result = object_discrimination_index(heat_map, torch.tensor([0]), boxes=OBJECTS)
    assert result.values.tolist() == pytest.approx([0.5])


def test_odi_with_masks():
    heat_maps = torch.rand(3, 2, 6, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(3, 2, 6)
    for row, (x1, y1, x2, y2) in enumerate(OBJECTS.int().tolist()):
        masks[row, y1:y2, x1:x2] = 1.0
    rows = torch.tensor([2, 0, 1])
    one = object_discrimination_index(heat_maps, rows, boxes=OBJECTS)
    other = object_discrimination_index(heat_maps, rows, masks=masks.bool())
    assert torch.equal(one.values, other.values)


@pytest.mark.parametrize("bad", [0.0, float("nan")])
def test_odi_of_a_map_without_energy_on_any_object_is_the_worst(bad):
    heat_maps = torch.cat([six_columns(1, 0, 0, 0, 0, 0), six_columns(0, 0, 0, 0, 0, 7)])
    heat_maps[0] = bad
    result = object_discrimination_index(heat_maps, torch.tensor([0, 0]), boxes=OBJECTS[:2])
    assert result.values.tolist() == [1.0, 1.0]
    assert result.valid.tolist() == [False, False]


def test_odi_of_the_only_object():
    result = object_discrimination_index(
        torch.cat([six_columns(1, 0, 0, 0, 0, 0), six_columns(0, 0, 0, 0, 0, 0)]),
        torch.tensor([0, 0]),
        boxes=OBJECTS[:1],
    )
    assert result.values.tolist() == [0.0, 1.0]
    assert result.valid.tolist() == [False, False]


def test_odi_of_several_images_is_each_image_in_turn():
    heat_maps = torch.rand(4, 2, 6, generator=torch.Generator().manual_seed(0))
    targets, map_images = torch.tensor([0, 2, 1, 3]), torch.tensor([0, 1, 0, 1])
    boxes, object_images = torch.cat([OBJECTS, OBJECTS[:1]]), torch.tensor([0, 0, 1, 1])
    together = object_discrimination_index(
        heat_maps, targets, boxes=boxes, map_images=map_images, object_images=object_images
    )
    for image, own in ((0, boxes[:2]), (1, boxes[2:])):
        rows = map_images == image
        alone = object_discrimination_index(heat_maps[rows], targets[rows] - 2 * image, boxes=own)
        torch.testing.assert_close(together.values[rows], alone.values)


def test_nothing_to_measure():
    empty = torch.zeros(0, 2, 6)
    assert len(compactness(empty, torch.zeros(0, 4))) == 0
    for boxes in (OBJECTS, OBJECTS[:0]):
        none = torch.zeros(0, dtype=torch.int64)
        assert len(object_discrimination_index(empty, none, boxes=boxes)) == 0


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"targets": torch.tensor([3])}, IndexError, r"rows 0 to 2 of the objects, got \[3\]"),
        ({"targets": torch.tensor([-1])}, IndexError, "rows 0 to 2"),
        ({"targets": torch.tensor([0, 1])}, ValueError, r"targets: expected shape \(1,\)"),
        ({"targets": torch.tensor([0.0])}, TypeError, "int64"),
        ({"boxes": None}, TypeError, "neither"),
        ({"boxes": OBJECTS[:, :3]}, ValueError, r"expected shape \(3, 4\)"),
        ({"map_images": torch.tensor([0])}, TypeError, "both or neither"),
        (
            {"map_images": torch.tensor([0]), "object_images": torch.tensor([1, 0, 0])},
            ValueError,
            "belongs to another image",
        ),
    ],
    ids=["large", "negative", "count", "float", "no-boxes", "three-columns", "half", "other-image"],
)
def test_errors_of_odi(change, error, words):
    given_arguments = {
        "heat_maps": six_columns(1, 0, 0, 0, 0, 0),
        "targets": torch.tensor([0]),
        "boxes": OBJECTS,
        **change,
    }
    with pytest.raises(error, match=words):
        object_discrimination_index(**given_arguments)
