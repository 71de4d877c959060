from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from captum_ssgc.detectors import Letterbox


@pytest.mark.parametrize("bgr", [False, True], ids=["rgb", "bgr"])
@pytest.mark.parametrize("value_range", [1.0, 255.0])
@pytest.mark.parametrize("centred", [False, True], ids=["top left", "centred"])
def test_the_canvas_is_resized_padded_swapped_and_scaled(bgr, value_range, centred):
    images = torch.rand(2, 3, 15, 20, requires_grad=True)
    letterbox = Letterbox((41, 32), centred=centred, bgr=bgr, value_range=value_range)
    canvas, _ = letterbox(images)
    resized = F.interpolate(images, size=(24, 32), mode="bilinear", align_corners=False)
    top = 8 if centred else 0
    expected = F.pad(resized, (0, 0, top, 17 - top), value=letterbox.fill)
    expected = (expected.flip(1) if bgr else expected) * value_range
    assert torch.equal(canvas, expected)
    weights = torch.rand_like(canvas)
    (ours,) = torch.autograd.grad((canvas * weights).sum(), images)
    (theirs,) = torch.autograd.grad((expected * weights).sum(), images)
    assert torch.equal(ours, theirs)


def test_an_image_of_the_canvas_size_is_not_changed_in_place():
    images = torch.rand(1, 3, 8, 8)
    before = images.clone()
    canvas, _ = Letterbox((8, 8))(images)
    canvas += 1.0
    assert torch.equal(images, before)
