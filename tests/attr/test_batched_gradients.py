"""Gradients of several values as one batch are those of one after the other."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from captum_ssgc._windows import Window, WindowGradient, aligned, gathered, hull, nonzero_windows
from captum_ssgc.attr import METHODS, LayerMethod, _batched_gradients, _row_gradients
from captum_ssgc.attr._batched_gradients import at_once, gradients_of_each
from captum_ssgc.attr._formula import Formula, MapRequest
from captum_ssgc.attr._maps import WholeGrid


@pytest.fixture
def run():
    torch.manual_seed(0)
    first = torch.rand(1, 3, 6, 5, requires_grad=True)
    second = torch.rand(1, 3, 3, 2, requires_grad=True)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.SiLU())
    values = torch.stack([network(first)[0, 0, 2, 3], network(first).mean(), second.max()])
    return values, [first, second, torch.rand(2, requires_grad=True)]


def test_a_batch_is_one_after_the_other(run):
    values, tensors = run
    rows = [2, 0, 1]
    batched = _batched_gradients._as_a_batch(values, rows, tensors)
    for row, slopes in zip(rows, batched, strict=True):
        expected = torch.autograd.grad(
            values[row], tensors, retain_graph=True, materialize_grads=True
        )
        for slope, one in zip(slopes[:2], expected[:2], strict=True):
            torch.testing.assert_close(slope, one)
        assert slopes[2] is None


def test_on_a_cpu_they_come_one_after_the_other(run):
    values, tensors = run
    [slopes] = gradients_of_each(values, [0], tensors)
    assert [slope is None for slope in slopes] == [False, False, True]
    without = gradients_of_each(values.detach(), [0, 2], tensors)
    assert without == [[None] * 3] * 2


class OnlyOnce(torch.autograd.Function):
    """Looks at the values of a gradient, which no batch has."""

    @staticmethod
    def forward(ctx, tensor):
        return tensor * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2 if bool(gradient.any()) else gradient


def test_what_cannot_go_back_as_a_batch_goes_one_after_the_other(monkeypatch):
    tensor = torch.rand(1, 2, 3, 3, requires_grad=True)
    values = OnlyOnce.apply(tensor).flatten()[:2]
    with pytest.raises(RuntimeError):
        _batched_gradients._as_a_batch(values, [0, 1], [tensor])
    monkeypatch.setattr(_batched_gradients, "_is_worth_it", lambda values, rows, tensors: True)
    found = gradients_of_each(values, [0, 1], [tensor])
    for row, (slope,) in enumerate(found):
        expected = torch.zeros(18)
        expected[row] = 2.0
        assert torch.equal(slope.flatten(), expected)


@pytest.mark.parametrize(
    "channels", [(0.0, -1.0), (1.0, 0.0), (-1.0, 1.0), (-1.0, -2.0), (0.0, float("nan"))], ids=str
)
def test_a_window_holds_whatever_is_not_zero(channels):
    """In any channel and example, of either sign."""
    gradients = torch.zeros(2, 2, 5, 6)
    gradients[0, :, 1, 4] = gradients[1, :, 3, 2] = torch.tensor(channels)
    assert nonzero_windows([gradients, gradients[:1], torch.zeros(1, 2, 3, 3)]) == [
        Window(1, 4, 2, 5),
        Window(1, 2, 4, 5),
        Window(0, 0, 0, 0),
    ]


@pytest.mark.parametrize(
    ("entries", "device", "expected"),
    [(2**16, "cpu", 10), (2**19, "cpu", 2), (2**24, "cpu", 1), (2**20, "meta", 2), (0, "cpu", 10)],
)
def test_so_many_are_held_at_once(entries, device, expected):
    assert at_once(entries, torch.device(device)) == expected


def test_windows_of_one_size_hold_their_own_and_stay_on_the_grid():
    windows = [Window(0, 2, 5, 9), Window(6, 9, 0, 1), Window(8, 9, 9, 10)]
    found = aligned(windows, (9, 10))
    assert found == [Window(0, 3, 5, 9), Window(6, 9, 0, 4), Window(6, 9, 6, 10)]
    grid = torch.arange(90.0).view(1, 1, 9, 10)
    each = gathered(grid, found)
    for row, window in enumerate(found):
        assert torch.equal(each[row : row + 1], window.of(grid))
    own = torch.rand(3, 2, 9, 10)
    for row, window in enumerate(found):
        assert torch.equal(gathered(own, found)[row : row + 1], window.of(own[row : row + 1]))
    same = gathered(own, [found[0]] * 3)
    assert same.data_ptr() == found[0].of(own).data_ptr()


def test_a_hull_holds_all_that_hold_something():
    windows = [Window(2, 4, 7, 9), Window(0, 0, 0, 0), Window(3, 9, 1, 2)]
    assert hull(windows) == Window(2, 9, 1, 9)
    assert hull(windows[1:2]).is_empty


def test_groups_have_windows_of_about_one_size(monkeypatch):
    def gradient(top, bottom, left, right):
        window = Window(top, bottom, left, right)
        return WindowGradient(window, torch.rand(1, 4, *window.size))

    each = [
        (0, 0, gradient(0, 5, 0, 5)),
        (1, 1, gradient(0, 5, 0, 5)),
        (2, 0, gradient(3, 9, 2, 8)),
        (3, 0, gradient(0, 1, 0, 1)),
        (4, 0, gradient(2, 2, 0, 0)),
        (5, 0, gradient(4, 10, 5, 10)),
    ]
    grids = [(10, 10), (5, 5)]
    found = [(place, group.rows) for place, group in _row_gradients.in_groups(each, grids)]
    assert found == [(0, [0, 2, 5]), (1, [1]), (0, [3])]
    group = next(iter(_row_gradients.in_groups(each, grids)))[1]
    for reach in (0, 2, None):
        windows, values = group.on_windows(reach)
        for own, window, value in zip([0, 2, 5], windows, values, strict=True):
            expected = torch.zeros(1, 4, 10, 10)
            each[own][2].window.of(expected).copy_(each[own][2].values)
            placed = torch.zeros(1, 4, 10, 10)
            window.of(placed).copy_(value)
            assert torch.equal(placed, expected)
            around = each[own][2].window.grown(reach or 0, (10, 10))
            assert window.top <= around.top
            assert window.bottom >= around.bottom
    monkeypatch.setattr(_row_gradients, "entries_at_once", lambda device: 2 * 4 * 36)
    found = [(place, group.rows) for place, group in _row_gradients.in_groups(each, grids)]
    assert found == [(0, [0, 2]), (0, [5]), (1, [1]), (0, [3])]


def one_gradient(*sides):
    window = Window(*sides)
    return WindowGradient(window, torch.rand(1, 2, *window.size))


def test_a_map_holds_cells_of_its_own_window_alone():
    """Windows of one size reach over cells that are another instance's."""
    torch.manual_seed(0)
    rows = _row_gradients.RowGradients(
        [0, 1], [one_gradient(0, 2, 0, 2), one_gradient(2, 6, 1, 4)], (6, 5)
    )
    activations = torch.randn(1, 2, 6, 5)
    activations[..., 2, 1] = torch.nan  # in the second window
    whole = WholeGrid(activations, torch.zeros(2, 1, 6, 5, dtype=torch.bool))
    for name in METHODS:
        if not issubclass(METHODS[name], LayerMethod):
            continue
        formula = Formula(METHODS[name].maps)
        if formula.is_local:
            mask = torch.ones(2, 1, 6, 5) if formula.takes_mask else None
            windows, values = formula.of_rows(activations, rows, mask, whole, summed=True)
            first, second = (within.of(one) for (_, within), one in zip(windows, values))
            assert [own for own, _ in windows] == [Window(0, 2, 0, 2), Window(2, 6, 1, 4)]
            assert first.isfinite().all(), name
            assert second.isnan().sum() == 1, name


