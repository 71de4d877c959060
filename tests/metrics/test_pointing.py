from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from captum_ssgc.metrics import energy_pointing_game, evidence_energy, pointing_game

BOTH = pytest.mark.parametrize("game", [pointing_game, energy_pointing_game])


def one_pixel(y, x, size=(4, 5), value=1.0):
    heat_map = torch.zeros(1, *size)
    heat_map[0, y, x] = value
    return heat_map


@BOTH
@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((1.0, 2.0, 2.0, 3.0), 1.0),
        ((1.5, 2.5, 1.5, 2.5), 1.0),
        ((1.0, 2.0, 1.5, 3.0), 1.0),
        ((1.6, 2.0, 3.0, 3.0), 0.0),
        ((0.0, 0.0, 1.4, 4.0), 0.0),
        ((0.0, 0.0, 5.0, 4.0), 1.0),
        ((-10.0, -10.0, 15.0, 14.0), 1.0),
        ((1.0, 2.0, 13.0, 9.5), 1.0),
        ((-1.0, -1.0, 1.0, 1.0), 0.0),
        ((5.0, 4.0, 5.0, 4.0), 0.0),
    ],
    ids=["its-pixel", "its-centre", "ends-on-it", "starts-after", "ends-before", "whole-image",
         "beyond-the-image", "cut-off", "over-its-corner", "at-its-end"],
)  # fmt: skip
def test_a_pixel_is_inside_when_its_centre_is(game, box, expected):
    result = game(one_pixel(2, 1), boxes=torch.tensor([box]))
    assert result.values.tolist() == [expected]
    assert result.valid.tolist() == [True]
    assert result.higher_is_better is True


@BOTH
@pytest.mark.parametrize(("y", "x"), [(0, 0), (0, 4), (3, 0), (3, 4)])
def test_corners_belong_to_boxes_at_the_border(game, y, x):
    box = torch.tensor([[float(x), float(y), x + 1.0, y + 1.0]])
    for row in range(4):
        for column in range(5):
            hit = float((row, column) == (y, x))
            assert game(one_pixel(row, column), boxes=box).values.tolist() == [hit]


@pytest.mark.parametrize(
    ("inside", "expected"), [(0, 0.0), (1, 1 / 3), (2, 2 / 3), (3, 1.0)], ids="{}-of-3".format
)
def test_ties_count_by_their_share(inside, expected):
    heat_map = torch.tensor([[[5.0, 5.0, 5.0, 4.0]]])
    box = torch.tensor([[0.0, 0.0, float(inside), 1.0]])
    if inside == 0:
        box = torch.tensor([[3.0, 0.0, 4.0, 1.0]])
    assert pointing_game(heat_map, boxes=box).values.tolist() == pytest.approx([expected])


def test_a_constant_map_scores_the_share_of_the_image():
    heat_map = torch.full((1, 4, 5), 0.3)
    box = torch.tensor([[0.0, 0.0, 2.0, 3.0]])
    for game in (pointing_game, energy_pointing_game):
        assert game(heat_map, boxes=box).values.tolist() == pytest.approx([6 / 20])


@pytest.mark.parametrize("bad", [0.0, float("nan"), float("inf"), float("-inf")])
def test_a_map_that_points_nowhere_is_a_miss(bad):
    heat_map = torch.zeros(2, 4, 5) if bad == 0.0 else torch.rand(2, 4, 5)
    heat_map[0, 1, 1] = bad
    heat_map[1, 0, 0] = 9.0
    whole = torch.tensor([[0.0, 0.0, 5.0, 4.0]] * 2)
    for result in (
        pointing_game(heat_map, boxes=whole),
        energy_pointing_game(heat_map, boxes=whole),
        evidence_energy(heat_map, torch.ones(2, 4, 5)),
    ):
        assert result.values.tolist() == pytest.approx([0.0, 1.0])
        assert result.valid.tolist() == [False, True]
        assert result.mean() == pytest.approx(0.5)
        assert result.mean(valid_only=True) == pytest.approx(1.0)


def test_a_negative_map_has_a_maximum_but_no_energy():
    heat_map = -torch.arange(1.0, 7.0).reshape(1, 2, 3)
    box = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    assert pointing_game(heat_map, boxes=box).values.tolist() == [1.0]
    energy = energy_pointing_game(heat_map, boxes=box)
    assert (energy.values.tolist(), energy.valid.tolist()) == ([0.0], [False])


def test_negative_values_have_no_energy():
    heat_map = torch.tensor([[[3.0, -8.0, 1.0]]])
    result = energy_pointing_game(heat_map, boxes=torch.tensor([[0.0, 0.0, 2.0, 1.0]]))
    assert result.values.tolist() == [0.75]


