"""
Is the map faithful?
====================

A heat map can look right and be wrong about the model. Two kinds of questions test it: does the
score follow the pixels that the map names (Deletion, Insertion), and does the map lie where the
cause is known to be (pointing games)? Both need floors: a map that knows nothing, and a map that
knows only the box.
"""

import matplotlib.pyplot as plt
import torch

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.metrics import (
    deletion_images,
    deletion_insertion,
    energy_pointing_game,
    evidence_energy,
    insertion_images,
    pointing_game,
)
from captum_ssgc.visualization import comparison_grid, curves

scene = demo.scene(seed=26)
image = scene.image[None]
detector = ssgc.wrap_detector(demo.detector(), label_names=demo.CLASS_NAMES)
names = ["grad-cam", "ssgrad-cam++"]
found = ssgc.explain(detector, scene.image, method=names)
per_object = [found[start : start + len(names)] for start in range(0, len(found), len(names))]
per_object = [per_object[0], per_object[2]]  # a small object and a large one
figure = comparison_grid(scene.image, per_object)

# %%
# Maps and floors
# ---------------
# ``random`` has a new number for every block of 8 x 8 pixels, the size of a cell; ``box`` is 1
# inside the predicted box.

detections = detector.detect(image)[0]
detections = detections[[row[0].index for row in per_object]]
maps = {
    name: torch.stack([row[column].heat_map for row in per_object])
    for column, name in enumerate(names)
}
height, width = scene.image.shape[1:]
noise = torch.rand(
    len(detections), 1, height // 8, width // 8, generator=torch.Generator().manual_seed(0)
)
maps["random"] = torch.nn.functional.interpolate(noise, (height, width))[:, 0]
maps["box"] = torch.zeros(len(detections), height, width)
for plane, (x1, y1, x2, y2) in zip(maps["box"], detections.boxes.round().long().tolist()):
    plane[y1:y2, x1:x2] = 1.0

# %%
# Deletion and Insertion
# ----------------------
# Pixels turn black in the order of the map, and the detection's score is read at every step. One
# call measures all maps and both curves; images that they share run once. ``s1`` is the class
# probability of the same candidate. A faithful map makes the score fall early, and rise early when
# the pixels come back. The curves are those of the large object, the gem; above them is what the
# detector was shown after one, three and five steps of SSGrad-CAM++.

results = deletion_insertion(detector, image, detections, maps, "yamauchi2024", scores=["s1"])
target = int(detections.levels.argmax())
label = detector.label_name(int(detections.labels[target]))
gem, its_map = detections[target], maps["ssgrad-cam++"][target][None]
steps = [1, 3, 5]
_, axes = plt.subplots(1, 2, figsize=(12, 5.2), layout="constrained")
for kind, images_at, ax in zip(
    ("deletion", "insertion"), (deletion_images, insertion_images), axes
):
    measured = {name: getattr(result, kind)["s1"] for name, result in results.items()}
    fractions = measured["random"].fractions
    images = images_at(image, gem, its_map, "yamauchi2024", steps)[0]
    curves(
        fractions,
        {name: curve.scores[target] for name, curve in measured.items()},
        ax=ax,
        thumbnails=list(zip(fractions[steps].tolist(), images)),
        title=f"{kind}: {label}",
        x_label="share of pixels removed" if kind == "deletion" else "share of pixels added",
        y_label="score / initial score",
    )

# %%
# The areas under these curves, over both objects:

print(" " * 12, "deletion (lower is better)  insertion (higher is better)")
for name, result in results.items():
    print(f"{name:12} {result.deletion['s1'].mean():27.3f} {result.insertion['s1'].mean():29.3f}")

# %%
# Three traps can be seen here. The gem's Deletion tells nothing: with every map, the random one
# included, the score is gone after one step, because black specks all over the image are something
# that the detector has never seen, and it breaks down. ``baseline="blur"`` is gentler, and
# Insertion is not fooled. Second, the area under Deletion prefers Grad-CAM and that under
# Insertion SSGrad-CAM++: look at both. Third, a step is a tenth of the image, more than the small
# object has: the curve of any map that names it first ends within one step, whatever the order
# inside. ``budget="box"`` in :class:`~captum_ssgc.metrics.CurveSettings` takes as many pixels as
# the box has instead.
#
# Does it lie on the object, and on the cause?
# --------------------------------------------
# ``evidence`` is the share of the energy on the emblem, and ``points`` whether the maximum is on
# it. On real images the cause is not known, and the same functions take the object's box or mask.

objects = [int((scene.boxes - box).abs().sum(1).argmin()) for box in detections.boxes]
boxes, emblems = scene.boxes[objects], scene.emblem_masks[objects]
print(f"{'':12} {'energy in box':>14} {'points at box':>14} {'evidence':>9} {'points':>7}")
for name, heat_maps in maps.items():
    print(
        f"{name:12}"
        f" {energy_pointing_game(heat_maps, boxes=boxes).mean():14.0%}"
        f" {pointing_game(heat_maps, boxes=boxes).mean():14.0%}"
        f" {evidence_energy(heat_maps, emblems).mean():9.0%}"
        f" {pointing_game(heat_maps, masks=emblems).mean():7.0%}"
    )

# %%
# A pointing game on boxes is won by the box itself, and knows nothing of causes. Only the planted
# evidence tells a map that knows the box from one that knows why. Two objects are an
# illustration; ``captum-ssgc benchmark`` measures hundreds, with these same floors beside them.
