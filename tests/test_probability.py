from __future__ import annotations

import pytest
import torch

from captum_ssgc._probability import sigmoid_score, softmax_score


def logits(scale: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(40, 7, generator=generator) * scale


@pytest.mark.parametrize("scale", [0.1, 3.0, 30.0])
def test_values_are_the_plain_ones(scale):
    labels = torch.arange(40) % 7
    found = softmax_score(logits(scale), labels)
    expected = logits(scale).softmax(1)[torch.arange(40), labels]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(sigmoid_score(logits(scale)), logits(scale).sigmoid())


@pytest.mark.parametrize("scale", [0.1, 3.0, 30.0])
def test_gradients_in_float32_are_those_of_float64(scale):
    labels = logits(scale).argmax(1)
    single = logits(scale).requires_grad_()
    (found,) = torch.autograd.grad(softmax_score(single, labels).sum(), single)
    double = logits(scale).double().requires_grad_()
    # p (1 - p) itself needs more than float64 for large logits: take the log-odds' form
    others = double.scatter(1, labels[:, None], float("-inf")).logsumexp(1)
    odds = double.gather(1, labels[:, None])[:, 0] - others
    slope = torch.sigmoid(odds) * torch.sigmoid(-odds)
    (expected,) = torch.autograd.grad((odds * slope.detach()).sum(), double)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-37)


def test_a_score_that_rounds_to_one_keeps_its_gradient():
    certain = torch.tensor([[30.0, 0.0, 1.0]], requires_grad=True)
    score = softmax_score(certain, torch.tensor([0]))
    assert score.item() == 1.0
    (slope,) = torch.autograd.grad(score.sum(), certain)
    assert torch.all(slope != 0)
    (plain,) = torch.autograd.grad(certain.softmax(1)[0, 0], certain)
    assert plain[0, 0] == 0  # what the plain softmax gives
