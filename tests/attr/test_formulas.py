"""Every map function against its slow, literal version."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import references
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from captum_ssgc._windows import WindowGradient, nonzero_windows
from captum_ssgc.attr import METHODS, _maps
from captum_ssgc.attr._formula import Formula

GRIDS = [(1, 1), (1, 5), (4, 4), (5, 3)]
EXACT = {"rtol": 1e-10, "atol": 1e-10}


def random_layer(seed, signed, grid, channels=3, images=2):
    generator = torch.Generator().manual_seed(seed)
    shape = (images, channels, *grid)
    activations = torch.randn(shape, generator=generator, dtype=torch.float64)
    gradients = torch.randn(shape, generator=generator, dtype=torch.float64)
    return (activations if signed else activations.relu()), gradients


def random_mask(seed, shape):
    generator = torch.Generator().manual_seed(seed + 100)
    mask = torch.rand(shape, generator=generator) < 0.5
    mask[..., 0, 0] = True
    return mask


LAYER_METHODS = [name for name, method in METHODS.items() if method.gradient_based]
LITERAL = {  # what a method does by default with a signed layer
    "grad_cam_plus_plus": partial(references.grad_cam_plus_plus, clamp=True),
    "ssgrad_cam_plus_plus": references.ssgrad_cam_plus_plus_split,
}


def literal(method):
    """The slow version of a method's formula, by the name of its map function."""
    name = method.maps.__name__
    return LITERAL.get(name) or getattr(references, name)


@pytest.mark.parametrize("signed", [False, True], ids=["relu", "signed"])
@pytest.mark.parametrize("grid", [(1, 1), (1, 5), (5, 3), (7, 6)], ids=str)
@pytest.mark.parametrize("name", LAYER_METHODS)
def test_every_registered_method_is_its_literal_formula(name, grid, signed):
    """Also where the gradient is zero but for a window, which is all that the formula is given."""
    method = METHODS[name]
    activations, gradients = random_layer(11, signed, grid, images=1)
    for top, bottom, left, right in [(0, 1, 0, 1), (0, *grid[:1], 0, grid[1]), (1, 4, 1, 3)]:
        inside = torch.zeros(grid, dtype=torch.bool)
        inside[top:bottom, left:right] = True
        slopes = gradients * inside
        expected = literal(method)(activations[0].numpy(), slopes[0].numpy())
        assert_equal(method.maps(activations, slopes), [expected])
        made = on_window(method, activations, slopes, None, {})
        np.testing.assert_allclose(made, expected, **EXACT)


def on_window(method, activations, gradients, mask, options):
    """The heat map as the engine makes it."""
    [window] = nonzero_windows([gradients])
    formula = Formula(method.maps, options)
    place, values = formula.contributions(
        activations,
        WindowGradient(window, window.of(gradients)),
        mask,
        _maps.WholeGrid(activations, mask),
        summed=True,
    )
    whole = activations.new_zeros(1, 1, *activations.shape[-2:])
    place.of(whole).copy_(values)
    return whole[0, 0].clamp(min=0.0).numpy()


@given(
    name=st.sampled_from(LAYER_METHODS),
    seed=st.integers(0, 10**6),
    corner=st.tuples(st.integers(0, 7), st.integers(0, 5)),
    size=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    smoothing=st.sampled_from([0.0, 0.3, 1.0, 4.0]),
    signs=st.sampled_from(["split", "as_is"]),
    masked=st.booleans(),
)
@settings(max_examples=300, derandomize=True)
def test_a_window_gives_what_the_whole_grid_gives(
    name, seed, corner, size, smoothing, signs, masked
):
    """For every option, wherever the window lies, also where it is empty."""
    method = METHODS[name]
    activations, gradients = random_layer(seed, True, (8, 6), images=1)
    inside = torch.zeros(8, 6, dtype=torch.bool)
    inside[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]] = True
    slopes = gradients * inside
    every = {"smoothing": smoothing, "signed_activations": signs}
    options = {key: value for key, value in every.items() if key in method.option_names()}
    mask = random_mask(seed, (1, 1, 8, 6)) if masked and "mask" in method.option_names() else None
    given_mask = {} if mask is None else {"mask": mask}
    expected = heat_map(method.maps(activations, slopes, **given_mask, **options))[0]
    np.testing.assert_allclose(
        on_window(method, activations, slopes, mask, options), expected, **EXACT
    )


