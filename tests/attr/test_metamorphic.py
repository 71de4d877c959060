"""What must change nothing, and what must change in a known way."""

from __future__ import annotations

import pytest
import torch

from captum_ssgc.attr import _maps


@pytest.fixture
def layer():
    generator = torch.Generator().manual_seed(7)
    shape = (2, 4, 5, 6)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2)]


def normalised(contributions):
    maps = contributions.sum(1).clamp(min=0.0)
    return maps / maps.amax((-2, -1), keepdim=True)


@pytest.mark.parametrize("factor", [1e-6, 3.0, 1e6])
@pytest.mark.parametrize("name", ["grad_cam", "odam", "ssgrad_cam"])
def test_the_scale_of_the_score_does_not_matter(layer, name, factor):
    activations, gradients = layer
    maps = getattr(_maps, name)
    torch.testing.assert_close(
        normalised(maps(activations, factor * gradients)), normalised(maps(activations, gradients))
    )


def test_the_scale_of_the_score_matters_to_alpha(layer):
    activations, gradients = layer
    maps = _maps.ssgrad_cam_plus_plus
    steep, flat = (normalised(maps(activations, c * gradients)) for c in (10.0, 0.1))
    assert (steep - flat).abs().max() > 0.02


@pytest.mark.parametrize("name", ["grad_cam_plus_plus", "ssgrad_cam_plus_plus"])
def test_units_of_the_activations_do_not_matter(layer, name):
    """Activations times c with gradients divided by c: the same network in other units."""
    activations, gradients = layer
    maps = getattr(_maps, name)
    torch.testing.assert_close(
        normalised(maps(1e3 * activations, gradients / 1e3)),
        normalised(maps(activations, gradients)),
    )


@pytest.mark.parametrize("signed", ["split", "as_is"])
def test_without_mask_and_space_map_it_is_grad_cam_plus_plus(layer, signed, monkeypatch):
    activations, gradients = layer
    monkeypatch.setattr(_maps, "space_map", lambda g, smoothing: torch.ones_like(g))
    torch.testing.assert_close(
        _maps.ssgrad_cam_plus_plus(activations.relu(), gradients, signed_activations=signed),
        _maps.grad_cam_plus_plus(activations.relu(), gradients),
    )


def test_ssgrad_cam_is_grad_cam_times_the_space_map(layer):
    activations, gradients = layer
    torch.testing.assert_close(
        _maps.ssgrad_cam(activations, gradients),
        _maps.grad_cam(activations, gradients) * _maps.space_map(gradients),
    )


@pytest.mark.parametrize("masked", [False, True], ids=["no mask", "mask"])
def test_after_a_relu_splitting_changes_nothing(layer, masked):
    activations, gradients = layer
    mask = None
    if masked:
        mask = torch.zeros(2, 1, 5, 6, dtype=torch.bool)
        mask[..., 1:4, 2:5] = True
    split, as_is = (
        _maps.ssgrad_cam_plus_plus(activations.relu(), gradients, mask, signed_activations=kind)
        for kind in ("split", "as_is")
    )
    assert torch.equal(split, as_is)


def test_splitting_does_not_depend_on_the_sign_convention(layer):
    """A layer and its negative are the same evidence; the literal formula disagrees."""
    activations, gradients = layer
    maps = _maps.ssgrad_cam_plus_plus
    torch.testing.assert_close(maps(activations, gradients), maps(-activations, -gradients))
    literal = [
        maps(sign * activations, sign * gradients, signed_activations="as_is") for sign in (1, -1)
    ]
    assert not torch.allclose(*literal)


@pytest.mark.parametrize(
    "name", ["grad_cam", "grad_cam_plus_plus", "odam", "ssgrad_cam", "ssgrad_cam_plus_plus"]
)
def test_examples_and_channels_do_not_mix(layer, name):
    activations, gradients = layer
    maps = getattr(_maps, name)
    together = maps(activations, gradients)
    alone = maps(activations[1:, 2:3], gradients[1:, 2:3])
    torch.testing.assert_close(together[1:, 2:3], alone)


@pytest.mark.parametrize(
    "name", ["grad_cam", "grad_cam_plus_plus", "odam", "ssgrad_cam", "ssgrad_cam_plus_plus"]
)
def test_mirroring_the_layer_mirrors_the_map(layer, name):
    activations, gradients = layer
    maps = getattr(_maps, name)
    torch.testing.assert_close(
        maps(activations.flip(-1), gradients.flip(-1)), maps(activations, gradients).flip(-1)
    )


def test_cells_outside_the_mask_do_not_enter_the_weights(layer):
    activations, gradients = layer
    mask = torch.zeros(1, 1, 5, 6, dtype=torch.bool)
    mask[..., :2, :2] = True
    before = _maps.plus_plus_weights(activations, gradients, mask)
    changed = torch.where(mask, activations, 100.0 * activations)
    slopes = torch.where(mask, gradients, -gradients)
    torch.testing.assert_close(_maps.plus_plus_weights(changed, slopes, mask), before)
