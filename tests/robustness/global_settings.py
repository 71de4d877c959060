"""What can be set for all of PyTorch, and that a result is the same under it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor


@contextmanager
def default_device(name: str) -> Iterator[None]:
    torch.set_default_device(name)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def without_gradients() -> Iterator[None]:
    torch.set_grad_enabled(False)
    try:
        yield
    finally:
        torch.set_grad_enabled(True)


SETTINGS: dict[str, Callable[[], object]] = {
    "default device meta": lambda: default_device("meta"),
    "default dtype float64": lambda: default_dtype(torch.float64),
    "default dtype bfloat16": lambda: default_dtype(torch.bfloat16),
    "deterministic": deterministic,
    "anomaly detection": lambda: torch.autograd.set_detect_anomaly(True),
    "gradients off": without_gradients,
    "inference mode": torch.inference_mode,
}
# The others are tried by slow tests only, where one of these takes long.
TELLING = ("default device meta", "default dtype float64", "inference mode")
each_setting = pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS.keys())
each_telling_setting = pytest.mark.parametrize(
    "setting",
    [
        pytest.param(setting, marks=[] if name in TELLING else pytest.mark.slow)
        for name, setting in SETTINGS.items()
    ],
    ids=SETTINGS.keys(),
)


def same(found: Tensor, expected: Tensor) -> None:
    """To the last digit but three of the peak; and of the same kind."""
    found, expected = found.detach(), expected.detach()
    assert (found.dtype, found.device) == (expected.dtype, expected.device)
    if not found.is_floating_point():
        assert torch.equal(found, expected)
        return
    torch.testing.assert_close(
        found, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()), equal_nan=True
    )
