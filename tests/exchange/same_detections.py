"""What every format keeps of detections."""

from __future__ import annotations

import torch

from captum_ssgc import Detections

SIZE = (20, 30)


def assert_same(got: Detections, expected: Detections) -> None:
    """What any format keeps."""
    for name in ("boxes", "labels", "scores"):
        assert torch.equal(getattr(got, name), getattr(expected, name)), name
    assert got.image_size == expected.image_size
    assert got.candidates.tolist() == [-1] * len(expected)