@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1.0, 1e30, 3e38])
def test_the_scale_of_a_map_does_not_count(scale):
    heat_map = torch.tensor([[[1.0, 0.5], [0.5, 0.0]]]) * scale
    box = torch.tensor([[0.0, 0.0, 1.0, 2.0]])
    assert pointing_game(heat_map, boxes=box).values.tolist() == [1.0]
    share = energy_pointing_game(heat_map, boxes=box).values
    assert share.tolist() == pytest.approx([0.75], abs=0.05 if scale < 1e-40 else 1e-6)


@BOTH
def test_masks_are_boxes_of_any_shape(game):
    heat_maps = torch.rand(3, 7, 9, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[0.0, 0.0, 4.0, 5.0], [2.0, 1.0, 9.0, 7.0], [8.0, 6.0, 9.0, 7.0]])
    masks = torch.zeros(3, 7, 9)
    for row, (x1, y1, x2, y2) in enumerate(boxes.int().tolist()):
        masks[row, y1:y2, x1:x2] = 1.0
    expected = game(heat_maps, boxes=boxes).values
    for given_masks in (masks, masks.bool(), masks[:, None], masks.byte() * 255):
        assert torch.equal(game(heat_maps, masks=given_masks).values, expected)


def test_an_l_shaped_mask():
    mask = torch.tensor([[[True, False], [True, True]]])
    heat_map = torch.tensor([[[1.0, 4.0], [2.0, 3.0]]])
    assert pointing_game(heat_map, masks=mask).values.tolist() == [0.0]
    assert energy_pointing_game(heat_map, masks=mask).values.tolist() == pytest.approx([0.6])


@settings(max_examples=50)
@given(st.lists(st.integers(-2, 4), min_size=12, max_size=12), st.integers(0, 2**12 - 1))
def test_against_loops(values, inside):
    """Energy and hits of a map and of a mask with any set of pixels."""
    heat_map = torch.tensor(values).reshape(1, 3, 4)
    mask = [bool(inside >> n & 1) for n in range(12)]
    hits = [mask[n] for n in range(12) if values[n] == max(values)]
    energy = sum(max(value, 0) for value in values)
    within = sum(max(value, 0) for value, chosen in zip(values, mask) if chosen)
    masks = torch.tensor(mask).reshape(1, 3, 4)
    pointing = pointing_game(heat_map, masks=masks)
    assert pointing.valid.tolist() == [any(values)]
    expected = sum(hits) / len(hits) if any(values) else 0.0
    assert pointing.values.tolist() == pytest.approx([expected])
    share = energy_pointing_game(heat_map, masks=masks)
    assert share.valid.tolist() == [energy > 0]
    assert share.values.tolist() == pytest.approx([within / energy if energy else 0.0])


def test_inside_and_outside_add_up():
    heat_maps = torch.rand(2, 30, 40, generator=torch.Generator().manual_seed(1))
    masks = torch.rand(2, 30, 40, generator=torch.Generator().manual_seed(2)) > 0.7
    for game in (pointing_game, energy_pointing_game):
        both = game(heat_maps, masks=masks).values + game(heat_maps, masks=~masks).values
        torch.testing.assert_close(both, torch.ones(2))


@BOTH
def test_soft_masks_are_cut_at_one_half(game):
    soft = torch.full((1, 4, 5), 0.49)
    soft[0, 2, 1] = 0.5
    assert game(one_pixel(2, 1), masks=soft).values.tolist() == [1.0]
    assert game(one_pixel(2, 2), masks=soft).values.tolist() == [0.0]
    assert game(one_pixel(2, 2), masks=torch.full((1, 4, 5), 255, dtype=torch.uint8)).values == 1


def test_one_pixel_image():
    heat_map = torch.ones(1, 1, 1, 1)
    box = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    assert pointing_game(heat_map, boxes=box).values.tolist() == [1.0]
    assert energy_pointing_game(heat_map, boxes=box).values.tolist() == [1.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.int64, torch.bool])
def test_any_dtype(dtype):
    heat_map = one_pixel(2, 1).to(dtype)
    box = torch.tensor([[0, 0, 5, 3]])
    for game in (pointing_game, energy_pointing_game):
        assert game(heat_map, boxes=box).values.tolist() == [1.0]


def test_no_detection():
    none = torch.zeros(0, 4, 5)
    for result in (
        pointing_game(none, boxes=torch.zeros(0, 4)),
        energy_pointing_game(none[:, None], masks=none),
        evidence_energy(none, none),
    ):
        assert len(result) == 0
        assert result.valid.shape == (0,)
        assert result.mean() != result.mean()


