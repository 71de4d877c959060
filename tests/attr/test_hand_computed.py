"""Numbers computed with a pencil, on the toy detector of conftest.py.

The explained candidate is the top left quarter of the fine grid, class 0 ("red"): its logit is
``0.5 sum A^0 - 0.25 sum A^1 - 4`` over the quarter, so the gradients there are 0.5 and -0.25, and 0
in the other twelve cells.
"""

from __future__ import annotations

import pytest
import torch
from captum.attr import LayerGradCam

import captum_ssgc as ssgc

RED = [[1, 2, 0, 0], [3, 4, 0, 0], [0, 0, 0, 0], [0, 0, 0, 5]]
GREEN = [[2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def image_of(red, green, blue=0.0):
    """The 8 x 8 image that gives these activations on the fine grid (without the blue offset)."""
    cells = torch.tensor([red, green], dtype=torch.float32) / 10.0
    image = torch.full((1, 3, 8, 8), float(blue))
    image[0, :2] = cells.repeat_interleave(2, 1).repeat_interleave(2, 2)
    return image


def explained(detector, image):
    """A wrapper that scores only the quarter's class 0, by its logit."""
    found = detector.detect(image)[0]
    row = int((found.candidates == 0).nonzero())
    chosen = found[row]
    chosen.labels.fill_(0)
    return ssgc.InstanceScoreWrapper(detector, chosen, output="logit")


@pytest.fixture
def wrapper(detector):
    return explained(detector, image_of(RED, GREEN))


def quarter(corner, outside=None):
    expected = torch.zeros(1, 1, 4, 4)
    expected[0, 0, :2, :2] = torch.tensor(corner)
    for (row, column), value in (outside or {}).items():
        expected[0, 0, row, column] = value
    return expected


def test_the_logit(wrapper):
    assert wrapper(image_of(RED, GREEN)).tolist() == [[pytest.approx(0.5 * 10 - 0.25 * 2 - 4)]]


# means of the gradients over 16 cells: 0.125 and -0.0625
GRAD_CAM = quarter([[0.125 - 0.125, 0.25], [0.375, 0.5]], {(3, 3): 0.625})
# alpha = 1 / (2 + 15 * 0.5), w = 4 * 0.5 * alpha, nothing for the negative gradients
W = 2 / 9.5
CASES = {
    "Grad-CAM++": (
        ssgc.GradCAMPlusPlus,
        {},
        quarter([[W, 2 * W], [3 * W, 4 * W]], {(3, 3): 5 * W}),
    ),
    # 0.5 A^0 - 0.25 A^1 where the gradient is, and only there
    "ODAM": (ssgc.ODAM, {}, quarter([[0.0, 1.0], [1.5, 2.0]])),
    # Grad-CAM where the gradient is: the space map is 1 in the quarter, 0 elsewhere
    "SSGrad-CAM": (ssgc.SSGradCAM, {}, quarter([[0.0, 0.25], [0.375, 0.5]])),
    # sum over the quarter is 10: alpha = 1 / (2 + 5), w = 2 / 7
    "SSGrad-CAM++": (ssgc.SSGradCAMPlusPlus, {}, quarter([[2 / 7, 4 / 7], [6 / 7, 8 / 7]])),
    # sum over everything is 15: w as for Grad-CAM++
    "SSGrad-CAM++, no mask": (
        ssgc.SSGradCAMPlusPlus,
        {"mask": None},
        quarter([[W, 2 * W], [3 * W, 4 * W]]),
    ),
    # only the cell with activation 4 in the mask: alpha = 1 / (2 + 2) there, w = 0.5 / 4
    "SSGrad-CAM++, one cell": (
        ssgc.SSGradCAMPlusPlus,
        {"mask": torch.eye(4)[1].outer(torch.eye(4)[1])[None, None]},
        quarter([[0.125, 0.25], [0.375, 0.5]]),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_maps(wrapper, name):
    method, options, expected = CASES[name]
    cam = method(wrapper, wrapper.model.fine)
    torch.testing.assert_close(cam.attribute(image_of(RED, GREEN), target=0, **options), expected)


def test_grad_cam_is_captums(wrapper):
    cam = LayerGradCam(wrapper, wrapper.model.fine)
    found = cam.attribute(image_of(RED, GREEN), target=0, relu_attributions=True)
    torch.testing.assert_close(found, GRAD_CAM)


@pytest.mark.parametrize(
    ("signed", "first"),
    [
        # A^1 = -2 with gradient -0.25 is evidence: alpha = 1 / (2 + 2 * 0.25), w = 4 * 0.25 * 0.4
        ("split", 2 / 7 + 0.4 * 2),
        # literally, a negative gradient has no weight
        ("as_is", 2 / 7),
    ],
)
def test_signed_activations(signed_detector, signed, first):
    """Both channels are offset by -3 blue = -2: the same red ones, and -2 in the first green."""
    red = [[value + 2 for value in row] for row in RED]
    green = [[0, 2, 2, 2], *[[2, 2, 2, 2]] * 3]
    image = image_of(red, green, blue=2 / 3)
    wrapper = explained(signed_detector, image)
    cam = ssgc.SSGradCAMPlusPlus(wrapper, wrapper.model.fine)
    found = cam.attribute(image, target=0, signed_activations=signed)
    expected = quarter([[first, 4 / 7], [6 / 7, 8 / 7]])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_odam_of_a_box_edge(wrapper):
    """The left edge is 0.01 times the mean of channel 0 over the quarter: gradient 0.0025."""
    edge = ssgc.InstanceScoreWrapper(wrapper.detector, wrapper.detections[0], output="left")
    found = ssgc.ODAM(edge, wrapper.model.fine).attribute(image_of(RED, GREEN), target=0)
    torch.testing.assert_close(found, 0.0025 * quarter([[1.0, 2.0], [3.0, 4.0]]))


def test_odam_union(wrapper):
    """Score (0, 1, 1.5, 2) / 2, left (1, 2, 3, 4) / 4, top (2, 0, 0, 0) / 2, the others empty."""
    cam = ssgc.ODAM(wrapper, wrapper.model.fine)
    found = cam.attribute_union(image_of(RED, GREEN))
    torch.testing.assert_close(found, quarter([[1.0, 0.5], [0.75, 1.0]]))
