"""Convolutions that go back from what is not zero: PyTorch's own, to the last digits."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from captum_ssgc.attr._capture import ConstantParameters
from captum_ssgc.attr._sparse_convolution import convolution


def a_case(seed: int) -> tuple[Tensor, dict[str, object]]:
    chance = random.Random(seed)
    groups = chance.choice([1, 2, 4])
    channels = groups * chance.choice([8, 16, 32])
    kernel = (chance.choice([1, 2, 3, 5]), chance.choice([1, 3]))
    torch.manual_seed(seed)
    size = (chance.choice([1, 2]), channels, chance.randint(11, 20), chance.randint(11, 20))
    outputs = groups * chance.choice([1, 4])
    options = {
        "weight": torch.randn(outputs, channels // groups, *kernel, dtype=torch.float64),
        "bias": chance.choice([None, torch.randn(outputs, dtype=torch.float64)]),
        "stride": chance.choice([1, 2, (2, 1)]),
        "padding": chance.choice([0, 1, 2, (1, 0), "valid"]),
        "dilation": chance.choice([1, 2, (1, 2)]),
        "groups": groups,
    }
    return torch.randn(size, dtype=torch.float64, requires_grad=True), options


def at_some_cells(output: Tensor, count: int, seed: int) -> Tensor:
    chance = random.Random(seed)
    gradient = torch.zeros_like(output)
    for _ in range(count):
        row, column = (chance.randrange(size) for size in output.shape[-2:])
        gradient[:, :, row, column] = torch.randn(output.shape[:2], dtype=output.dtype)
    return gradient


@pytest.mark.parametrize("cells", [0, 1, 2, 60])
@pytest.mark.parametrize("seed", range(30))
def test_value_and_gradient_are_pytorchs(seed: int, cells: int) -> None:
    images, options = a_case(seed)
    expected, found = torch.conv2d(images, **options), convolution(images, **options)  # type: ignore[arg-type]
    assert torch.equal(found, expected)
    gradient = at_some_cells(expected, cells, seed)
    wanted = torch.autograd.grad(expected, images, gradient)[0]
    torch.testing.assert_close(torch.autograd.grad(found, images, gradient)[0], wanted)


def test_a_second_derivative_goes_through_it() -> None:
    images = torch.randn(1, 16, 9, 9, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 16, 3, 3, dtype=torch.float64)

    def second(run: object) -> Tensor:
        value = run(images, weight, None, 1, 1)[0, 1, 4, 4].sin()  # type: ignore[operator]
        (first,) = torch.autograd.grad(value, images, create_graph=True)
        return torch.autograd.grad(first.square().sum(), images)[0]

    torch.testing.assert_close(second(convolution), second(torch.conv2d))


def test_half_precision_of_the_callers_choice() -> None:
    images = torch.randn(1, 32, 12, 12, requires_grad=True)
    layer = torch.nn.Conv2d(32, 8, 3, padding=1)
    with torch.autocast("cpu", torch.bfloat16):
        expected = layer(images)
        with ConstantParameters():
            found = layer(images)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected)
    wanted, got = (
        torch.autograd.grad(output[0, 3, 5, 5], images)[0] for output in (expected, found)
    )
    torch.testing.assert_close(got, wanted)


def test_parameters_stay_constants_on_this_way() -> None:
    layer = torch.nn.Conv2d(16, 4, 3)
    images = torch.randn(1, 16, 8, 8, requires_grad=True)
    with ConstantParameters():
        layer(images).sum().backward()
    assert images.grad is not None
    assert layer.weight.grad is None


@pytest.mark.parametrize("images", [torch.randn(16, 8, 8), torch.randn(1, 16, 8, 8)])
def test_without_a_batch_or_a_graph(images: Tensor) -> None:
    weight = torch.randn(4, 16, 3, 3)
    assert torch.equal(convolution(images, weight), torch.conv2d(images, weight))