DIAMOND = torch.tensor([[[2.0, 0.0], [4.0, 2.0], [2.0, 4.0], [0.0, 2.0]]])


def test_an_oriented_box_is_its_polygon():
    """A diamond holds 12 of the 16 pixels of its upright box, eight of them on its border."""
    even = torch.ones(1, 4, 5)
    assert energy_pointing_game(even, corners=DIAMOND).values.tolist() == pytest.approx([12 / 20])
    assert energy_pointing_game(even, corners=DIAMOND - 0.25).values.tolist() == [10 / 20]
    for y, x, hit in [(0, 0, 0.0), (0, 1, 1.0), (1, 1, 1.0), (3, 3, 0.0), (1, 4, 0.0)]:
        assert pointing_game(one_pixel(y, x), corners=DIAMOND).values.tolist() == [hit]
        assert pointing_game(one_pixel(y, x), corners=DIAMOND.flip(1)).values.tolist() == [hit]


def test_evidence_is_a_mask_per_detection():
    heat_map = torch.tensor([[[4.0, 1.0], [3.0, -2.0]]] * 2)
    evidence = torch.tensor([[[True, False], [False, True]], [[False, False], [True, False]]])
    result = evidence_energy(heat_map, evidence)
    assert result.values.tolist() == pytest.approx([0.5, 0.375])
    assert result.higher_is_better is True


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, TypeError, "either boxes= or masks=, got neither"),
        ({"boxes": torch.ones(1, 4), "masks": torch.ones(1, 4, 5)}, TypeError, "got both"),
        ({"boxes": torch.ones(2, 4)}, ValueError, r"expected shape \(1, 4\), got \(2, 4\)"),
        ({"boxes": torch.tensor([[3.0, 0.0, 1.0, 1.0]])}, ValueError, "x1 <= x2 .* row 0; COCO"),
        ({"boxes": torch.full((1, 4), float("nan"))}, ValueError, "finite corners"),
        ({"boxes": [[0, 0, 1, 1]]}, TypeError, "expected a tensor"),
        ({"masks": torch.ones(1, 5, 4)}, ValueError, r"masks: expected shape \(1, 4, 5\)"),
        ({"boxes": torch.tensor([[9.0, 9.0, 40.0, 40.0]])}, ValueError, "4 x 5, got .*bilinear"),
        ({"boxes": torch.tensor([[-9.0, 0.0, -0.1, 4.0]])}, ValueError, "far outside"),
        ({"corners": torch.full((1, 4, 2), 6.0)}, ValueError, "corners: .* far outside"),
        ({"masks": torch.full((1, 4, 5), torch.nan)}, ValueError, "masks: expected finite"),
        ({"masks": [1]}, TypeError, "masks: expected a tensor"),
        ({"corners": torch.ones(1, 8)}, ValueError, r"corners: expected shape \(1, 4, 2\)"),
        ({"corners": torch.full((1, 4, 2), torch.nan)}, ValueError, "corners: expected finite"),
        ({"corners": [1]}, TypeError, "corners: expected a tensor"),
    ],
    ids=["neither", "both", "count", "order", "nan", "list", "mask-size",
         "image-boxes", "before-the-map", "image-corners", "mask-nan", "mask-list",
         "corners-shape", "corners-nan", "corners-list"],
)  # fmt: skip
@BOTH
def test_errors_say_what_was_expected(game, arguments, error, words):
    with pytest.raises(error, match=words):
        game(torch.ones(1, 4, 5), **arguments)


def test_errors_of_evidence():
    with pytest.raises(ValueError, match="the mask of row 1 has no pixel"):
        evidence_energy(torch.ones(2, 4, 5), torch.stack([torch.ones(4, 5), torch.zeros(4, 5)]))
    with pytest.raises(ValueError, match=r"evidence: expected shape \(2, 4, 5\)"):
        evidence_energy(torch.ones(2, 4, 5), torch.ones(4, 5))


@BOTH
@pytest.mark.parametrize(
    ("heat_maps", "error"),
    [
        (torch.ones(4, 5), ValueError),
        (torch.ones(1, 2, 4, 5), ValueError),
        (torch.ones(1, 0, 5), ValueError),
        ([[1.0]], TypeError),
    ],
    ids=["2-d", "two-channels", "no-pixel", "list"],
)
def test_heat_maps_of_another_kind(game, heat_maps, error):
    with pytest.raises(error, match="heat_maps: expected"):
        game(heat_maps, boxes=torch.zeros(1, 4))
