"""Where eq. (10) comes from, and what it does to the weights.

The paper's score model (eq. 7) is ``Y = sum_k w_k sum_ij A^k_ij M_ij`` with, from eq. (6),
``w_k = sum_ab alpha^k_ab dY/dA^k_ab``, the ReLU dropped where the gradient is positive. Hold alpha
fixed, and let ``d^n`` be the n-th derivative of ``Y`` by one ``A_ij`` alone (mixed derivatives are
left out, as in Grad-CAM++). By the product rule

    d^1 = w M_ij + alpha_ij d^2 sum_ab A_ab M_ab,
    d^2 = 2 alpha_ij d^2 M_ij + alpha_ij d^3 sum_ab A_ab M_ab,

because ``w`` changes with ``A_ij`` by ``alpha_ij d^2``. The second line, solved for alpha, is
eq. (10): ``alpha_ij = d^2 / (2 d^2 M_ij + d^3 sum_ab A_ab M_ab)``.
"""

from __future__ import annotations

import numpy as np
import pytest
import references
import torch
from torch import nn

from captum_ssgc.attr import _maps


def derivatives(function, activations):
    """First, second and third derivative of a scalar by each activation alone."""
    point = activations.clone().requires_grad_()
    first = torch.autograd.grad(function(point), point, create_graph=True)[0]
    second, third = torch.zeros_like(point), torch.zeros_like(point)
    for place, slope in zip(np.ndindex(*point.shape), first.reshape(-1)):
        bend = torch.autograd.grad(slope, point, create_graph=True)[0][place]
        second[place] = bend.detach()
        third[place] = torch.autograd.grad(bend, point, retain_graph=True)[0][place]
    return first.detach(), second.detach(), third.detach()


@pytest.fixture
def head():
    """A ReLU network from activations ``(1, 3, 3, 2)`` to one logit."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(30, 8),
        nn.ReLU(),
        nn.Linear(8, 1),
    ).double()


@pytest.mark.parametrize("masked", [False, True], ids=["no mask", "mask"])
def test_alpha_is_eq_10_with_derivatives_from_autograd(head, masked):
    activations = torch.rand(1, 3, 3, 2, dtype=torch.float64)
    mask = torch.ones(1, 1, 3, 2, dtype=torch.bool)
    if masked:
        mask[..., :2, 0] = False
    _, second, third = derivatives(lambda a: head(a).exp().sum(), activations)
    slope = derivatives(lambda a: head(a).sum(), activations)[0]
    ours = _maps.plus_plus_alpha(_maps.WholeGrid(activations, mask).total, slope, mask)
    needed = (slope > 0) & mask
    assert needed.sum() >= 4
    for k in range(3):
        literal = references.alpha_of_derivatives(
            second[0, k].numpy(), third[0, k].numpy(), activations[0, k].numpy(), mask[0, 0].numpy()
        )
        chosen = needed[0, k].numpy()
        np.testing.assert_allclose(ours[0, k].numpy()[chosen], literal[chosen], rtol=1e-10)
        assert (ours[0, k].numpy()[~mask[0, 0].numpy()] == 0).all()


def test_the_product_rule_behind_eq_10():
    """With alpha and the model of eq. (7) both sides of the two lines above agree, numerically."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(3, 2, generator=generator, dtype=torch.float64)
    activations = torch.rand(3, 2, generator=generator, dtype=torch.float64)
    mask = torch.tensor([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    alpha = torch.rand(3, 2, generator=generator, dtype=torch.float64)

    def slope_of(a):  # dY/dA as a separable function: its own cell only, as eq. (10) assumes
        return (weights * a).exp()

    def model(a):
        return (alpha * slope_of(a)).sum() * (a * mask).sum()

    _, second, _ = derivatives(model, activations)
    d2 = weights * slope_of(activations)
    d3 = weights**2 * slope_of(activations)
    total = (activations * mask).sum()
    torch.testing.assert_close(second, alpha * (2 * d2 * mask + total * d3), rtol=1e-10, atol=0)


def test_for_a_probability_the_powers_are_an_approximation(head):
    """``Y = exp(p)`` is not piecewise exponential, so Y g^2 is not its second derivative."""
    activations = torch.rand(1, 3, 3, 2, dtype=torch.float64)
    slope, _, _ = derivatives(lambda a: head(a).sigmoid().sum(), activations)
    value = head(activations).sigmoid().exp()
    _, second, _ = derivatives(lambda a: head(a).sigmoid().exp().sum(), activations)
    assert not torch.allclose(second, value * slope**2, rtol=0.01, atol=0)
    logit_slope, _, _ = derivatives(lambda a: head(a).sum(), activations)
    _, exact, _ = derivatives(lambda a: head(a).exp().sum(), activations)
    torch.testing.assert_close(exact, head(activations).exp() * logit_slope**2)


@pytest.mark.parametrize(
    ("gradient", "remaining"),
    [(1e-3, 15.88), (0.1, 9.33), (1.0, 8 / 3), (10.0, 1.185)],
    ids=["g=0.001", "g=0.1", "g=1", "g=10"],
)
def test_equal_evidence_on_different_areas(gradient, remaining):
    """The paper's motivation: 16 cells against 1 cell, the same activation and gradient in each.

    SSGrad-CAM's weights follow the area, 16 to 1. With alpha the ratio becomes
    ``16 (2 + g) / (2 + 16 g)``: near 1 for a steep score such as a logit, and still near 16 for
    the tiny gradients of a saturated probability, where alpha is 1/2 everywhere.
    """
    activations = torch.zeros(1, 2, 8, 8, dtype=torch.float64)
    activations[0, 0, :4, :4] = 1.0
    activations[0, 1, 6, 6] = 1.0
    gradients = gradient * activations
    wide, narrow = _maps.mean_weights(gradients)[0, :, 0, 0].tolist()
    assert wide / narrow == pytest.approx(16.0)
    wide, narrow = _maps.plus_plus_weights(activations, gradients)[0, :, 0, 0].tolist()
    assert wide / narrow == pytest.approx(16 * (2 + gradient) / (2 + 16 * gradient))
    assert wide / narrow == pytest.approx(remaining, rel=1e-3)
