from __future__ import annotations

import base64
import zlib

import pytest
import torch

from captum_ssgc.benchmark.small_maps import packed, unpacked


def smooth(height, width):
    y, x = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 4, width), indexing="ij")
    return torch.sin(y) ** 2 * torch.cos(x) ** 2


@pytest.mark.parametrize("size", [(480, 640), (30, 40), (1, 700), (7, 1)])
def test_a_smooth_map_comes_back(size):
    heat_map = smooth(*size)
    text = packed(3.0 * heat_map)
    assert len(text) < 4000
    again = unpacked(text, size)
    assert again.shape == size
    assert float((again - heat_map / heat_map.max().clamp(min=1e-9)).abs().max()) < 0.06


def test_what_is_no_energy_is_empty():
    heat_map = torch.tensor([[-1.0, float("nan")], [float("inf"), float("-inf")]])
    assert not unpacked(packed(heat_map), (2, 2)).any()


@pytest.mark.parametrize(
    "text",
    ["", "?", base64.b64encode(b"no zlib").decode(),
     base64.b64encode(zlib.compress(bytes([2, 2, 0]))).decode(),
     base64.b64encode(zlib.compress(bytes([0, 0]))).decode()],
)  # fmt: skip
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match="small map"):
        unpacked(text, (4, 4))
