"""Contrasts of two classes and negated outputs are what autograd says they are, on every family."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from detectors.plain_maps import plain_heat_maps, recorded

import captum_ssgc as ssgc
from captum_ssgc.attr import METHODS, Layers, recording


def chosen(detector, picture):
    """Two detections of every level, and another class for each."""
    found = detector.detect(picture)[0]
    rows = []
    for level in found.levels.unique().tolist():
        rows += (found.levels == level).nonzero()[:, 0].tolist()[:2]
    found = found[rows]
    classes = found.class_scores.shape[1]
    if classes < 2:
        pytest.skip("this model has one class")
    steps = 1 + torch.arange(len(found)) % (classes - 1)
    others = (found.labels + steps) % classes
    assert not (others == found.labels).any()
    return found, others


def with_gradients(detector, picture, found, output):
    """The values, and the gradients of each at the layers that feed the detections."""
    leaves, values = recorded(detector, picture, found, output)
    slopes = [
        torch.autograd.grad(value, list(leaves.values()), retain_graph=True, materialize_grads=True)
        for value in values
    ]
    return values.detach(), slopes


def check_contrast(detector, picture):
    found, others = chosen(detector, picture)
    own, slopes = with_gradients(detector, picture, found, "logit")
    relabelled = replace(found, labels=others)
    other, other_slopes = with_gradients(detector, picture, relabelled, "logit")
    output = ("logit", tuple(others.tolist()))
    contrast, got = with_gradients(detector, picture, found, output)
    torch.testing.assert_close(contrast, own - other)
    assert bool((contrast.abs() > 1e-4).any())
    for row, of_layers in enumerate(got):
        assert any(bool(one.any()) for one in of_layers)
        for layer, one in enumerate(of_layers):
            expected = slopes[row][layer] - other_slopes[row][layer]
            scale = float(slopes[row][layer].abs().max())
            torch.testing.assert_close(one, expected, rtol=0.0, atol=1e-5 * scale + 1e-12)


def check_maps(detector, picture):
    found, others = chosen(detector, picture)
    methods = [(METHODS[name], {}) for name in ("odam", "ssgrad-cam++")]
    for output in (("logit", tuple(others.tolist())), "-logit", "-left"):
        expected = plain_heat_maps(detector, picture, found, methods, output)
        requests = [method.request(options, output) for method, options in methods]
        with recording(detector, Layers.of_detector(detector), picture, outputs=[output]) as run:
            made = run.heat_maps(requests, found)
        for plain, ours in zip(expected, made, strict=True):
            for (one, scale), mine in zip(plain, ours.heat_maps(), strict=True):
                torch.testing.assert_close(mine, one, rtol=0.0, atol=1e-5 * scale + 1e-30)


def test_the_contrast_of_two_classes_is_the_difference_of_their_logits(family, picture):
    check_contrast(family.detector, picture)


def test_of_a_two_stage_detector(faster_rcnn, image):
    check_contrast(ssgc.wrap_detector(faster_rcnn), image)


@pytest.mark.filterwarnings("ignore:.*all-zero map")
def test_maps_are_those_of_the_plain_way(family, picture):
    check_maps(family.detector, picture)


@pytest.mark.filterwarnings("ignore:.*all-zero map")
def test_maps_of_a_two_stage_detector(faster_rcnn, image):
    check_maps(ssgc.wrap_detector(faster_rcnn), image)


@pytest.mark.parametrize("output", ["score", "logit", "left", "top", "right", "bottom"])
def test_a_negated_output_is_the_output_negated(faster_rcnn, image, output):
    detector = ssgc.wrap_detector(faster_rcnn)
    found = detector.detect(image)[0]
    negated = detector.score(image, found, f"-{output}")
    assert torch.equal(negated, -detector.score(image, found, output))
