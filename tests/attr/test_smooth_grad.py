"""SmoothGrad is Captum's NoiseTunnel around any of the methods."""

from __future__ import annotations

import pytest
import torch
from captum.attr import NoiseTunnel

import captum_ssgc as ssgc

CAMS = [ssgc.GradCAMPlusPlus, ssgc.ODAM, ssgc.SSGradCAM, ssgc.SSGradCAMPlusPlus]
each_cam = pytest.mark.parametrize("method", CAMS, ids=lambda method: method.__name__)


@each_cam
def test_without_noise_it_is_the_method(method, wrapper, image):
    cam = method(wrapper, wrapper.model.fine)
    smooth = NoiseTunnel(cam).attribute(image, nt_samples=3, stdevs=0.0, target=0)
    torch.testing.assert_close(smooth, cam.attribute(image, target=0))


@each_cam
@pytest.mark.parametrize("batch", [None, 2], ids=["at once", "in parts"])
def test_it_is_the_mean_over_noisy_images(method, batch, wrapper, image):
    cam = method(wrapper, wrapper.model.fine)
    images = torch.cat([image, image.flip(-1)])
    tunnel = NoiseTunnel(cam)
    torch.manual_seed(3)
    smooth = tunnel.attribute(
        images, nt_samples=4, nt_samples_batch_size=batch, stdevs=0.1, target=[0, 1]
    )
    assert smooth.shape == (2, 1, 4, 4)
    torch.manual_seed(3)
    parts = []
    for _ in range(4 // (batch or 4)):
        size = batch or 4
        noise = torch.normal(0, torch.full((2 * size, 3, 8, 8), 0.1))
        noisy = images.repeat_interleave(size, 0) + noise
        maps = cam.attribute(noisy, target=[0] * size + [1] * size)
        parts.append(maps.view(2, size, 1, 4, 4))
    torch.testing.assert_close(smooth, torch.cat(parts, 1).mean(1))
    assert not torch.allclose(smooth, cam.attribute(images, target=[0, 1]))


def test_options_and_lists_of_layers(wrapper, image):
    cam = ssgc.SSGradCAMPlusPlus(wrapper, wrapper.detector.level_layers())
    torch.manual_seed(0)
    levels = NoiseTunnel(cam).attribute(
        image, nt_samples=2, stdevs=0.05, target=0, mask="box", smoothing=0.5
    )
    assert [tuple(one.shape) for one in levels] == [(1, 1, 4, 4), (1, 1, 2, 2)]
    assert levels[0].max() > 0
    assert levels[1].max() == 0


def test_several_reference_images(detector, image):
    images = torch.cat([image, image.flip(-1)])
    wrapper = ssgc.InstanceScoreWrapper(detector, detector.detect(images))
    cam = ssgc.SSGradCAMPlusPlus(wrapper, detector.level_layers())
    index = torch.tensor([0, 1])
    smooth = NoiseTunnel(cam).attribute(
        images, nt_samples=2, stdevs=0.0, target=[0, 1], additional_forward_args=index
    )
    plain = cam.attribute(images, target=[0, 1], additional_forward_args=index)
    for one, other in zip(smooth, plain, strict=True):
        torch.testing.assert_close(one, other)
