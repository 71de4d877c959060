from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from captum_ssgc.visualization import blend


def pixels(image: Tensor) -> np.ndarray:
    return image[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize(
    "heat", [torch.zeros(60, 80), -torch.rand(60, 80)], ids=["zero", "negative"]
)
def test_without_influence_the_image_is_untouched(picture: Tensor, heat: Tensor) -> None:
    np.testing.assert_allclose(blend(picture, heat, mute=0.0), pixels(picture), atol=1e-7)


def test_mute_one_leaves_only_grey(picture: Tensor) -> None:
    grey = blend(picture, torch.zeros(60, 80), mute=1.0)
    assert np.ptp(grey, axis=2).max() < 1e-12
    np.testing.assert_allclose(grey[..., 0], pixels(picture) @ [0.2126, 0.7152, 0.0722], atol=1e-6)


def test_opacity_grows_with_the_value() -> None:
    image = torch.full((3, 1, 11), 0.5)
    heat = torch.linspace(0, 1, 11)[None]
    opaque = blend(image, heat, strength=1.0)[0]
    shift = np.abs(blend(image, heat, strength=0.8)[0] - 0.5).sum(1)
    full = np.abs(opaque - 0.5).sum(1)
    np.testing.assert_allclose(shift, 0.8 * full, atol=1e-12)
    assert full[0] == 0.0
    from_black = blend(torch.zeros(3, 1, 11), heat)[0].sum(1)
    assert (np.diff(from_black) > 0).all()


def test_the_object_stays_visible_below_the_strongest_pixel() -> None:
    """Two shades of the object differ by (1 - strength) of their difference."""
    image = torch.tensor([0.2, 0.8]).expand(3, 1, 2)
    mixed = blend(image, torch.ones(1, 2), strength=0.85)[0]
    np.testing.assert_allclose(mixed[1] - mixed[0], 0.15 * 0.6, atol=1e-6)


def test_scale_of_a_map_does_not_matter_unless_it_is_given(
    picture: Tensor, heat_map: Tensor
) -> None:
    np.testing.assert_allclose(blend(picture, heat_map), blend(picture, 1e-9 * heat_map), atol=1e-6)
    faint = blend(picture, 0.1 * heat_map, maximum=1.0)
    assert np.abs(faint - blend(picture, heat_map)).max() > 0.1
    clipped = blend(picture, 5.0 * torch.ones(60, 80), maximum=1.0)
    np.testing.assert_allclose(clipped, blend(picture, torch.ones(60, 80)), atol=1e-12)


@pytest.mark.parametrize("shape", [(60, 80), (1, 60, 80), (1, 1, 60, 80)], ids=str)
def test_attributions_at_image_size_fit_as_they_are(
    picture: Tensor, heat_map: Tensor, shape: tuple[int, ...]
) -> None:
    mixed = blend(picture[0], heat_map.reshape(shape).requires_grad_())
    np.testing.assert_array_equal(mixed, blend(picture, heat_map))


@pytest.mark.parametrize(
    ("image", "heat", "options", "message"),
    [
        (torch.rand(2, 3, 4, 4), torch.rand(4, 4), {}, "image: expected shape"),
        (torch.rand(4, 4), torch.rand(4, 4), {}, "image: expected shape"),
        (torch.rand(3, 4, 4) * 255, torch.rand(4, 4), {}, "before normalisation"),
        (torch.full((3, 4, 4), float("nan")), torch.rand(4, 4), {}, "image: expected finite"),
        (torch.rand(3, 4, 4), torch.rand(2, 2), {}, "interpolate_mode='bilinear'"),
        (torch.rand(3, 4, 4), torch.full((4, 4), float("inf")), {}, "heat map: expected finite"),
        (torch.rand(3, 4, 4), torch.rand(4, 4), {"strength": 1.5}, "strength: expected"),
        (torch.rand(3, 4, 4), torch.rand(4, 4), {"mute": -0.1}, "mute: expected"),
        (torch.rand(3, 4, 4), torch.rand(4, 4), {"maximum": 0.0}, "maximum: expected"),
        (torch.rand(3, 4, 4), torch.rand(4, 4), {"floor": -0.1}, "floor: expected"),
        (torch.rand(3, 4, 4), torch.rand(4, 4), {"floor": 0.5, "maximum": 0.5}, "floor: expected"),
    ],
    ids=[
        *("batch", "grey", "bytes", "nan", "grid", "infinite", "strength", "mute"),
        *("maximum", "floor", "floor and maximum"),
    ],
)
def test_errors_say_what_to_do(
    image: Tensor, heat: Tensor, options: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        blend(image, heat, **options)


def test_nothing_is_drawn_up_to_the_floor() -> None:
    image = torch.full((3, 1, 5), 0.5)
    heat = torch.tensor([[0.125, 0.25, 0.5, 0.75, 1.0]])
    above = (heat - 0.25).clamp(min=0.0)
    np.testing.assert_array_equal(blend(image, heat, floor=0.25), blend(image, above))
    np.testing.assert_array_equal(blend(image, heat, floor=None), blend(image, heat - 0.125))


def test_the_scatter_around_a_raised_level_is_not_drawn() -> None:
    """As D-RISE's maps: noise around a level, and evidence above it."""
    noise = 0.6 + 0.04 * (2 * torch.rand(40, 50, generator=torch.Generator().manual_seed(0)) - 1)
    heat = noise.clone()
    heat[10:16, 20:26] = 1.0
    grey = torch.full((3, 40, 50), 0.5)
    changed = np.abs(blend(grey, heat, floor=None) - 0.5).max(2) > 0.02
    assert changed[10:16, 20:26].all()
    assert changed.sum() == 36
    assert (np.abs(blend(grey, heat) - 0.5).max(2) > 0.02).all()
