"""
Comparing methods
=================

Do six methods give six answers? All of them explain the same detections of the same scene here, at
the same layer. What differs between them is the formula and nothing else.
"""

import torch

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.attr import METHODS
from captum_ssgc.metrics import energy_pointing_game, evidence_energy, pointing_game
from captum_ssgc.visualization import comparison_grid

scene = demo.scene(seed=8)
detector = ssgc.wrap_detector(demo.detector(), label_names=demo.CLASS_NAMES)
torch.manual_seed(0)  # D-RISE draws random masks
found = ssgc.explain(
    detector,
    scene.image,
    method="all",
    score_threshold=0.9,
    method_options={"d-rise": {"n_masks": 120}},
)
per_object = [found[start : start + len(METHODS)] for start in range(0, len(found), len(METHODS))]
print(f"{len(per_object)} detections, {len(METHODS)} methods")

# %%
# ``method="all"`` gives one explanation for each detection and method. The methods made of
# gradients share one forward; D-RISE needs one for every mask, here 120 instead of its usual
# 5,000. Below each map is the share of its energy inside the box.

chosen = per_object[2:4]
captions = [[f"{e.energy_in_box():.0%} in the box" for e in row] for row in chosen]
figure = comparison_grid(scene.image, chosen, captions=captions)

# %%
# Two objects that overlap: which map belongs to which? Grad-CAM and Grad-CAM++ give every channel
# one weight for the whole image, so that whatever excites the same channels lights up too,
# wherever it is: the neighbour, and Grad-CAM++ has its maximum for the wedge far from the emblem.
# The maps of ODAM and of both SSGrad-CAMs stay with their object, since each cell counts by its
# own gradient. D-RISE peaks on both emblems without a look inside the model, but its map has no
# zero: a pixel that does not matter gets the mean weight, so its energy is spread over the whole
# image.
#
# In numbers
# ----------
# For all detections of this scene: the share of the energy inside the object's box, the same on its
# emblem, and whether the maximum lies on the emblem. The emblem is what decides the class. An even
# map of the box is the floor that any map of the right object has to beat.

objects = [int((scene.boxes - row[0].box).abs().sum(1).argmin()) for row in per_object]
boxes, emblems = scene.boxes[objects], scene.emblem_masks[objects]
even = torch.zeros(len(objects), *scene.image.shape[1:])
for plane, (x1, y1, x2, y2) in zip(even, boxes.long().tolist()):
    plane[y1:y2, x1:x2] = 1.0
maps = {
    name: torch.stack([row[column].heat_map for row in per_object])
    for column, name in enumerate(METHODS)
}
maps["even map of the box"] = even
print(" " * 20, "energy in box  energy on emblem  maximum on emblem")
for name, heat_maps in maps.items():
    in_box = energy_pointing_game(heat_maps, boxes=boxes).mean()
    on_emblem = evidence_energy(heat_maps, emblems).mean()
    hit = pointing_game(heat_maps, masks=emblems).mean()
    print(f"{name:20} {in_box:13.0%} {on_emblem:16.0%} {hit:18.0%}")