def heat_map(contributions):
    return contributions.sum(1).clamp(min=0.0).numpy()


def assert_equal(contributions, expected):
    np.testing.assert_allclose(heat_map(contributions), np.stack(expected), **EXACT)


@pytest.mark.parametrize("signed", [False, True], ids=["relu", "signed"])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("name", ["grad_cam", "odam", "ssgrad_cam"])
def test_methods_linear_in_the_activations(name, grid, signed):
    activations, gradients = random_layer(1, signed, grid)
    expected = [getattr(references, name)(A, g) for A, g in zip(activations, gradients)]
    assert_equal(getattr(_maps, name)(activations, gradients), expected)


@pytest.mark.parametrize("sigma", [0.3, 0.8, 2.0])
@pytest.mark.parametrize("name", ["odam", "ssgrad_cam", "ssgrad_cam_plus_plus"])
def test_smoothing(name, sigma):
    activations, gradients = random_layer(2, False, (5, 4))
    smooth = getattr(_maps, name)(activations, gradients, smoothing=sigma)
    expected = [
        getattr(references, name)(A, g, sigma=sigma) for A, g in zip(activations, gradients)
    ]
    assert_equal(smooth, expected)
    assert not np.allclose(heat_map(smooth), heat_map(getattr(_maps, name)(activations, gradients)))


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("score", [-3.0, 0.0, 5.0], ids=["s=-3", "s=0", "s=5"])
def test_grad_cam_plus_plus(grid, score):
    activations, gradients = random_layer(3, False, grid)
    expected = [references.grad_cam_plus_plus(A, g, score) for A, g in zip(activations, gradients)]
    assert_equal(_maps.grad_cam_plus_plus(activations, gradients), expected)


MASKS = {
    "none": None,
    "one for all": lambda images, channels, grid: (1, 1, *grid),
    "per image": lambda images, channels, grid: (images, 1, *grid),
    "per channel": lambda images, channels, grid: (images, channels, *grid),
}


@pytest.mark.parametrize("signed", [None, "split", "as_is"], ids=["relu", "split", "as_is"])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("kind", MASKS)
def test_ssgrad_cam_plus_plus(kind, grid, signed):
    activations, gradients = random_layer(4, signed is not None, grid)
    shape = MASKS[kind] and MASKS[kind](2, 3, grid)
    mask = None if shape is None else random_mask(4, shape)
    ours = _maps.ssgrad_cam_plus_plus(
        activations, gradients, mask, signed_activations=signed or "as_is"
    )
    expected = []
    for row, (a, g) in enumerate(zip(activations, gradients)):
        m = None if mask is None else mask[row if len(mask) > 1 else 0].numpy()
        if signed == "split":
            expected.append(references.ssgrad_cam_plus_plus_split(a, g, m))
        else:
            expected.append(references.ssgrad_cam_plus_plus(a, g, m, clamp=signed == "as_is"))
    assert_equal(ours, expected)


@given(
    values=st.lists(
        st.tuples(st.floats(0.0, 50.0), st.floats(-3.0, 3.0), st.booleans()),
        min_size=4,
        max_size=4,
    ),
    score=st.floats(-5.0, 5.0),
)
@settings(max_examples=100, derandomize=True)
def test_the_reduced_alpha_is_the_literal_one(values, score):
    """Where the powers of the gradient are representable, which is what the reduction avoids."""
    values = [(a, g if abs(g) > 1e-6 else 0.0, m) for a, g, m in values]
    activations, gradients, mask = (
        torch.tensor(column, dtype=torch.float64).view(1, 1, 2, 2) for column in zip(*values)
    )
    ours = _maps.ssgrad_cam_plus_plus(activations, gradients, mask)
    expected = references.ssgrad_cam_plus_plus(activations[0], gradients[0], mask[0].numpy(), score)
    np.testing.assert_allclose(heat_map(ours)[0], expected, rtol=1e-9, atol=1e-10)


