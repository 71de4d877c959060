"""A gradient that float16 cannot hold arrives in float32."""

from __future__ import annotations

import pytest
import torch

from captum_ssgc.attr._half_gradients import gradients_of


def value_of(tensor, factor):
    """The gradient is ``factor`` squared, after having been ``factor`` in the tensor's type."""
    return ((tensor * factor).float() * factor).sum()


@pytest.mark.parametrize(("factor", "expected"), [(3.0, 9.0), (300.0, 9e4), (3000.0, 9e6)])
def test_what_overflows_goes_back_smaller(factor, expected):
    tensor = torch.ones(2, dtype=torch.float16, requires_grad=True)
    (slope,) = gradients_of(value_of(tensor, factor), [tensor], {})
    assert slope.dtype == torch.float32
    torch.testing.assert_close(slope, torch.full((2,), expected), rtol=2e-3, atol=0.0)


def test_what_no_shift_can_hold_stays_as_it_is():
    tensor = torch.ones(1, dtype=torch.float16, requires_grad=True)
    (slope,) = gradients_of(value_of(tensor * 6e4, 6e4), [tensor], {})
    assert not torch.isfinite(slope).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_other_types_are_left_alone(dtype):
    tensor = torch.ones(2, dtype=dtype, requires_grad=True)
    unused = torch.ones(1, dtype=dtype, requires_grad=True)
    slopes = gradients_of(value_of(tensor, 4.0), [tensor, unused], {"allow_unused": True})
    assert slopes[0].dtype == dtype
    assert slopes[0].tolist() == [16.0, 16.0]
    assert slopes[1] is None
