"""What layers gave, whatever is done with it afterwards."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from captum_ssgc.attr._capture import capturing
from captum_ssgc.attr._lazy_copies import is_lazy

ROWS = torch.arange(12.0).view(1, 3, 2, 2)


class OfNumPy(nn.Module):
    """Gives memory that is not PyTorch's, which cannot be copied when it is first written to."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.from_numpy(np.asarray(images).copy())


@pytest.mark.parametrize("with_graph", [True, False])
@pytest.mark.parametrize("layer", [nn.Identity(), nn.Conv2d(3, 3, 1), OfNumPy()], ids=str)
@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.mul_(-2.0),
        lambda value: value[:, 1].zero_(),
        lambda value: value.detach().numpy().fill(7.0),
    ],
    ids=["in place", "a part", "behind PyTorch's back"],
)
def test_what_follows_cannot_change_what_was_captured(layer, change, with_graph) -> None:
    with torch.no_grad():
        expected = layer(ROWS).clone()
    with capturing(layer, [layer], with_graph=with_graph) as capture:
        value = layer(ROWS.clone())
        change(value)
    [found] = capture.tensors(lambda module: "it", lambda: "")
    assert torch.equal(found.detach(), expected)
    assert found.requires_grad == with_graph
    assert not torch.equal(value.detach(), expected)


@pytest.mark.parametrize("channels", [3, 80])
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_convolution_behind_a_layer_makes_no_copy_of_it(kernel, channels) -> None:
    layer, behind = nn.Identity(), nn.Conv2d(channels, 4, kernel)
    with capturing(layer, [layer]) as capture:
        value = layer(torch.rand(1, channels, 20, 20))
        given = behind(value)
    [found] = capture.tensors(lambda module: "it", lambda: "")
    assert is_lazy(value)
    assert torch.equal(given, behind(found.detach()))


def test_a_graph_starts_at_what_was_captured() -> None:
    layer = nn.Identity()
    with capturing(layer, [layer]) as capture:
        value = layer(ROWS).relu_() * 3.0
    [found] = capture.tensors(lambda module: "it", lambda: "")
    (slope,) = torch.autograd.grad(value.sum(), found)
    assert torch.equal(slope, 3.0 * (ROWS > 0))
