"""Normalisation followed by tokens: one image has the gradient that it has in a batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import captum_ssgc as ssgc
from captum_ssgc.detectors import CandidateDetector


class Tokens(nn.Module):
    """A convolution, a normalisation, and one candidate that reads the map as tokens."""

    def __init__(self, norm):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, stride=2, padding=1)
        self.norm = norm
        self.head = nn.Linear(12 * 5, 1)

    def forward(self, images):
        tokens = self.norm(self.conv(images)).flatten(2).transpose(1, 2)
        score = self.head(tokens.flatten(1)).sigmoid()
        boxes = torch.tensor([[[0.0, 0.0, 8.0, 6.0]]]).expand(len(images), -1, -1)
        return boxes, score[:, None]


@pytest.fixture(params=[nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm], ids=lambda n: n.__name__)
def wrapper(request):
    torch.manual_seed(0)
    norm = nn.GroupNorm(1, 5) if request.param is nn.GroupNorm else request.param(5, affine=True)
    detector = CandidateDetector(Tokens(norm).eval(), score_threshold=0.0)
    found = detector.detect(torch.rand(1, 3, 6, 8))[0]
    return ssgc.InstanceScoreWrapper(detector, found)


def test_a_pixels_gradient_does_not_depend_on_the_batch_size(wrapper):
    image = torch.rand(1, 3, 6, 8)
    gradients = []
    for size in (1, 2):
        images = image.expand(size, -1, -1, -1).clone().requires_grad_()
        gradients.append(torch.autograd.grad(wrapper(images)[:, 0].sum(), images)[0][:1])
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().max() > 0


def test_nor_does_a_layers_map(wrapper):
    image = torch.rand(1, 3, 6, 8)
    cam = ssgc.ODAM(wrapper, wrapper.model.conv)
    alone = cam.attribute(image, target=0)
    together = cam.attribute(image.expand(2, -1, -1, -1), target=0)
    torch.testing.assert_close(alone[0], together[0])
    assert alone.max() > 0
    instances = cam.attribute_instances(image)
    torch.testing.assert_close(alone[0], instances[0])


def test_nothing_is_registered_without_gradients_and_nothing_stays(wrapper):
    with torch.no_grad():
        wrapper(torch.rand(1, 3, 6, 8))
    wrapper(torch.rand(1, 3, 6, 8))
    assert not wrapper.model.norm._forward_hooks
