from __future__ import annotations

import pytest
import torch

import captum_ssgc as ssgc


def picture(height: int = 40, width: int = 60) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def setup(blobs):
    detector = ssgc.wrap_detector(blobs)
    image = picture()
    return detector, detector.detect(image)[0], image


def test_the_same_candidates_are_scored_on_every_image(setup):
    """Perturbed images may leave [0, 1], and may change which candidate is best."""
    detector, detections, image = setup
    batch = torch.cat([image, 1 - image, image * 3 - 1])
    values = ssgc.InstanceScoreWrapper(detector, detections)(batch)
    _, scores = detector.model(batch)
    assert torch.equal(values, scores[:, detections.candidates, detections.labels])


def test_it_builds_a_graph_only_where_asked(setup):
    detector, detections, image = setup
    wrapper = ssgc.InstanceScoreWrapper(detector, detections)
    with torch.no_grad():
        assert not wrapper(image.clone().requires_grad_()).requires_grad
    assert not wrapper(image).requires_grad
    assert wrapper(image.clone().requires_grad_()).requires_grad


def test_several_reference_images(setup):
    detector, first, image = setup
    second = first[[2]]
    wrapper = ssgc.InstanceScoreWrapper(detector, [first, second])
    values = wrapper(image.repeat(3, 1, 1, 1), torch.tensor([1, 0, 1]))
    assert values.shape == (3, len(first))
    torch.testing.assert_close(values[1], first.scores)
    assert values[0, 0] == values[2, 0] == first.scores[2]
    assert values[0, 1:].isnan().all()


def test_a_missing_column_cannot_be_targeted(setup):
    detector, first, image = setup
    wrapper = ssgc.InstanceScoreWrapper(detector, [first, first[[2]]])
    cam = ssgc.SSGradCAMPlusPlus(wrapper, detector.model.fine)
    batch = image.repeat(2, 1, 1, 1)
    with pytest.raises(IndexError, match=r"target 1 of example 1 .* has 1 detections"):
        cam.attribute(batch, target=1, additional_forward_args=torch.tensor([0, 1]))


def test_the_model_is_part_of_the_wrapper(faster_rcnn, image):
    detector = ssgc.wrap_detector(faster_rcnn)
    wrapper = ssgc.InstanceScoreWrapper(detector, detector.detect(image)[0])
    assert faster_rcnn.backbone in set(wrapper.modules())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (lambda d, f: (d.model, f), TypeError, "expected a Detector, got Blobs; use captum_ssgc"),
        (lambda d, f: (d, f.boxes), TypeError, "expected Detections or a list"),
        (lambda d, f: (d, f[[]]), ValueError, "no detection to score"),
        (lambda d, f: (d, f, "probability"), ValueError, "got 'probability'"),
    ],
)
def test_bad_arguments_are_named(setup, arguments, error, message):
    detector, detections, _ = setup
    with pytest.raises(error, match=message):
        ssgc.InstanceScoreWrapper(*arguments(detector, detections))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (None, "2 reference images: pass additional_forward_args"),
        (torch.tensor([0]), "expected 2 entries, got 1"),
        (torch.tensor([0, 2]), r"values in 0\.\.1"),
    ],
)
def test_a_bad_image_index_is_named(setup, index, message):
    detector, detections, image = setup
    wrapper = ssgc.InstanceScoreWrapper(detector, [detections, detections])
    with pytest.raises(ValueError, match=message):
        wrapper(image.repeat(2, 1, 1, 1), index)


def test_an_image_of_another_size_is_refused(setup):
    detector, detections, _ = setup
    with pytest.raises(ValueError, match=r"reference image's size \(40, 60\), got \(40, 64\)"):
        ssgc.InstanceScoreWrapper(detector, detections)(picture(40, 64))


def test_an_index_without_several_images_is_refused(setup):
    detector, detections, image = setup
    with pytest.raises(ValueError, match="several reference images"):
        ssgc.InstanceScoreWrapper(detector, detections)(image, 0)
