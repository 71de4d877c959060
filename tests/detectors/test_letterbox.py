from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from captum_ssgc.detectors import Letterbox

IMAGE = torch.rand(2, 3, 20, 50, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("options", "canvas", "content", "offset"),
    [
        ({"size": (40, 40)}, (40, 40), (16, 40), (0, 0)),
        ({"size": 40}, (40, 40), (16, 40), (0, 0)),
        ({"size": (40, 45), "centred": True}, (40, 45), (18, 45), (11, 0)),
        ({"size": (41, 33)}, (41, 33), (13, 33), (0, 0)),
        ({"size": (41, 37)}, (41, 37), (14, 37), (0, 0)),
        ({"size": (41, 37), "nearest": True}, (41, 37), (15, 37), (0, 0)),
        ({"size": (64, 30), "stretch": True}, (64, 30), (64, 30), (0, 0)),
        ({"size": None, "multiple": 32}, (32, 64), (20, 50), (0, 0)),
        ({"size": None, "multiple": 32, "centred": True}, (32, 64), (20, 50), (6, 7)),
        ({"size": (100, 100), "multiple": 32}, (64, 128), (40, 100), (0, 0)),
        ({"size": 100, "multiple": 1}, (40, 100), (40, 100), (0, 0)),
    ],
)
def test_where_the_image_lies(options, canvas, content, offset):
    fill = (0.25, 0.5, 0.75)
    given, geometry = Letterbox(fill=fill, **options)(IMAGE)
    assert tuple(given.shape) == (2, 3, *canvas)
    assert geometry.canvas_size == canvas
    assert geometry.image_size == (20, 50)
    assert geometry.offset == offset
    assert geometry.scale == (content[0] / 20, content[1] / 50)
    inside = given[..., offset[0] : offset[0] + content[0], offset[1] : offset[1] + content[1]]
    expected = F.interpolate(IMAGE, content, mode="bilinear") if content != (20, 50) else IMAGE
    assert torch.equal(inside, expected)
    padding = given.clone()
    padding[..., offset[0] : offset[0] + content[0], offset[1] : offset[1] + content[1]] = (
        torch.tensor(fill).reshape(3, 1, 1)
    )
    assert torch.equal(padding, torch.tensor(fill).reshape(3, 1, 1).expand_as(padding))


def test_colours_are_scaled_and_normalised_before_they_change_places():
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    letterbox = Letterbox((20, 60), fill=1.0, mean=mean, std=std, bgr=True)
    canvas, _ = letterbox(IMAGE)
    for place, channel in enumerate((2, 1, 0)):
        expected = (IMAGE[:, channel] - mean[channel]) / std[channel]
        torch.testing.assert_close(canvas[:, place, :, :50], expected)
        assert canvas[0, place, 0, 55].item() == pytest.approx((1 - mean[channel]) / std[channel])
    bytes_, _ = Letterbox((20, 60), value_range=255.0, mean=127.0, std=128.0)(IMAGE)
    torch.testing.assert_close(bytes_[..., :50], (IMAGE * 255 - 127) / 128)


def test_it_takes_any_number_of_channels():
    canvas, _ = Letterbox(None, multiple=32)(torch.rand(1, 4, 10, 10))
    assert tuple(canvas.shape) == (1, 4, 32, 32)
    with pytest.raises(ValueError, match=r"expected one number, or 4 \(one per channel\), got 3"):
        Letterbox(32, fill=(0, 0, 0))(torch.rand(1, 4, 10, 20))


def test_the_gradient_reaches_every_pixel():
    image = IMAGE.double().requires_grad_()
    letterbox = Letterbox((30, 33), centred=True, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    torch.autograd.gradcheck(lambda one: letterbox(one)[0], (image[:1, :, :4, :6].detach()
                                                             .requires_grad_(),))  # fmt: skip
    letterbox(image)[0].square().sum().backward()
    assert bool((image.grad != 0).all())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (0, 3)}, "expected positive numbers"),
        ({"size": None}, "or None together with multiple"),
        ({"size": None, "multiple": 32, "stretch": True}, "not stretch"),
        ({"size": 32, "multiple": 32, "stretch": True}, "leave multiple out"),
        ({"size": 32, "multiple": -1}, "expected positive numbers"),
    ],
)
def test_what_makes_no_canvas_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Letterbox(**options)


def test_a_batch_is_resized_as_torch_resizes_it():
    images = torch.rand(5, 3, 37, 50, generator=torch.Generator().manual_seed(2))
    canvas, _ = Letterbox((64, 32))(images)
    expected = F.interpolate(images, size=(23, 32), mode="bilinear", align_corners=False)
    assert torch.equal(canvas[:, :, :23], expected)


@pytest.mark.parametrize(
    ("letterbox", "text"),
    [
        (Letterbox(416, bgr=True, value_range=255), "416 x 416, top left, BGR 0 to 255"),
        (Letterbox((320, 640), centred=True), "320 x 640, centred, RGB 0 to 1"),
        (Letterbox(64, stretch=True), "64 x 64, stretched, RGB 0 to 1"),
        (
            Letterbox(None, multiple=32, mean=0.5, std=0.25),
            "padded to multiples of 32, top left, RGB 0 to 1, mean 0.5, std 0.25",
        ),
    ],
)
def test_it_says_itself_in_words(letterbox, text):
    assert str(letterbox) == text
