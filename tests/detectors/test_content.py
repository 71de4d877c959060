"""A geometry that is wrong about where an image lies on the canvas is refused."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import captum_ssgc as ssgc
from captum_ssgc.detectors import CandidateDetector, Letterbox

SIZE = (75, 101)


def test_a_transform_that_pads_in_the_middle(faster_rcnn):
    """Whatever becomes of the boxes, maps would be drawn elsewhere."""
    model = copy.deepcopy(faster_rcnn)
    batch = model.transform.batch_images
    model.transform.batch_images = lambda images, size_divisible=32: batch(
        images, size_divisible
    ).roll(8, 3)
    with pytest.raises(ValueError, match=r"GeneralizedRCNNTransform puts an image of 75 x 1"):
        ssgc.wrap_detector(model).geometry(SIZE)


@pytest.mark.parametrize("with_mask", [True, False])
def test_a_processor_that_pads_in_the_middle(build_family, with_mask):
    """A pixel mask says where the image is; without one there is only what can be seen."""
    inner = build_family("transformers", "detr").detector
    detector = ssgc.wrap_detector(inner.model, processor=inner.processor)
    original = detector.preprocess.processor

    class Centred:
        do_rescale = original.do_rescale
        to_json_string = original.to_json_string

        def __call__(self, **inputs):
            batch = original(**inputs)
            batch["pixel_values"] = batch["pixel_values"].roll(16, 2)
            batch["pixel_mask"] = batch["pixel_mask"].roll(16, 1) if with_mask else None
            return batch

    expected = inner.geometry(SIZE)
    assert expected.canvas_size == (128, 160)
    detector.preprocess.processor = Centred()
    if with_mask:
        assert detector.geometry(SIZE) == replace(expected, offset=(16.0, 0.0))
    else:
        with pytest.raises(ValueError, match=r"Centred puts .* the rows 16 to 112 of the"):
            detector.geometry(SIZE)


def own(change):
    box = torch.tensor([[[1.0, 1.0, 40.0, 40.0]]])
    return CandidateDetector(
        lambda canvas: (box.expand(len(canvas), 1, 4), torch.ones(len(canvas), 1, 1)),
        preprocess=lambda images: change(*Letterbox((96, 128), centred=True)(images)),
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda canvas, geometry: (canvas, replace(geometry, offset=(0.0, 0.0))),
        lambda canvas, geometry: (canvas, replace(geometry, scale=(1.0, 1.0))),
        lambda canvas, geometry: (F.pad(canvas, (8, 0)), geometry),
    ],
    ids=["offset", "scale", "padding"],
)
def test_a_preprocess_of_your_own_that_is_wrong(change):
    with pytest.raises(ValueError, match=r"^preprocess puts an image of 60 x 101 pixels on the"):
        own(change).geometry((60, 101))


@pytest.mark.parametrize("size", [(60, 101), (101, 60), (96, 128), (7, 300)])
def test_a_preprocess_of_your_own_that_is_right(size):
    expected = Letterbox((96, 128), centred=True)(torch.zeros(1, 3, *size))[1]
    detector = own(lambda canvas, geometry: (canvas, geometry))
    assert detector.geometry(size) == expected
    normalised = own(lambda canvas, geometry: (canvas - canvas.mean((2, 3), True), geometry))
    assert normalised.geometry(size) == expected
    rounding = torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(0)) * 1e-6
    rounded = own(lambda canvas, geometry: (canvas + rounding, geometry))
    assert rounded.geometry(size) == expected


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1)])
def test_an_image_of_one_pixel_says_nothing(size):
    detector = own(lambda canvas, geometry: (canvas, geometry))
    assert detector.geometry(size).canvas_size == (96, 128)
