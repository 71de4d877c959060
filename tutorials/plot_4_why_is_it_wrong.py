"""
Why is it wrong?
================

Three errors of the detector in the box: a false positive, a wrong class, and a box edge that is
off. They are real errors, among those in the scenes of the seeds 0 to 119, and were picked because
a suspect is easy to see; not every error is so clear. Each time the heat map suggests a cause, and
since the scenes are drawn, the cause can be taken away to see whether the suggestion holds.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import torch

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.visualization import overlay

detector = ssgc.wrap_detector(demo.detector(), label_names=demo.CLASS_NAMES)


def heat_map(image, detections, target, output="score"):
    wrapper = ssgc.InstanceScoreWrapper(detector, detections, output)
    cam = ssgc.SSGradCAMPlusPlus(wrapper, detector.layer_for(detections, target))
    return cam.attribute(image, target=target, interpolate_mode="bilinear")[0, 0]


def painted_over(scene, part, of):
    """The scene with ``part`` in the mean colour of ``of``."""
    image = scene.image.clone()
    image[:, part] = image[:, of & ~part].mean(1, keepdim=True)
    return image[None]


def closer(axes, box):
    """Show the box and what is around it."""
    x1, y1, x2, y2 = box.tolist()
    for ax in axes:
        ax.set(xlim=(max(x1 - 20, 0), x2 + 20), ylim=(y2 + 20, max(y1 - 20, 0)))
        ax.set_axis_off()


# %%
# A false positive
# ----------------
# In this scene the olive body has no emblem, so it is no object. The detector calls it ``bars``.

scene = demo.scene(seed=41)
image = scene.image[None]
detections = detector.detect(image)[0].above(0.5)
target = len(detections) - 1
wrapper = ssgc.InstanceScoreWrapper(detector, detections)
score = float(detections.scores[target])

_, axes = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
axes[0].imshow(scene.image.permute(1, 2, 0))
axes[0].set_axis_off()
heat = heat_map(image, detections, target)
_ = overlay(scene.image, heat, detections.boxes[target], "bars", score, ax=axes[1])

# %%
# The map leaves the box at one place only: it reaches the large ``bars`` emblem of the purple body
# behind. Is that the cause? Paint over one emblem after the other, and score the same candidate.

for number, label in enumerate(scene.labels.tolist()):
    emblem, body = scene.emblem_masks[number], scene.masks[number]
    share = float(heat[emblem].sum() / heat.sum())
    with torch.no_grad():
        after = float(wrapper(painted_over(scene, emblem, body))[0, target])
    name = demo.CLASS_NAMES[label]
    print(f"{name:5} {share:4.0%} of the energy   {score:.3f} -> {after:.3f}")

# %%
# Yes: without the large emblem the false positive is gone, and the others hardly matter to it. The
# detector knows that an emblem is near, but not whose it is.
#
# A wrong class
# -------------
# A blue body with a wedge, and a small green one with a plus that lies on it. The detector reports
# the blue body twice, as ``plus`` and as ``wedge``.

scene = demo.scene(seed=13)
image = scene.image[None]
detections = detector.detect(image)[0].above(0.5)
names = [detector.label_name(label) for label in detections.labels.tolist()]
target = max(k for k, name in enumerate(names) if name == "plus")  # the less certain one
for name, value in zip(demo.CLASS_NAMES, detections.class_scores[target].tolist()):
    print(f"{name:10} {value:.3f}")

# %%
# The class scores say that the candidate hesitates. Any class of it can be explained: give the
# detection another label. The logit is the better output here, as a softmax moves all classes at
# once.

wedge = demo.CLASS_NAMES.index("wedge")
labels = detections.labels.clone()
labels[target] = wedge
as_wedge = replace(detections, labels=labels)

_, axes = plt.subplots(1, 3, figsize=(13, 4.6), layout="constrained")
axes[0].imshow(scene.image.permute(1, 2, 0))
for ax, which, name in zip(axes[1:], (detections, as_wedge), ("plus", "wedge")):
    heat = heat_map(image, which, target, output="logit")
    overlay(scene.image, heat, detections.boxes[target], f"why {name}?", ax=ax)
closer(axes, detections.boxes[target])

# %%
# The map for ``wedge`` lies on the wedge and leaves the green body out. The map for ``plus`` is
# broader, but it is the one that has the green body in it. Again, take the suspect away: the
# emblem of the green body.

plus_object = 4
without = painted_over(scene, scene.emblem_masks[plus_object], scene.masks[plus_object])
for which, name in ((detections, "plus"), (as_wedge, "wedge")):
    wrapper = ssgc.InstanceScoreWrapper(detector, which)
    with torch.no_grad():
        before, after = (float(wrapper(x)[0, target]) for x in (image, without))
    print(f"{name:5} {before:.3f} -> {after:.3f}")

# %%
# Without the plus the same candidate becomes the ``wedge`` that it should have been.
#
# A box edge that is off
# ----------------------
# The class of the purple body is right and its score is high, but its box ends too early.

scene = demo.scene(seed=62)
image = scene.image[None]
detections = detector.detect(image)[0].above(0.5)
purple, green = 1, 2  # the scene's own numbers
target = int((detections.boxes - scene.boxes[purple]).abs().sum(1).argmin())
print("true box", [round(x) for x in scene.boxes[purple].tolist()])
print("reported", [round(x) for x in detections.boxes[target].tolist()])

# %%
# ``output="bottom"`` makes the wrapper return that edge, in pixels. An edge is pushed both ways, so
# keep both signs: positive contributions push it down, negative ones hold it up. ODAM was made for
# this.

wrapper = ssgc.InstanceScoreWrapper(detector, detections, output="bottom")
cam = ssgc.ODAM(wrapper, detector.layer_for(detections, target))
signed = cam.attribute(image, target=target, relu_attributions=False, interpolate_mode="bilinear")[
    0, 0
]

_, axes = plt.subplots(1, 3, figsize=(13, 5.4), layout="constrained")
axes[0].imshow(scene.image.permute(1, 2, 0))
for ax, heat, name in zip(axes[1:], (signed, -signed), ("pushes it down", "holds it up")):
    share = float(heat.max() / signed.abs().max())
    overlay(scene.image, heat, detections.boxes[target], f"{name}, peak {share:.0%}", ax=ax)
closer(axes, scene.boxes[purple])

# %%
# Each map has its own scale; the titles say how high its peak is beside the higher of the two.
# What holds the edge up is stronger, and lies along the lower rim of the green body. Paint that
# body over, and read all four edges of the same candidate:

without = painted_over(scene, scene.masks[green], scene.masks[purple])
for name, x in (("as it is", image), ("without the green body", without)):
    edges = []
    for output in ("left", "top", "right", "bottom"):
        wrapper = ssgc.InstanceScoreWrapper(detector, detections, output)
        with torch.no_grad():
            edges.append(round(float(wrapper(x)[0, target])))
    print(f"{name:22} {edges}")

# %%
# The bottom moves down by 38 pixels, to within 6 of the truth: the detector took the rim of the
# body in front for the end of the one behind.
#
# A heat map is a hypothesis. Where the image can be changed, test it: the wrapper scores the same
# candidate on any image of the same size, and nothing else about the detector moves.
