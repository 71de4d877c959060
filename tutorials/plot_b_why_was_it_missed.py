"""
Why was it missed?
==================

An object that was not detected has no box, and so no heat map of its own. But something became of
it: a candidate that was not sure enough, one that was suppressed, one that another class has won.
:func:`captum_ssgc.diagnose` finds out which, from one forward of the model, and makes the maps of
the best candidate there.

The detector in the box misses next to nothing on its own scenes. So each object here is missed for
a cause that is planted, and the question is whether the diagnosis finds it.
"""

import matplotlib.pyplot as plt
import torch

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.visualization import overlay

detector = ssgc.wrap_detector(demo.detector(), label_names=demo.CLASS_NAMES)


def missed(found):
    return [one for one in found if one.mechanism is not None]


# %%
# Under the threshold
# -------------------
# The emblem on the octagon decides that it is a ``spot``. Here it is faded, towards the mean
# colour of the body.

scene = demo.scene(seed=26)
number = 1
emblem = scene.emblem_masks[number]
around = scene.masks[number] & ~emblem
faded = scene.image.clone()
faded[:, emblem] = 0.45 * faded[:, emblem] + 0.55 * faded[:, around].mean(1, keepdim=True)

found = ssgc.diagnose(detector, faded, scene.boxes, scene.labels, method="odam")
for one in found:
    print(one)

# %%
# There is a candidate, and it is well placed: the body was seen. What it lacks is score. Two maps
# of that candidate say why: what speaks for a ``spot`` there, and what speaks against it.

[one] = missed(found)
fig, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
axes[0].imshow(faded.permute(1, 2, 0))
axes[0].set_axis_off()
for ax, question in zip(axes[1:], ("for", "against")):
    overlay(faded, one.maps[question], one.candidate.boxes[0], f"{question} {one.label}", ax=ax)

# %%
# A map names a suspect. Give a bit of the emblem back, and score *the same candidate*, which the
# wrapper does on any image:

wrapper = ssgc.InstanceScoreWrapper(detector, one.candidate)
for share in (0.0, 0.2, 0.4, 0.7, 1.0):
    image = faded.clone()
    image[:, emblem] += share * (scene.image - faded)[:, emblem]
    with torch.no_grad():
        print(f"{share:.0%} of the emblem given back: {float(wrapper(image[None])[0, 0]):.3f}")

# %%
# Nothing else of the image has changed: it was the emblem.
#
# Suppressed
# ----------
# Two objects of one class that overlap, and a non-maximum suppression that is too eager: a wrong
# setting that no photo shows.

eager = demo.detector()
eager.roi_heads.nms_thresh = 0.1
eager = ssgc.wrap_detector(eager, label_names=demo.CLASS_NAMES)
scene = demo.scene(seed=41)
found = ssgc.diagnose(eager, scene.image, scene.boxes, scene.labels, method="odam")
[one] = missed(found)
print(one)

# %%
# The candidate is as sure as one can be. No heat map could have told that; the diagnosis names
# the detection to blame.

fig, ax = plt.subplots(figsize=(6.5, 5.2), layout="constrained")
ax.imshow(scene.image.permute(1, 2, 0))
ax.set_axis_off()
for box, color, what in (
    (one.candidate, "crimson", "suppressed"),
    (one.by, "white", "by this one"),
):
    x1, y1, x2, y2 = box.boxes[0].tolist()
    ax.add_patch(plt.Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color=color, lw=2))
    ax.text(x1 + 3, y2 + 12, f"{what}: {float(box.scores):.3f}", color=color)

# %%
# Another class wins
# ------------------
# The annotation says ``ring``. Whose mistake is it?

scene = demo.scene(seed=3)
labels = scene.labels.clone()
labels[1] = demo.CLASS_NAMES.index("ring")
found = ssgc.diagnose(detector, scene.image, scene.boxes, labels, method="odam")
[one] = missed(found)
print(one)

# %%
# The contrast asks what speaks for the class that won and not for the annotated one, at the same
# candidate.

fig, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
axes[0].imshow(scene.image.permute(1, 2, 0))
axes[0].set_axis_off()
title = f"{one.by_label}, not {one.label}"
overlay(scene.image, one.maps["contrast"], one.candidate.boxes[0], title, ax=axes[1])
x1, y1, x2, y2 = one.candidate.boxes[0].tolist()
for ax in axes:
    ax.set(xlim=(x1 - 15, x2 + 15), ylim=(y2 + 15, y1 - 15))

# %%
# It lies on the emblem, and the emblem is a spot: here the annotation is wrong, and the detector
# right. Of all errors on a data set these are worth a look first.
#
# :doc:`/diagnosis` has all kinds and mechanisms, and :doc:`/audit` counts them over a whole data
# set.
