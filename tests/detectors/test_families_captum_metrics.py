"""Captum's infidelity and sensitivity of every layer method on every vendor's models."""

from __future__ import annotations

import pytest
import torch
from captum.metrics import infidelity, sensitivity_max

import captum_ssgc as ssgc

# The formulas differ in how they weigh, not in what they ask of a detector: the default suite
# takes one of them through all families.
METHODS = [
    ssgc.SSGradCAMPlusPlus,
    *(
        pytest.param(method, marks=pytest.mark.slow)
        for method in (ssgc.SSGradCAM, ssgc.ODAM, ssgc.GradCAMPlusPlus)
    ),
]
# With random weights a method may find nothing that raises a score, above all in a changed image.
pytestmark = pytest.mark.filterwarnings("ignore:.*all-zero map:UserWarning")


@pytest.fixture(scope="module", params=METHODS)
def method(request, family, picture):
    """A wrapper, a method on its detector, and the first detection whose map is not empty."""
    found = family.detector.detect(picture)[0]
    wrapper = ssgc.InstanceScoreWrapper(family.detector, found, "logit")
    for target in range(len(found)):
        cam = request.param(wrapper, family.detector.layer_for(found, target))
        if cam.attribute(picture, target=target).any():
            return wrapper, cam, target
    pytest.fail(f"no detection of {len(found)} has a map")


def test_infidelity_is_that_of_its_definition(method, picture):
    wrapper, cam, target = method
    heat = cam.attribute(picture, target=target, interpolate_mode="bilinear").expand_as(picture)
    noise = 0.1 * torch.randn(3, *picture.shape[1:], generator=torch.Generator().manual_seed(1))
    found = infidelity(
        wrapper,
        lambda images: (noise, images - noise),
        picture,
        heat,
        target=target,
        n_perturb_samples=3,
        normalize=True,
    )
    with torch.no_grad():
        change = wrapper(picture)[:, target] - wrapper(picture - noise)[:, target]
    named = (noise * heat).flatten(1).sum(1)
    scale = (named * change).sum() / named.square().sum()
    expected = (scale * named - change).square().mean()
    assert change.abs().max() > 0
    torch.testing.assert_close(found[0], expected, rtol=2e-3, atol=1e-6)


@pytest.mark.slow
def test_sensitivity_is_the_largest_relative_change(method, picture):
    _, cam, target = method
    noise = 0.02 * torch.randn(2, *picture.shape[1:], generator=torch.Generator().manual_seed(2))
    found = sensitivity_max(
        cam.attribute,
        picture,
        perturb_func=lambda images: (images[0] + noise,),
        n_perturb_samples=2,
        target=target,
    )
    plain = cam.attribute(picture, target=target)
    moved = [cam.attribute(picture + change, target=target) for change in noise.split(1)]
    expected = max(float((one - plain).norm() / plain.norm()) for one in moved)
    assert expected > 0
    assert found.item() == pytest.approx(expected, rel=1e-2)
