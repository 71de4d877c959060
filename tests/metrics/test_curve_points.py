"""Changed images are ``torch.where`` of two images, to the last bit."""

from __future__ import annotations

import pytest
import torch

from captum_ssgc.metrics._curve_points import _mix

FULL, HALF, DOUBLE = torch.float32, torch.float16, torch.float64


@pytest.mark.parametrize(
    ("before", "after"), [(FULL, FULL), (HALF, HALF), (DOUBLE, DOUBLE), (FULL, DOUBLE)], ids=str
)
def test_pixels_are_those_of_one_image_or_the_other(before, after):
    generator = torch.Generator().manual_seed(0)
    turned = torch.rand(5, 7, generator=generator) < 0.5
    old = torch.randn(3, 5, 7, generator=generator).to(before)
    new = torch.tensor([-0.0, float("inf"), 0.3]).to(after)[:, None, None].expand(3, 5, 7)
    old[1, 0] = float("nan")
    stack = torch.full((2, 3, 5, 7), 9.0, dtype=torch.promote_types(before, after))
    _mix(turned, new, old, stack[1])
    for channel, y, x in torch.cartesian_prod(*map(torch.arange, (3, 5, 7))).tolist():
        source = new if bool(turned[y, x]) else old
        expected, found = source[channel, y, x].to(stack.dtype), stack[1, channel, y, x]
        assert torch.equal(expected, found) or bool(expected.isnan() & found.isnan())
        assert torch.signbit(expected) == torch.signbit(found)
    assert bool((stack[0] == 9.0).all())
