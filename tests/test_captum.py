"""Captum, unchanged, on the wrapper of a Faster R-CNN."""

from __future__ import annotations

import matplotlib
import pytest
import torch
from captum.attr import (
    IntegratedGradients,
    LayerActivation,
    LayerGradCam,
    NoiseTunnel,
    Occlusion,
    Saliency,
)
from captum.attr import visualization as captum_visualization
from captum.metrics import infidelity, sensitivity_max

import captum_ssgc as ssgc

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def setup(faster_rcnn):
    image = torch.rand(1, 3, 75, 101, generator=torch.Generator().manual_seed(3))
    detector = ssgc.wrap_detector(faster_rcnn)
    detections = detector.detect(image)[0]
    # a score between 0 and 1 whose gradient says something
    target = int((detections.scores - 0.5).abs().argmin())
    return detector, detections, target, image


def perturb(images):
    noise = 0.03 * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    return noise, images - noise


def test_infidelity_of_a_map_in_image_pixels(setup):
    detector, detections, target, image = setup
    wrapper = ssgc.InstanceScoreWrapper(detector, detections)
    cam = ssgc.SSGradCAMPlusPlus(wrapper, detector.layer_for(detections, target))
    attributions = cam.attribute(image, target=target, interpolate_mode="bilinear")
    value = infidelity(
        wrapper,
        perturb,
        image,
        attributions.expand_as(image),
        target=target,
        normalize=True,
        n_perturb_samples=6,
        max_examples_per_batch=3,
    )
    assert value.shape == (1,)
    assert value.item() >= 0.0


def test_sensitivity_of_the_method(setup):
    detector, detections, target, image = setup
    wrapper = ssgc.InstanceScoreWrapper(detector, detections)
    cam = ssgc.SSGradCAMPlusPlus(wrapper, detector.layer_for(detections, target))
    value = sensitivity_max(cam.attribute, image, target=target, n_perturb_samples=3)
    assert value.item() > 0.0
    still = sensitivity_max(cam.attribute, image, perturb_radius=0.0, target=target)
    assert still.item() == pytest.approx(0.0, abs=1e-4)


def test_sensitivity_is_the_largest_relative_change(setup):
    """Slowly; Captum gives a multiple of it for methods that answer a tuple with a tensor."""
    detector, detections, target, image = setup
    wrapper = ssgc.InstanceScoreWrapper(detector, detections)
    cam = ssgc.SSGradCAMPlusPlus(wrapper, detector.layer_for(detections, target))
    changes = 0.02 * torch.randn(3, *image.shape[1:], generator=torch.Generator().manual_seed(2))

    def perturb_all(images):
        return (images[0] + changes,)

    found = sensitivity_max(
        cam.attribute, image, perturb_func=perturb_all, n_perturb_samples=3, target=target
    )
    plain = cam.attribute(image, target=target)
    moved = [cam.attribute(image + change, target=target) for change in changes]
    expected = max(float((one - plain).norm() / plain.norm()) for one in moved)
    assert found.item() == pytest.approx(expected, rel=1e-3)


def test_saliency_flows_to_the_pixels_of_the_canvas(setup):
    detector, detections, target, image = setup
    wrapper = ssgc.InstanceScoreWrapper(detector, detections)
    attributions = Saliency(wrapper).attribute(image.clone().requires_grad_(), target=target)
    assert attributions.shape == image.shape
    assert attributions.max() > 0


@pytest.mark.slow
def test_integrated_gradients_are_complete(setup):
    detector, detections, target, image = setup
    wrapper = ssgc.InstanceScoreWrapper(detector, detections, output="logit")
    baseline = image * 0.9  # a short path: the network has many kinks
    attributions, delta = IntegratedGradients(wrapper).attribute(
        image,
        baselines=baseline,
        target=target,
        n_steps=24,
        internal_batch_size=4,
        return_convergence_delta=True,
    )
    change = (wrapper(image) - wrapper(baseline))[0, target]
    assert attributions.shape == image.shape
    assert delta.abs().item() < 0.05 * change.abs().item()


def test_layer_methods_give_the_layers_grid(setup):
    detector, detections, target, image = setup
    wrapper = ssgc.InstanceScoreWrapper(detector, detections)
    layer = detector.layer_for(detections, target)
    activations = LayerActivation(wrapper, layer).attribute(image)
    grad_cam = LayerGradCam(wrapper, layer).attribute(image, target=target)
    ours = ssgc.SSGradCAMPlusPlus(wrapper, layer).attribute(image, target=target)
    assert activations.shape[1] == detector.model.backbone.out_channels
    assert grad_cam.shape == ours.shape == (1, 1, *activations.shape[-2:])


def test_occlusion_scores_batches_of_changed_images(setup):
    detector, detections, target, image = setup
    wrapper = ssgc.InstanceScoreWrapper(detector, detections)
    attributions = Occlusion(wrapper).attribute(
        image,
        sliding_window_shapes=(3, 40, 40),
        strides=(3, 35, 35),
        target=target,
        perturbations_per_eval=3,
    )
    assert attributions.shape == image.shape
    assert attributions.abs().max() > 0


def test_noise_tunnel_averages_the_method(setup):
    detector, detections, target, image = setup
    wrapper = ssgc.InstanceScoreWrapper(detector, detections)
    cam = ssgc.SSGradCAMPlusPlus(wrapper, detector.layer_for(detections, target))
    plain = cam.attribute(image, target=target)
    quiet = NoiseTunnel(cam).attribute(image, nt_samples=2, stdevs=0.0, target=target)
    torch.testing.assert_close(quiet, plain, rtol=1e-3, atol=1e-6 * float(plain.max()))
    torch.manual_seed(0)
    loud = NoiseTunnel(cam).attribute(image, nt_samples=2, stdevs=0.1, target=target)
    assert loud.shape == plain.shape
    assert not torch.equal(loud, plain)


def test_captum_draws_the_map(setup):
    detector, detections, target, image = setup
    wrapper = ssgc.InstanceScoreWrapper(detector, detections)
    cam = ssgc.SSGradCAMPlusPlus(wrapper, detector.layer_for(detections, target))
    heat_map = cam.attribute(image, target=target, interpolate_mode="bilinear")[0]
    figure, _ = captum_visualization.visualize_image_attr(
        heat_map.permute(1, 2, 0).numpy(),
        image[0].permute(1, 2, 0).numpy(),
        method="blended_heat_map",
        sign="positive",
        use_pyplot=False,
    )
    assert len(figure.axes) >= 1


def test_several_reference_images_by_image_index(setup):
    detector, detections, target, image = setup
    other = image.flip(-1)
    batch = torch.cat([image, other])
    references = [detections, detector.detect(other)[0]]
    wrapper = ssgc.InstanceScoreWrapper(detector, references)
    targets = [target, 0]
    index = torch.tensor([0, 1])
    cam = ssgc.SSGradCAMPlusPlus(wrapper, detector.level_layers())
    together = cam.attribute(
        batch, target=targets, additional_forward_args=index, fuse_layers="max"
    )
    for row in (0, 1):
        alone = ssgc.SSGradCAMPlusPlus(
            ssgc.InstanceScoreWrapper(detector, references[row]), detector.level_layers()
        ).attribute(batch[row : row + 1], target=targets[row], fuse_layers="max")
        scale = float(alone.max())
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-3, atol=1e-4 * scale)
    value = sensitivity_max(
        cam.attribute,
        batch,
        target=targets,
        additional_forward_args=index,
        fuse_layers="max",
        n_perturb_samples=2,
    )
    assert value.shape == (2,)
