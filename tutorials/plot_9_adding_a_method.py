"""
Adding a method
===============

You have a formula for a heat map. What does it take to compare it with the others? One function,
one class, one test and one line in the registry. Layers, levels, geometry, options, errors and
pictures are there already.

The example is LayerCAM (P.-T. Jiang et al., *LayerCAM: Exploring Hierarchical Class Activation
Maps for Localization*, IEEE Transactions on Image Processing 30, 2021), which weights every
activation by its positive gradient. As the base class of this package has that name, it is
``PositiveCAM`` here.
"""

import inspect

import numpy as np
import torch

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.attr import METHODS, LayerCAM, Method
from captum_ssgc.attr._maps import gaussian_blur
from captum_ssgc.visualization import comparison_grid

# %%
# One function
# ------------
# A method is a pure function: activations and gradients ``(N, C, h, w)`` to the contribution of
# each channel, of the same shape. The sum over channels and the ReLU come later, and it knows
# nothing of detectors. In the package it goes into ``captum_ssgc/attr/_maps.py``.


def positive_cam(activations, gradients, smoothing=0.0):
    """``ReLU(g^k) A^k``, cell by cell."""
    return gaussian_blur(gradients, smoothing).clamp(min=0.0) * activations


# %%
# One class
# ---------
# It holds the docstring: the formula, its source, and every departure from it under *Notes*.
# Further keywords of the function become arguments of ``attribute``. ``mask``, ``smoothing`` and
# ``signed_activations`` are known; a new one needs a line in ``captum_ssgc/attr/_options.py`` that
# describes it.


class PositiveCAM(LayerCAM):
    """LayerCAM: activations weighted by their positive gradients."""

    maps = staticmethod(positive_cam)


print(list(inspect.signature(PositiveCAM.attribute).parameters))

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
                found[i, j] += max(gradients[k, i, j], 0.0) * activations[k, i, j]
    return np.maximum(found, 0.0)


generator = torch.Generator().manual_seed(0)
activations = torch.randn(1, 3, 4, 5, generator=generator, dtype=torch.float64)
gradients = torch.randn(1, 3, 4, 5, generator=generator, dtype=torch.float64)
ours = positive_cam(activations, gradients).sum(1).clamp(min=0.0)[0].numpy()
np.testing.assert_allclose(ours, literal(activations[0].numpy(), gradients[0].numpy()), atol=1e-10)
print(
    "largest difference", np.abs(ours - literal(activations[0].numpy(), gradients[0].numpy())).max()
)

# %%
# One line in the registry
# ------------------------
# In the package that is a line of ``METHODS`` in ``captum_ssgc/attr/_registry.py``, and the class
# is listed in ``captum_ssgc/attr/__init__.py``. The command line and the benchmark offer what is
# registered. From outside, the same line works for as long as the program runs:

METHODS["positive-cam"] = Method("positive-cam", "LayerCAM", positive_cam)

scene = demo.scene(seed=8)
names = ["grad-cam", "positive-cam", "odam", "ssgrad-cam++"]
detector = ssgc.wrap_detector(demo.detector(), label_names=demo.CLASS_NAMES)
found = ssgc.explain(
    detector, scene.image, method=names, method_options={"positive-cam": {"smoothing": 0.5}}
)
rows = [found[start : start + len(names)] for start in range(0, len(found), len(names))][2:4]
captions = [[f"{e.energy_in_box():.0%} in the box" for e in row] for row in rows]
figure = comparison_grid(scene.image, rows, captions=captions)
del METHODS["positive-cam"]

# %%
# Everything else comes with the base class: lists of layers, maps in image pixels, several
# detections from one forward, and the errors.

image = scene.image[None]
detections = detector.detect(image)[0].above(0.5)
wrapper = ssgc.InstanceScoreWrapper(detector, detections)
cam = PositiveCAM(wrapper, detector.level_layers())
print(tuple(cam.attribute_instances(image, interpolate_mode="bilinear", fuse_layers="max").shape))
try:
    cam.attribute(image, target=0, mask="box")
except TypeError as error:
    print(error)