@given(
    activations=st.lists(st.floats(-1e4, 1e4), min_size=6, max_size=6),
    gradients=st.lists(st.floats(-1e4, 1e4), min_size=6, max_size=6),
    name=st.sampled_from(
        ["grad_cam", "grad_cam_plus_plus", "odam", "ssgrad_cam", "ssgrad_cam_plus_plus"]
    ),
)
@settings(max_examples=100, derandomize=True)
def test_maps_are_finite(activations, gradients, name):
    layer = torch.tensor(activations, dtype=torch.float32).view(1, 1, 2, 3)
    slopes = torch.tensor(gradients, dtype=torch.float32).view(1, 1, 2, 3)
    assert getattr(_maps, name)(layer, slopes).isfinite().all()


def test_alpha_stays_within_its_bounds():
    activations, gradients = random_layer(5, True, (4, 4))
    mask = random_mask(5, (2, 1, 4, 4))
    total = _maps.WholeGrid(activations, mask).total
    alpha = _maps.plus_plus_alpha(total, gradients, mask)
    assert alpha.min() == 0.0
    assert alpha.max() <= 0.5


def test_a_saturated_score_does_not_underflow():
    """The literal eq. (10) is 0/0 in float32 here; the reduced form keeps the ratio of channels."""
    activations = torch.tensor([[[[1.0, 1.0]], [[4.0, 4.0]]]])
    gradients = torch.tensor([[[[1e-20, 1e-20]], [[2e-20, 0.0]]]])
    assert (gradients**3 == 0).all()
    weights = _maps.plus_plus_weights(activations, gradients)
    assert weights[0, 0, 0, 0].item() == pytest.approx(1e-20)
    assert weights[0, 1, 0, 0].item() == pytest.approx(1e-20)
    space = _maps.space_map(gradients)
    assert space.tolist() == [[[[1.0, 1.0]], [[1.0, 0.0]]]]


@pytest.mark.parametrize("name", ["odam", "ssgrad_cam", "ssgrad_cam_plus_plus"])
def test_smoothing_has_limits(name):
    layer = torch.ones(1, 1, 2, 2)
    with pytest.raises(ValueError, match="smoothing: expected a width in cells >= 0, got -1"):
        getattr(_maps, name)(layer, layer, smoothing=-1.0)
    with pytest.raises(ValueError, match=r"at most 100 cells, got 100\.5"):
        getattr(_maps, name)(layer, layer, smoothing=100.5)
    assert getattr(_maps, name)(layer, layer, smoothing=100.0).isfinite().all()


def test_unknown_treatment_of_signs_is_an_error():
    layer = torch.ones(1, 1, 2, 2)
    with pytest.raises(ValueError, match="expected 'split' or 'as_is', got 'abs'"):
        _maps.ssgrad_cam_plus_plus(layer, layer, signed_activations="abs")


def test_eigen_cam_is_the_same_for_every_gradient_and_decomposed_once(monkeypatch):
    """On few channels of many cells, and on many channels of few."""
    calls, decomposed = [], _maps._principal_direction
    monkeypatch.setattr(
        _maps, "_principal_direction", lambda rows: calls.append(1) or decomposed(rows)
    )
    for channels in (3, 40):
        activations, gradients = random_layer(6, True, (4, 5), channels, images=1)
        whole = _maps.WholeGrid(activations)
        one, other = (
            _maps.eigen_weights(activations, slopes, whole) for slopes in (gradients, gradients**2)
        )
        assert torch.equal(one, other)
        expected = references.eigen_cam(activations[0], gradients[0])
        np.testing.assert_allclose(heat_map(one * activations)[0], expected, **EXACT)
    assert len(calls) == 2


@pytest.mark.parametrize("value", [0.0, torch.nan, torch.inf], ids=str)
def test_eigen_cam_of_a_layer_without_a_direction(value):
    """Nothing is nothing, what is not finite stays visible; neither disturbs its neighbour."""
    activations, gradients = random_layer(7, False, (3, 3))
    expected = _maps.eigen_cam(activations, gradients)[1]
    activations[0] = value
    found = _maps.eigen_cam(activations, gradients)
    torch.testing.assert_close(found[1], expected)
    assert (found[0] == 0).all() if value == 0.0 else found[0].isnan().all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf], ids=str)
