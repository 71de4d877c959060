"""What others wrote: pytorch-grad-cam on a classifier, xaitk-saliency's D-RISE on detectors."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch

import captum_ssgc as ssgc
from captum_ssgc._similarity import largest_of_each_image
from captum_ssgc.attr._random_masks import MaskShape
from captum_ssgc.attr.drise import similarity
from captum_ssgc.detectors import CandidateDetector


def normalised(maps):
    """As pytorch-grad-cam shows them: the positive part, from 0 to 1, per layer and again."""
    maps = np.maximum(maps, 0.0)
    for _ in range(2):
        maps = maps - maps.min((-2, -1), keepdims=True)
        maps = maps / (1e-7 + maps.max((-2, -1), keepdims=True))
    return maps


def their_maps(name, model, layer, images, target):
    package = pytest.importorskip("pytorch_grad_cam", reason="needs captum-ssgc[compare]")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with getattr(package, name)(model=model, target_layers=[layer]) as cam:
        cam.get_target_width_height = lambda images: None  # leave the map on the layer's grid
        return cam(input_tensor=images, targets=[ClassifierOutputTarget(target)] * len(images))


@pytest.fixture
def scaled(classifier):
    """The classifier with its logits times a factor."""

    def of(factor):
        with torch.no_grad():
            classifier[-1].weight.mul_(factor)
        return classifier

    return of


IMAGES = torch.rand(3, 3, 12, 10, generator=torch.Generator().manual_seed(5))


@pytest.mark.filterwarnings("ignore:.*all-zero map")
@pytest.mark.parametrize("target", range(5))
def test_grad_cam_is_pytorch_grad_cams(scaled, target):
    model = scaled(100.0)
    theirs = their_maps("GradCAM", model, model[1], IMAGES, target)
    ours = ssgc.GradCAM(model, model[1]).attribute(IMAGES, target=target).numpy()[:, 0]
    np.testing.assert_allclose(normalised(ours), theirs, atol=5e-6)


@pytest.mark.parametrize("target", range(5))
def test_grad_cam_plus_plus_is_pytorch_grad_cams_for_steep_scores(scaled, target):
    model = scaled(300.0)
    theirs = their_maps("GradCAMPlusPlus", model, model[1], IMAGES, target)
    ours = ssgc.GradCAMPlusPlus(model, model[1]).attribute(IMAGES, target=target).numpy()[:, 0]
    np.testing.assert_allclose(normalised(ours), theirs, atol=2e-4)


def test_their_epsilon_changes_flat_scores(scaled):
    """They add 1e-6 to the denominator of alpha, ``2 g^2 + g^3 sum A``, which is of the order g^2.

    Where g is near 1e-3 (a probability, or this classifier's logits divided by ten) the epsilon is
    no longer small beside it: channels of small gradients lose weight. The reduced form
    ``1 / (2 + g sum A)`` needs no epsilon. With it put into our formula, the two agree again.
    """
    model = scaled(0.1)
    theirs = their_maps("GradCAMPlusPlus", model, model[1], IMAGES, 2)
    ours = ssgc.GradCAMPlusPlus(model, model[1]).attribute(IMAGES, target=2).numpy()[:, 0]
    assert np.abs(normalised(ours) - theirs).max() > 0.01
    features = model[1](model[0](IMAGES)).detach().requires_grad_()
    logits = model[2:](features)[:, 2].sum()
    slope = torch.autograd.grad(logits, features)[0].double()
    assert slope.abs().max() < 5e-3
    total = features.detach().double().sum((-2, -1), keepdim=True)
    alpha = slope**2 / (2 * slope**2 + total * slope**3 + 1e-6)
    weights = (alpha * slope.clamp(min=0)).sum((-2, -1), keepdim=True)
    with_epsilon = (weights * features.detach()).sum(1).numpy()
    np.testing.assert_allclose(normalised(with_epsilon), theirs, atol=2e-3)


def field(centre_x, centre_y, spread, side=64):
    y, x = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="ij")
    bell = torch.exp(-((x - centre_x) ** 2 + (y - centre_y) ** 2) / (2 * spread**2))
    return bell / bell.sum()


FIELDS = torch.stack([field(20, 24, 14.0), field(44, 40, 16.0)])


def two_fields(images):
    """Two objects, each seen through a wide receptive field; boxes shrink where it is dark."""
    seen = torch.einsum("nchw,rhw->nrc", images.float(), FIELDS)
    scores = torch.sigmoid(40 * (seen[..., :2] - 0.37))
    shrink = 6 * (0.75 - seen.mean(-1, keepdim=True)).clamp(min=0)
    boxes = torch.tensor([[4.0, 8.0, 36.0, 40.0], [24.0, 20.0, 64.0, 60.0]])
    return boxes + torch.cat([shrink, shrink, -shrink, -shrink], -1), scores


@pytest.fixture
def hand_made():
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    image = ((0.55 + 0.4 * noise) * 255).round() / 255
    detector = CandidateDetector(two_fields, score_threshold=0.4, iou_threshold=0.9)
    return ssgc.InstanceScoreWrapper(detector, detector.detect(image)[0]), image


def blackbox(detector, batch, score_threshold):
    """The detector's candidates as xaitk-saliency takes detections."""
    interface = pytest.importorskip("smqtk_detection", reason="needs captum-ssgc[compare]")
    from smqtk_image_io import AxisAlignedBoundingBox

    class Blackbox(interface.DetectImageObjects):
        def get_config(self):
            return {}

        def detect_objects(self, img_iter):
            images = iter(img_iter)
            while chunk := list(islice(images, batch)):
                pixels = torch.from_numpy(np.stack(chunk)).permute(0, 3, 1, 2).contiguous() / 255
                for found in detector.candidates_above(detector.run(pixels), score_threshold):
                    yield [
                        (AxisAlignedBoundingBox(box[:2], box[2:]), dict(enumerate(scores)))
                        for box, scores in zip(
                            found.boxes.tolist(), found.class_scores.tolist(), strict=True
                        )
                    ]

    return Blackbox()


def rank_correlation(one, other):
    ranks = [np.argsort(np.argsort(values.ravel())) for values in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_drise_weights_and_sums_are_xaitks(hand_made):
    """The same masks and detections through both.

    Two differences are undone here: xaitk counts pixels inclusively, ``x2 - x1 + 1``, so its
    boxes are passed one pixel smaller; and it divides by how often each pixel was visible, instead
    of by the expected number, and by the maximum.
    """
    scoring = pytest.importorskip(
        "xaitk_saliency.impls.gen_detector_prop_sal.drise_scoring",
        reason="needs captum-ssgc[compare]",
    )
    wrapper, image = hand_made
    reference, shape = wrapper.detections[0], MaskShape((64, 64), (16, 16), 0.5)
    masks = shape.upsample(*shape.draw(60, torch.Generator().manual_seed(3)))
    reported = wrapper.detector.detect(image * masks)
    weights = largest_of_each_image(similarity, reference, reported)
    assert weights.std(0).min() > 0.1
    ours = torch.einsum("pk,phw->khw", weights, masks[:, 0]) / (60 * 0.5)

    def rows(found):
        boxes = found.boxes - torch.tensor([0.0, 0.0, 1.0, 1.0])
        return torch.cat([boxes, torch.ones(len(found), 1), found.class_scores], 1).numpy()

    padded = np.zeros((60, 2, 4 + 1 + 2))
    padded[..., 5:] = 1.0
    for row, found in enumerate(reported):
        padded[row, : len(found)] = rows(found)
    theirs = scoring.DRISEScoring().generate(rows(reference), padded, masks[:, 0].numpy())
    coverage = masks.mean(0).numpy() / 0.5
    undone = ours.numpy() / coverage
    np.testing.assert_allclose(undone / undone.max((1, 2), keepdims=True), theirs, atol=1e-5)


def xaitks_maps(wrapper, image, n_masks, grid, batch, seed, score_threshold):
    stack = pytest.importorskip(
        "xaitk_saliency.impls.gen_object_detector_blackbox_sal.drise",
        reason="needs captum-ssgc[compare]",
    )
    reference = wrapper.detections[0]
    pixels = (image[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    return stack.DRISEStack(n=n_masks, s=grid, p1=0.5, seed=seed, fill=0)(
        pixels,
        reference.boxes.numpy(),
        reference.class_scores.numpy(),
        blackbox(wrapper.detector, batch, score_threshold),
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_drise_agrees_with_xaitk_on_a_hand_made_detector(hand_made):
    """5000 masks each, from independent generators: they differ by the noise of the masks.

    It is the same between two seeds of ours. Where the detector looks at the whole image, as here,
    ranks are decided by the evidence; where most of it is background, by that noise.
    """
    wrapper, image = hand_made
    theirs = xaitks_maps(wrapper, image, 5000, grid=8, batch=100, seed=1, score_threshold=0.4)
    ours, again = (
        ssgc.DRISE(wrapper, score_threshold=0.4).attribute_instances(
            image,
            n_masks=5000,
            grid=(8, 8),
            perturbations_per_eval=100,
            generator=torch.Generator().manual_seed(seed),
        )[:, 0]
        for seed in (0, 7)
    )
    for one, other, third in zip(ours.numpy(), theirs, again.numpy(), strict=True):
        agreement, noise = rank_correlation(one, other), rank_correlation(one, third)
        print(f"\nD-RISE, ranks: with xaitk {agreement:.3f}, two seeds of ours {noise:.3f}")
        assert agreement > 0.9
        assert abs(agreement - noise) < 0.03


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_drise_agrees_with_xaitk_on_the_demo_detector(monkeypatch):
    """The same random numbers in both, as independent ones rank the background by their noise.

    What remains is xaitk's inclusive pixels, its rounding of the masked image to bytes, and its
    division by how often each pixel was visible, which is undone.
    """
    demo = pytest.importorskip("captum_ssgc.demo")
    if not demo.WEIGHTS.exists():
        pytest.skip("no weights of the demo detector")
    n_masks, batch = 5000, 10
    image = (demo.scene(3).image[None] * 255).round() / 255
    detector = ssgc.wrap_detector(demo.detector())
    wrapper = ssgc.InstanceScoreWrapper(detector, detector.detect(image)[0].above(0.8))
    theirs = xaitks_maps(wrapper, image, n_masks, 16, batch, seed=1, score_threshold=0.05)
    height, width = image.shape[-2:]
    cells = torch.from_numpy(np.random.default_rng(1).random((n_masks, 16, 16)) < 0.5).float()
    generator = np.random.default_rng(1)
    shifts = torch.tensor(
        [
            [generator.integers(0, height // 16), generator.integers(0, width // 16)]
            for _ in range(n_masks)
        ]
    )
    drawn = iter(zip(cells.split(batch), shifts.split(batch), strict=True))
    coverage = torch.zeros(height, width)
    upsample = MaskShape.upsample

    def replay(self, count, generator=None):
        values, moves = next(drawn)
        return values[:, None], moves

    def counted(self, values, moves):
        masks = upsample(self, values, moves)
        coverage.add_(masks.sum((0, 1)))
        return masks

    monkeypatch.setattr(MaskShape, "draw", replay)
    monkeypatch.setattr(MaskShape, "upsample", counted)
    ours = ssgc.DRISE(wrapper).attribute_instances(
        image, n_masks=n_masks, perturbations_per_eval=batch
    )
    for one, other in zip(ours[:, 0].numpy(), theirs, strict=True):
        plain = rank_correlation(one, other)
        undone = rank_correlation(one, other * coverage.numpy())
        print(f"\nD-RISE on the demo detector, ranks: {plain:.3f}, coverage undone: {undone:.4f}")
        assert undone > 0.99
