"""
Adding a method
===============

You have a formula for a heat map. What does it take to compare it with the others? One function,
one class with its name, and one test. Layers, levels, geometry, options, errors and pictures are
there already.

The example multiplies every activation by its own gradient, as HiResCAM does (R. L. Draelos and
L. Carin, 2020, arXiv:2011.08891), but by a power of it: an option that nobody else has.
"""

import numpy as np
import torch

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.attr import METHODS, LayerMethod, register
from captum_ssgc.visualization import comparison_grid

# %%
# One function
# ------------
# A method is a pure function: activations and gradients ``(N, C, h, w)`` to the contribution of
# each channel, of the same shape. The sum over channels and the ReLU come later, and it knows
# nothing of detectors.


def power_cam(activations, gradients, power=1.0):
    """``g^k A^k``, cell by cell."""
    return gradients.sign() * gradients.abs() ** power * activations


# %%
# One class
# ---------
# It holds the docstring: the formula, its source, and every departure from it under *Notes*.
# Further keywords of the function are arguments of ``attribute`` and options of ``explain``, of the
# commands and of the benchmark; one called ``mask`` gets the cells of the detection's region, and
# one that ``attribute`` has already, such as ``target``, is refused. The function may be any that
# can be called so, and may write to what it is given.
# ``register`` offers the class by its name for as long as the program runs.


@register
class PowerCAM(LayerMethod):
    """Power-CAM: activations times a power of the gradients."""

    name, title = "power-cam", "Power-CAM"
    maps = staticmethod(power_cam)


print(PowerCAM.option_names(), list(METHODS))

# %%
# One test
# --------
# A slow, literal version of the formula, straight from the paper, with loops and NumPy and nothing
# from the package (``tests/references.py``); the two agree to 1e-10 on random numbers, signed ones
# included (``tests/attr/test_formulas.py``). Tests that run over all methods take the new one from
# the registry.


def literal(activations, gradients):
    channels, height, width = activations.shape
    found = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            for k in range(channels):
                found[i, j] += gradients[k, i, j] * activations[k, i, j]
    return np.maximum(found, 0.0)


generator = torch.Generator().manual_seed(0)
activations = torch.randn(1, 3, 4, 5, generator=generator, dtype=torch.float64)
gradients = torch.randn(1, 3, 4, 5, generator=generator, dtype=torch.float64)
ours = power_cam(activations, gradients).sum(1).clamp(min=0.0)[0].numpy()
np.testing.assert_allclose(ours, literal(activations[0].numpy(), gradients[0].numpy()), atol=1e-10)
print(
    "largest difference", np.abs(ours - literal(activations[0].numpy(), gradients[0].numpy())).max()
)

# %%
# Beside the others
# -----------------
# From here on it is a method like any other.

scene = demo.scene(seed=8)
names = ["grad-cam", "power-cam", "odam", "ssgrad-cam++"]
detector = ssgc.wrap_detector(demo.detector(), label_names=demo.CLASS_NAMES)
found = ssgc.explain(
    detector, scene.image, method=names, method_options={"power-cam": {"power": 1.5}}
)
rows = [found[start : start + len(names)] for start in range(0, len(found), len(names))][2:4]
captions = [[f"{e.energy_in_box():.0%} in the box" for e in row] for row in rows]
figure = comparison_grid(scene.image, rows, captions=captions)
del METHODS["power-cam"]  # so that the other tutorials do not meet it

# %%
# Everything else comes with the base class: lists of layers, maps in image pixels, several
# detections from one forward, and the errors.

image = scene.image[None]
detections = detector.detect(image)[0].above(0.5)
wrapper = ssgc.InstanceScoreWrapper(detector, detections)
cam = PowerCAM(wrapper, detector.level_layers())
print(tuple(cam.attribute_instances(image, interpolate_mode="bilinear", fuse_layers="max").shape))
try:
    cam.attribute(image, target=0, mask="box")
except TypeError as error:
    print(error)
