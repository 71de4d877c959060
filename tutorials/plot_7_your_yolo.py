"""
Your YOLO
=========

What does the adapter make of an Ultralytics model: which layers, which grids, and where does a
cell lie on the image? Nothing is downloaded when these pages are built, so that the weights of the
code below are random: layers and geometry do not depend on them. The maps are those of models that
``tests/benchmarks/train_on_scenes.py`` has trained on the :doc:`/scenes`, drawn by
``tools/trained_pictures.py``; only the emblem, the small sign on a body, decides a class there.

.. figure:: /your_yolo.jpg
   :alt: The same object found by YOLO11n, YOLO26n and an oriented YOLO11n, with four maps of each.

   One object of a scene, found by a YOLO11n, by an end-to-end YOLO26n and, with its corners, by a
   YOLO11n for oriented boxes. The maps of instances lie between the emblem and the middle of the
   body: the head reads the object's own cell, and what decides has been carried there. Grad-CAM,
   which asks what the class needs anywhere, also lights up others.

With weights it is two lines:

.. code-block:: python

   model = YOLO("yolo11n.pt")                  # from ultralytics; AGPL-3.0
   for e in ssgc.explain(model, "street.jpg", score_threshold=0.25):
       print(e.label, e.score, e.box, e.layer)
"""

import os
import tempfile

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

import captum_ssgc as ssgc
from captum_ssgc import demo

# Ultralytics writes a settings file and looks for updates unless told otherwise.
os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.mkdtemp())
os.environ.setdefault("YOLO_OFFLINE", "True")
os.environ.setdefault("YOLO_VERBOSE", "False")
from ultralytics import YOLO

torch.manual_seed(0)
model = YOLO("yolo11n.yaml")
model.model.eval()
detector = ssgc.wrap_detector(model, image_size=320, score_threshold=0.0, max_detections=20)

# %%
# The canvas
# ----------
# ``YOLO.predict`` resizes the image by one factor and pads it with grey to multiples of 32. The
# adapter does the same, without rounding to bytes, so that gradients pass. ``score_threshold``,
# ``iou_threshold`` and ``max_detections`` are those of ``predict``.

image = demo.scene(seed=6).image[None, :, 10:310]  # 300 x 400 pixels, so that there is padding
canvas, geometry = detector.preprocess(image)
print(geometry)
plt.figure(figsize=(6, 4.8), layout="constrained")
plt.imshow(canvas[0].permute(1, 2, 0))
_ = plt.title("the canvas, padded at the top and bottom")

# %%
# The layers
# ----------
# The adapter recommends the modules that feed the head, one for each level, and the end of the
# backbone. Their names are those of the model's own description.

levels = detector.level_layers()
for name, layer in detector.target_layers().items():
    role = f"level {levels.index(layer)}" if layer in levels else "end of the backbone"
    print(f"{name:9} {type(layer).__name__:7} {role}")

# %%
# A candidate is a grid point of one level, and that level's layer is the one to attribute. The
# finer levels feed the coarser ones as well, so that a list of layers gives several maps, each on
# its own grid.

detections = detector.detect(image)[0]
wrapper = ssgc.InstanceScoreWrapper(detector, detections, output="logit")
target = 0
print("level", int(detections.levels[target]), "of candidate", int(detections.candidates[target]))
image_size = tuple(image.shape[-2:])
for layer, found in zip(levels, ssgc.SSGradCAMPlusPlus(wrapper, levels).attribute(image, target)):
    cells = detector.cell_grid(layer, image_size, tuple(found.shape[-2:]))
    print(detector.layer_name(layer), tuple(found.shape), "stride", *cells.stride)

# %%
# From a cell to pixels
# ---------------------
# A grid covers the padded canvas, not the image, and the detector says where each layer's cells lie
# there. Mark one cell of the finest level, and bring it to image pixels in two ways: through the
# geometry, as ``interpolate_mode`` does, and by resizing the grid to the image, as is common. The
# second one is off by the padding.

grid = torch.zeros(1, 1, 32, 40)
row, column = 28, 10
grid[..., row, column] = 1.0
cells = detector.cell_grid(levels[0], image_size, (32, 40))
right = geometry.grid_to_image(grid, "nearest", cells)[0, 0]
wrong = F.interpolate(grid, image_size, mode="nearest")[0, 0]
whole_canvas = ssgc.ImageGeometry.identity(tuple(canvas.shape[-2:]))
on_canvas = whole_canvas.grid_to_image(grid, "nearest", cells)[0, 0]

_, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
for ax, picture, cell, name in (
    (axes[0], canvas, on_canvas, "a cell on the canvas"),
    (axes[1], image, right, "through the geometry"),
    (axes[2], image, wrong, "grid resized to the image"),
):
    ax.imshow(picture[0].permute(1, 2, 0))
    ax.contour(cell.numpy(), levels=[0.5], colors="#D55E00", linewidths=3)
    ax.set_title(name, loc="left")
    ax.set_axis_off()

rows = [float(cell.any(1).nonzero().float().mean()) for cell in (right, wrong)]
print(f"centre of the cell: row {rows[0]:.0f} of the image; resized: row {rows[1]:.0f}")

# %%
# What is tested, and what is not
# -------------------------------
# The detections are exactly those of the vendor's own non-maximum suppression; :doc:`/detectors`
# lists the versions. Segmentation, pose and oriented boxes work; a detection of the last has its
# corners, and its region is the box around them. Scores are
# sigmoids of the class, and a saturated one leaves little gradient: try ``output="logit"``. And
# YOLO's activations (SiLU) are signed, which is what ``signed_activations="split"``, the default,
# is for.
