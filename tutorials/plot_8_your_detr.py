"""
Your DETR
=========

A transformer's layers give tokens, not maps. Which of them can be drawn on the image, and how? As
on the page before, the weights of the code are random, because nothing is downloaded when these
pages are built: look at names, shapes and places, which do not depend on weights. The maps are
those of small models trained on the :doc:`/scenes`, where the emblem alone decides a class.

.. figure:: /your_detr.jpg
   :alt: Three objects found by a small RT-DETR, with four maps of each.

   Three objects found by a small RT-DETR, at the layer that the adapter recommends. SSGrad-CAM++
   and SSGrad-CAM±, which know where the object is, are brightest at or beside the emblem; ODAM and
   Grad-CAM show what the decoder reads anywhere.

With weights it is:

.. code-block:: python

   model = AutoModelForObjectDetection.from_pretrained("facebook/detr-resnet-50").eval()
   for e in ssgc.explain(model, "street.jpg"):
       print(e.label, e.score, e.box, e.layer)
"""

import os

import matplotlib.pyplot as plt
import torch

import captum_ssgc as ssgc
from captum_ssgc import demo

os.environ.setdefault("HF_HUB_OFFLINE", "1")
from transformers import (
    DetrConfig,
    DetrForObjectDetection,
    DetrImageProcessor,
    ResNetConfig,
)

torch.manual_seed(0)
backbone = ResNetConfig(
    embedding_size=8,
    hidden_sizes=[8, 16, 24, 32],
    depths=[1, 1, 1, 1],
    layer_type="basic",
    out_features=["stage4"],
)
config = DetrConfig(
    backbone_config=backbone,
    use_timm_backbone=False,
    d_model=32,
    encoder_layers=2,
    decoder_layers=2,
    encoder_ffn_dim=32,
    decoder_ffn_dim=32,
    encoder_attention_heads=4,
    decoder_attention_heads=4,
    num_queries=12,
    num_labels=6,
)
model = DetrForObjectDetection(config).eval()
processor = DetrImageProcessor(size={"shortest_edge": 250, "longest_edge": 400})
detector = ssgc.wrap_detector(model, processor=processor, score_threshold=0.0)

# %%
# Queries
# -------
# A candidate is a query. Its score is what the image processor reports: the softmax over the
# classes and "no object". A query has no anchor, so its region, the mask of SSGrad-CAM++, is its
# box.

image = demo.scene(seed=6).image[None]
detections = detector.detect(image)[0]
print("class scores", tuple(detections.class_scores.shape))
print("queries     ", detections.candidates.tolist())
print("regions are the boxes:", torch.equal(detections.regions, detections.boxes))

# %%
# The layers
# ----------
# The adapter recommends the last stage of the backbone, a map already, and the output of the
# encoder, whose tokens are its cells row by row. It knows that grid, and brings both to
# ``(N, 1, h, w)``.

wrapper = ssgc.InstanceScoreWrapper(detector, detections)
geometry = detector.geometry((320, 400))
print(geometry)
outputs = {}
for name, layer in detector.target_layers().items():
    layer.register_forward_hook(lambda module, args, out, name=name: outputs.update({name: out}))
    grid = ssgc.SSGradCAMPlusPlus(wrapper, layer).attribute(image, target=0).shape
    print(f"{name:36} {tuple(outputs[name].shape)!s:17} -> {tuple(grid)}")

# %%
# The decoder has one token for each query and none for a place, so its layers cannot be drawn. That
# is an error, not a picture:

try:
    decoder = model.model.decoder.layers[0]
    ssgc.SSGradCAMPlusPlus(wrapper, decoder).attribute(image, target=0)
except ValueError as error:
    print(error)

# %%
# A layer the adapter does not know
# ---------------------------------
# Any layer will do whose tokens lie on a grid: pass ``reshape_transform``, which is applied to its
# output and to the gradient. The first norm of the encoder's last layer, for example:

norm = model.model.encoder.layers[-1].self_attn_layer_norm
rows, columns = grid[-2:]
cam = ssgc.SSGradCAMPlusPlus(
    wrapper, norm, reshape_transform=lambda t: t.transpose(1, 2).unflatten(2, (rows, columns))
)
print(tuple(cam.attribute(image, target=0, interpolate_mode="bilinear").shape))

# %%
# Where the tokens lie
# --------------------
# The sides of the canvas are no multiples of 32, the stride of the backbone: its convolutions round
# up, and the last row and column of tokens reach beyond the canvas. The detector says where they
# lie, and the geometry brings them to image pixels. Every second token:

board = (torch.arange(rows)[:, None] + torch.arange(columns)) % 2
cells = detector.cell_grid(norm, tuple(image.shape[-2:]), (rows, columns))
tokens = geometry.grid_to_image(board[None, None].float(), "nearest", cells)[0, 0]
plt.figure(figsize=(6.5, 5.2), layout="constrained")
plt.imshow(image[0].permute(1, 2, 0))
plt.imshow(tokens.numpy(), alpha=0.35, cmap="gray")
_ = plt.title(f"{rows} x {columns} tokens, stride {cells.stride[0]:g}", loc="left")

# %%
# Descendants
# -----------
# Conditional, DAB, Deformable, LW, RF and RT-DETR, D-FINE, DEIM, Table Transformer and YOLOS work
# in the same way; :doc:`/detectors` says what is tested. Two things differ. Models that choose
# their queries among the tokens of the image (RT-DETR and others) would choose others on a
# perturbed image; scoring keeps the chosen ones in their places. And YOLOS has no backbone: its
# layer is the input of the last attention, where the detection tokens read the patches for the
# last time.