@pytest.mark.parametrize("summed", [True, False])
def test_what_is_kept_of_whole_grids_for_each_channel_is_made_one_by_one(summed):
    """The weights of Grad-CAM are of a window, its channels are not."""
    asked = MapRequest("Grad-CAM", Formula(METHODS["grad-cam"].maps), attr_dim_summation=summed)
    assert asked.reach == (0 if summed else None)


def test_parts_are_as_large_as_what_they_are_computed_on(monkeypatch):
    """A wide smoothing makes large windows of small ones, and a user's formula sees each alone."""
    each = [one_gradient(place, place + 2, 4, 6) for place in range(5)]
    rows = _row_gradients.RowGradients([3, 1, 4, 0, 2], each, (10, 10))
    monkeypatch.setattr(_row_gradients, "entries_at_once", lambda device: 2 * 2 * 6 * 6)
    assert list(rows.parts(0)) == [rows]
    assert [part.rows for part in rows.parts(2)] == [[3, 1], [4, 0], [2]]
    assert [part.rows for part in rows.parts(9)] == [[3], [1], [4], [0], [2]]
    assert [part.rows for part in rows.parts(None)] == [[3], [1], [4], [0], [2]]
    for reach in (0, 2, None):
        for part in rows.parts(reach):
            for row, window, value in zip(part.rows, *part.on_windows(reach), strict=True):
                own = each[rows.rows.index(row)]
                torch.testing.assert_close(value, own.window.padded(own.values, window)[0])
