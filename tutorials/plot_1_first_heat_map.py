"""
First heat map in ten lines
===========================

Which pixels made the detector find *this* object? The detector here is the one in the box: a small
Faster R-CNN trained on drawn scenes, in which the cause of every label is known. A body's shape,
colour and texture say nothing about its class; only the small emblem on it does.
"""

from captum.attr import visualization as captum_visualization

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.visualization import overview

scene = demo.scene(seed=6)
model = demo.detector()
detector = ssgc.wrap_detector(model, label_names=demo.CLASS_NAMES)
found = ssgc.explain(detector, scene.image)
figure = overview(scene.image, found)

# %%
# Every detection of the image has a heat map of its own, at the size of the image, from one forward
# of the model. The two emblems that lie on no body are decoys; the detector leaves them alone, and
# no map goes there.

for e in found:
    inside = e.energy_in_box()
    print(f"{e.label:6} score {e.score:.3f}   {inside:.0%} of the energy in the box   {e.layer}")

# %%
# The parts by hand
# -----------------
# ``explain`` is a short way to write the following. The wrapper turns the detector into a plain
# function, images to the scores of the chosen detections, and ``target=k`` is detection ``k``.

image = scene.image[None]
detections = detector.detect(image)[0].above(0.5)
wrapper = ssgc.InstanceScoreWrapper(detector, detections)
layer = detector.layer_for(detections, 0)

cam = ssgc.SSGradCAMPlusPlus(wrapper, layer)
on_grid = cam.attribute(image, target=0)
in_pixels = cam.attribute(image, target=0, interpolate_mode="bilinear")
print(tuple(on_grid.shape), tuple(in_pixels.shape))

# %%
# Everything else in Captum works on the wrapper, such as its pictures:

figure, _ = captum_visualization.visualize_image_attr(
    in_pixels[0].permute(1, 2, 0).numpy(),
    scene.image.permute(1, 2, 0).numpy(),
    method="blended_heat_map",
    sign="positive",
    show_colorbar=True,
    use_pyplot=True,
)

# %%
# Does the map know the cause?
# ----------------------------
# The scene has a mask of each emblem, so that it can be measured: the share of the heat map's
# energy on the emblem, beside the emblem's share of the body's area, which is what an even map of
# the body would give.

for e in found:
    best = int((scene.boxes - e.box).abs().sum(1).argmin())
    emblem, body = scene.emblem_masks[best], scene.masks[best]
    energy = e.heat_map[emblem].sum() / e.heat_map.sum()
    area = emblem.sum() / body.sum()
    print(f"{e.label:6} {energy:4.0%} of the energy on the emblem, {area:4.0%} of the body's area")

# %%
# The emblem gets more than its area, but most of the energy is on the rest of the body. That is no
# error of the map alone. The score says two things at once, *there is an object here* and *it is of
# this class*, and the body answers the first. And a cell of this layer is 8 pixels wide, nearly the
# size of these emblems. The next tutorials compare methods and measure what the maps are worth.
