"""A geometry that is wrong about where an image lies on the canvas is refused."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from robustness.subjects import Quarters

import captum_ssgc as ssgc
from captum_ssgc.detectors import CandidateDetector, Letterbox
from captum_ssgc.geometry import ImageGeometry

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


def tight(images):
    """Cuts the black borders of a film away, then makes it as large as the network sees it."""
    rows, columns = (images.amax((0, 1, axis)).nonzero()[:, 0] for axis in (3, 2))
    top, left = int(rows[0]), int(columns[0])
    inner = images[..., top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]
    scale = (16 / inner.shape[-2], 16 / inner.shape[-1])
    size = (images.shape[-2], images.shape[-1])
    geometry = ImageGeometry(size, (16, 16), scale, (-top * scale[0], -left * scale[1]))
    return F.interpolate(inner, (16, 16), mode="bilinear"), geometry


def quarters_behind(preprocess):
    settings = {"level_layers": ["act"], "score_threshold": 0.0, "iou_threshold": 1.0}
    return CandidateDetector(Quarters(), preprocess=preprocess, **settings)


def test_a_place_that_depends_on_what_an_image_shows_has_boxes_and_no_maps():
    detector = quarters_behind(tight)
    film = torch.zeros(1, 3, 24, 16)
    film[..., 4:20, :] = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(4))
    found = detector.detect(film)[0]
    inner = quarters_behind(None).detect(film[..., 4:20, :])[0]
    assert torch.allclose(found.scores, inner.scores)
    ends = inner.boxes[:, 2:] + torch.tensor([0.0, 4.0])  # others are clipped where the inner ends
    assert torch.allclose(found.boxes[:, 2:], ends, atol=1e-5)
    for method in ("odam", "ssgrad-cam++"):
        with pytest.raises(ValueError, match="preprocess lays images of one size in different"):
            ssgc.explain(detector, film, method, score_threshold=0.0)
    options = {"d-rise": {"n_masks": 2}}
    ssgc.explain(detector, film, "d-rise", score_threshold=0.0, method_options=options)


def test_a_transform_that_looks_at_the_image(faster_rcnn):
    model = copy.deepcopy(faster_rcnn)
    resize = model.transform.resize
    model.transform.resize = lambda image, target: resize(
        image[..., : 75 if image.mean() > 0.0 else 60, :], target
    )
    images = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(4)) * 0.7
    with pytest.raises(ValueError, match="GeneralizedRCNNTransform lays images of one size in d"):
        ssgc.explain(model, images, score_threshold=0.0, top_k=1)


def test_maps_follow_a_preprocess_that_is_changed():
    class Resized:
        size = 16

        def __call__(self, images):
            return Letterbox((self.size, 16), centred=True)(images)

    def heat_map(detector):
        image = torch.rand(1, 3, 24, 16, generator=torch.Generator().manual_seed(4))
        return ssgc.explain(detector, image, "odam", score_threshold=0.0, top_k=1)[0].heat_map

    changed = Resized()
    detector = quarters_behind(changed)
    before = heat_map(detector)
    changed.size = 32
    assert torch.equal(heat_map(detector), heat_map(quarters_behind(changed)))
    changed.size = 16
    assert torch.equal(heat_map(detector), before)
