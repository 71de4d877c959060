"""
Your own model
==============

What does it take to explain a detector that no adapter knows? A function from an image to boxes and
class scores, differentiable, before any non-maximum suppression. The rest of this page is one such
detector, small enough to be read: a dense network whose weights are set by hand, so that what it
looks at is known.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

import captum_ssgc as ssgc
from captum_ssgc.detectors import CandidateDetector, Candidates, Letterbox
from captum_ssgc.visualization import overlay, overview

# %%
# The network
# -----------
# Three channels: how red, green and blue a pixel is. Two levels of different stride look for a blob
# of one colour that fills 3 x 3 cells and ends there, and predict two classes, *red* and *blue*. A
# real network would be trained and predict boxes, too; here the box of a cell is fixed, and the
# blobs of the picture below lie in the middle of cells, so that it fits them.


class BlobDetector(nn.Module):
    def __init__(self):
        super().__init__()
        self.colors = nn.Conv2d(3, 3, 1)
        self.fine = nn.Sequential(nn.AvgPool2d(8), nn.ReLU())
        self.coarse = nn.Sequential(nn.AvgPool2d(16), nn.ReLU())
        self.head = nn.Conv2d(3, 2, 5, padding=2)  # the same for both levels
        with torch.no_grad():
            # a colour minus half of the others: grey gives nothing
            self.colors.weight.copy_(1.5 * torch.eye(3)[..., None, None] - 0.5)
            self.colors.bias.zero_()
            blob = torch.full((5, 5), -0.5)
            blob[1:4, 1:4] = 1.0
            self.head.weight.zero_()
            self.head.weight[0, 0] = self.head.weight[1, 2] = blob
            self.head.bias.fill_(-3.0)

    def forward(self, canvas):
        colors = self.colors(canvas)
        return [self.head(self.fine(colors)), self.head(self.coarse(colors))]


# %%
# The decoder
# -----------
# It brings what the network returns to :class:`~captum_ssgc.detectors.Candidates`: all boxes in
# pixels of the canvas, all class scores, and, where there are such, the logits, the anchors
# (``regions``) and the pyramid level of each candidate.

STRIDES = (8, 16)


def decode(outputs):
    logits, boxes, levels = [], [], []
    for level, (output, stride) in enumerate(zip(outputs, STRIDES)):
        rows, columns = output.shape[-2:]
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        centre = (torch.stack([x, y], -1).reshape(-1, 2) + 0.5) * stride
        boxes.append(torch.cat([centre - 1.5 * stride, centre + 1.5 * stride], 1))
        logits.append(output.flatten(2).transpose(1, 2))
        levels.append(torch.full((rows * columns,), level))
    logits, boxes = torch.cat(logits, 1), torch.cat(boxes)
    return Candidates(
        boxes=boxes.expand(len(logits), -1, 4),
        class_scores=logits.sigmoid(),
        class_logits=logits,
        regions=boxes,
        levels=torch.cat(levels),
    )


# %%
# The detector
# ------------
# ``preprocess`` brings an image to the network's canvas and says how it lies there;
# :class:`~captum_ssgc.detectors.Letterbox` resizes and pads as YOLO does. ``level_layers`` names
# the layer that feeds each level's head: the last one that all predictions of that level go
# through.

network = BlobDetector().eval()
detector = CandidateDetector(
    network,
    decode,
    preprocess=Letterbox((128, 128)),
    level_layers=["fine", "coarse"],
    score_threshold=0.5,
    iou_threshold=0.2,
    label_names=["red", "blue"],
)

image = torch.full((3, 100, 160), 0.5)
image += 0.06 * torch.rand(3, 100, 160, generator=torch.Generator().manual_seed(0))
y, x = torch.meshgrid(torch.arange(100), torch.arange(160), indexing="ij")
for centre, radius, color in (
    ((25, 35), 15, (0.9, 0.2, 0.1)),
    ((50, 90), 30, (0.1, 0.3, 0.9)),
    ((25, 145), 14, (0.9, 0.1, 0.2)),
    ((76, 30), 16, (0.2, 0.8, 0.2)),
):
    inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2
    image[:, inside] = torch.tensor(color)[:, None]

found = ssgc.explain(detector, image)
figure = overview(image, found)
for e in found:
    print(f"{e.label:4} {e.score:.2f}  {e.energy_in_box():.0%} of the energy in the box, {e.layer}")

# %%
# The maps lie on blobs of the right colour and size, as the weights say they must: the fine level
# has the small ones, the coarse level the large one, and the green blob is in no map.
#
# Check it before you trust it
# ----------------------------
# Two lines tell whether ``decode`` is right: the wrapper must give the reported scores again, and
# the recommended layer must have a gradient (an all-zero map warns).

detections = detector.detect(image)[0]
wrapper = ssgc.InstanceScoreWrapper(detector, detections)
with torch.no_grad():
    print(detections.scores, wrapper(image[None])[0])

# %%
# Which layer?
# ------------
# One whose output is a map ``(N, C, h, w)`` and runs once. The head here runs once for each level,
# and has no single map:

try:
    ssgc.SSGradCAMPlusPlus(wrapper, network.head).attribute(image[None], target=0)
except ValueError as error:
    print(error)

# %%
# The layer that all levels share works for every detection, here at the full size of the canvas:

cam = ssgc.SSGradCAMPlusPlus(wrapper, network.colors)
maps = cam.attribute_instances(image[None], interpolate_mode="bilinear")
_, axes = plt.subplots(1, len(maps), figsize=(12, 3), layout="constrained")
for ax, heat, box, score in zip(axes, maps[:, 0], detections.boxes, detections.scores):
    overlay(image, heat, box, score=float(score), ax=ax)

# %%
# The finer the layer, the finer the map. What it costs is shown in the tutorial on layers: in a
# trained network, early layers know edges and colours, and not yet objects.
#
# An ONNX file
# ------------
# The usual layouts are recognised, and level layers are found from the graph:
#
# .. code-block:: python
#
#    from captum_ssgc.detectors import onnx_detector
#
#    detector = onnx_detector("detector.onnx")
#    print(detector.description)
#
# Any other goes through the same steps as above, with the converted graph as network; its modules
# are named after the nodes of the file:
#
# .. code-block:: python
#
#    from captum_ssgc.detectors import CandidateDetector, Letterbox, load_onnx
#
#    network, shape = load_onnx("detector.onnx")
#    print([name for name, _ in network.named_modules()])
#    detector = CandidateDetector(
#        network, decode, preprocess=Letterbox((640, 640)), level_layers=["neck_0", "neck_1"]
#    )
