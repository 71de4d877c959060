from __future__ import annotations

import pytest
import torch

from captum_ssgc._probability import sigmoid_score, softmax_score, with_slopes_of


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


ROWS, LABELS = torch.tensor([0, 3, 7]), torch.tensor([2, 0, 6])


@pytest.mark.parametrize("scale", [3.0, 300.0])
@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
def test_scores_that_are_a_function_of_logits_have_its_exact_gradient(kind, scale):
    given = logits(scale).requires_grad_()
    scores = given.sigmoid() if kind == "sigmoid" else given.softmax(1)
    found = with_slopes_of(given, scores, ROWS, LABELS)
    assert torch.equal(found, scores[ROWS, LABELS])
    own = logits(scale).requires_grad_()
    exact = sigmoid_score(own[ROWS, LABELS])
    if kind == "softmax":
        exact = softmax_score(own[ROWS], LABELS)
    (expected,) = torch.autograd.grad(exact.sum(), own)
    assert torch.equal(torch.autograd.grad(found.sum(), given)[0], expected)
    assert (expected[ROWS, LABELS] > 0).all()


@pytest.mark.parametrize("columns", [1, 7])
def test_scores_of_another_kind_keep_their_own_gradient(columns):
    given = logits(3.0)[:, :columns].requires_grad_()
    labels = LABELS.clamp(max=columns - 1)
    scores = given.sigmoid() * torch.linspace(0.1, 0.9, 40)[:, None]
    found = with_slopes_of(given, scores, ROWS, labels)
    (slopes,) = torch.autograd.grad(found.sum(), given, retain_graph=True)
    (expected,) = torch.autograd.grad(scores[ROWS, labels].sum(), given)
    assert torch.equal(slopes, expected)


def test_masked_classes_do_not_spoil_the_gradient():
    given = torch.tensor([[5.0, float("-inf")], [1.0, 2.0]], requires_grad=True)
    found = with_slopes_of(given, given.softmax(1), torch.tensor([0]), torch.tensor([0]))
    assert found.item() == 1.0
    assert torch.autograd.grad(found.sum(), given)[0].isfinite().all()
