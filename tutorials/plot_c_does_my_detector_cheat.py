"""
Does my detector cheat?
=======================

A detector may be right for a wrong reason: it knows cows by the meadow, and trucks by the logo of
one agency's photos. It finds everything on the data that it was tested on, and fails elsewhere.
What gives it away?

Here is a detector that is known to cheat. On its scenes four classes are decided by the emblem on
the object. The other two are not: a bare body is a ``ring`` because a mark lies beside it, and
``bars`` because the ground is blue. Would we find out, without having been told?
"""

from collections import defaultdict
from statistics import median

import matplotlib.pyplot as plt
import torch
from torchvision.ops import box_iou

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.metrics import reliance
from captum_ssgc.visualization import overlay

detector = ssgc.wrap_detector(demo.shortcut_detector(), label_names=demo.CLASS_NAMES)
SEEDS = (505, 507, 508, 510, 511)
scenes = [demo.shortcut_scene(seed) for seed in SEEDS]


def found_of(scenes):
    """How many of the objects are found, by class."""
    counts = defaultdict(lambda: [0, 0])
    for scene in scenes:
        found = detector.detect(scene.image)[0].above(0.5)
        same = scene.labels[:, None] == found.labels
        hits = ((box_iou(scene.boxes, found.boxes) > 0.5) & same).any(1)
        for label, hit in zip(scene.labels.tolist(), hits.tolist()):
            counts[demo.CLASS_NAMES[label]][0] += hit
            counts[demo.CLASS_NAMES[label]][1] += 1
    return {name: f"{hits} of {all_}" for name, (hits, all_) in sorted(counts.items())}


print(found_of(scenes))

# %%
# Nothing gives it away here. Every class is found, and a mean average precision would say so.
#
# Take the surroundings away
# --------------------------
# :func:`captum_ssgc.metrics.reliance` scores each detection twice more: on the image with all but
# its box removed, and on the image with the box removed. What is left of the score?

alone, without = defaultdict(list), defaultdict(list)
for scene in scenes:
    found = detector.detect(scene.image)[0].above(0.5)
    for label, one in zip(found.labels.tolist(), reliance(detector, scene.image[None], found)):
        name = demo.CLASS_NAMES[label]
        alone[name].append(min(median(one.alone.values()) / one.score, 1.0))
        without[name].append(min(median(one.without.values()) / one.score, 1.0))

mean = {name: sum(shares) / len(shares) for name, shares in alone.items()}
for name in sorted(mean, key=mean.get):
    rest = sum(without[name]) / len(without[name])
    print(f"{name:6} with the box alone {mean[name]:4.0%}, without the box {rest:4.0%}")

# %%
# Two classes stand out: with nothing but their box they lose most of their score. They do not
# live on the surroundings alone, either (there must be something to put a box around). That is
# what a shortcut mostly looks like, and it is what ``captum-ssgc audit`` ranks the classes of a
# data set by (:doc:`/audit`).
#
# Where to look
# -------------
# It is one thing to know that something around matters, and another to know what. A map of the
# layer that the detector is read from ends at the region. Earlier layers see further: here a
# stage of the backbone, whose gradient has passed through the pyramid.

LAYER = "backbone.body.layer3"
chosen = {}
for name in (demo.CLASS_NAMES[demo.BY_MARK], demo.CLASS_NAMES[demo.BY_GROUND]):
    for scene in scenes:
        found = detector.detect(scene.image)[0].above(0.5)
        of_class = [k for k in range(len(found)) if demo.CLASS_NAMES[found.labels[k]] == name]
        if of_class and name not in chosen:
            chosen[name] = (scene, found, of_class[0])

fig, axes = plt.subplots(2, 2, figsize=(11, 8.6), layout="constrained")
for (ax, other), (name, (scene, found, k)) in zip(axes, chosen.items()):
    wrapper = ssgc.InstanceScoreWrapper(detector, found, "logit")
    cam = ssgc.ODAM(wrapper, detector.module_named(LAYER))
    heat = cam.attribute(scene.image[None], target=k, interpolate_mode="bilinear")[0, 0]
    ax.imshow(scene.image.permute(1, 2, 0))
    ax.set_axis_off()
    overlay(scene.image, heat, found.boxes[k], name, float(found.scores[k]), ax=other)

# %%
# For the ``ring``, the hottest place is not in the box at all: it is the mark beside it. For
# ``bars`` it is the rim, where the body meets the waves. A map names a suspect, and a suspect is
# not a culprit. So the last step is always the same.
#
# Take the suspect away
# ---------------------
# The scenes can be drawn again without the marks and on another ground, with every body where it
# was. With photos one would paint over, or look for photos without.

for name, (scene, found, k) in chosen.items():
    wrapper = ssgc.InstanceScoreWrapper(detector, found)
    clean = demo.shortcut_scene(scene.seed, planted=False)
    with torch.no_grad():
        before, after = (float(wrapper(one.image[None])[0, k]) for one in (scene, clean))
    print(f"{name:6} {before:.3f} -> {after:.3f}")

print(found_of([demo.shortcut_scene(seed, planted=False) for seed in SEEDS]))

# %%
# The same bodies are no longer found where the cause is gone; the four honest classes do not
# care. That is a proof, and the only one: the score depends on what is not the object.
#
# An honest detector
# ------------------
# The same question to the detector in the box, on its own scenes, should accuse nobody.

honest = ssgc.wrap_detector(demo.detector(), label_names=demo.CLASS_NAMES)
verdicts = defaultdict(int)
for seed in range(300, 302):
    image = demo.scene(seed).image[None]
    found = honest.detect(image)[0].above(0.5)
    for one in reliance(honest, image, found):
        verdicts[one.verdict] += 1
print(dict(verdicts))

# %%
# Thresholds, and what the verdicts mean: :doc:`/diagnosis`. What a map cannot say:
# :doc:`/reading`.