@pytest.mark.parametrize("images", [1, 3], ids=["one image", "an image each"])
@pytest.mark.parametrize("of_channels", [False, True], ids=["one mask", "masks of channels"])
def test_what_is_not_finite_counts_in_its_own_mask_alone(of_channels, images, value):
    """Not in those of other instances: a product of all masks would carry it there."""
    torch.manual_seed(0)
    activations = torch.randn(1, 2, 4, 5, dtype=torch.float64).repeat(images, 1, 1, 1)
    masks = torch.rand(3, 2 if of_channels else 1, 4, 5) > 0.4
    masks[:, :, 1, 2] = torch.tensor([True, False, False])[:, None]
    spoilt = activations.clone()
    spoilt[:, 1, 1, 2] = value
    clean, found = (_maps.WholeGrid(one, masks) for one in (activations, spoilt))
    for name in ("total", "positive_total", "negative_total"):
        expected, total = getattr(clean, name), getattr(found, name)
        torch.testing.assert_close(total[1:], expected[1:])
        torch.testing.assert_close(total[:, 0], expected[:, 0])
    assert found.total[0, 1].isnan().all()
    assert _maps.WholeGrid(spoilt).total[:, 1].isnan().all()
    direction = _maps.WholeGrid(spoilt[:1], masks[1:2]).principal_direction
    torch.testing.assert_close(
        direction, _maps.WholeGrid(activations[:1], masks[1:2]).principal_direction
    )


@pytest.mark.parametrize("signed", [False, True], ids=["relu", "signed"])
@pytest.mark.parametrize("score", [-3.0, 5.0], ids=["s=-3", "s=5"])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_ssgrad_cam_plus_minus_with_a_mask(grid, score, signed):
    activations, gradients = random_layer(8, signed, grid)
    mask = random_mask(8, (1, 1, *grid))
    expected = [
        references.ssgrad_cam_plus_minus(A, g, mask[0, 0].numpy(), score)
        for A, g in zip(activations, gradients)
    ]
    assert_equal(_maps.ssgrad_cam_plus_minus(activations, gradients, mask), expected)


@pytest.mark.parametrize("cells", ["all", "some", "one", "none"])
def test_a_halo_is_the_map_spread_as_wide_as_the_instance(cells):
    generator = torch.Generator().manual_seed(9)
    maps = torch.rand(2, 1, 4, 5, generator=generator, dtype=torch.float64)
    maps[0, 0, 1:] = 0.0
    mask = None if cells == "all" else random_mask(9, (2, 3, 4, 5))
    if mask is not None and cells != "some":
        mask = torch.zeros_like(mask)
        mask[:, :, 2, 3] = cells == "one"
    found = _maps.with_halo(maps, mask, 0.25)
    for number in range(2):
        inside = np.ones((4, 5)) if mask is None else mask[number].any(0).numpy()
        expected = references.halo(maps[number, 0].numpy(), inside, 0.25)
        np.testing.assert_allclose(found[number, 0], expected, **EXACT)
    torch.testing.assert_close(found.sum((-2, -1)), 1.25 * maps.sum((-2, -1)))
    assert (found > 0).all()
    assert _maps.with_halo(maps, mask, 0.0) is maps


def test_the_engine_lays_the_halo_around_the_summed_map_alone():
    generator = torch.Generator().manual_seed(10)
    weight = torch.randn(1, 3, 4, 5, generator=generator)
    layer = torch.nn.Conv2d(3, 3, 1)
    model = torch.nn.Sequential(layer, torch.nn.Flatten(), torch.nn.Linear(60, 2))
    model[2].weight.data = torch.stack([weight.flatten(), -weight.flatten()])
    image = torch.rand(1, 3, 4, 5, generator=generator)
    cam = METHODS["ssgrad-cam+-"](model, layer)
    plain = cam.attribute(image, target=0, mask=None, halo=0.0)
    assert float(plain.max()) > 0.0
    expected = references.halo(plain[0, 0].detach().numpy(), np.ones((4, 5)), 0.1)
    found = cam.attribute(image, target=0, mask=None, halo=0.1)
    np.testing.assert_allclose(found[0, 0], expected, rtol=1e-5, atol=1e-7)
    for other in ({"attr_dim_summation": False}, {"relu_attributions": False}):
        one, two = (cam.attribute(image, target=0, mask=None, halo=h, **other) for h in (0.0, 0.1))
        assert torch.equal(one, two)


@pytest.mark.parametrize("halo", [-0.1, 1.5, "wide"])
def test_a_halo_is_a_share(halo):
    layer = torch.ones(1, 1, 2, 2)
    with pytest.raises((TypeError, ValueError), match="halo: expected"):
        _maps.ssgrad_cam_plus_minus(layer, layer, halo=halo)
