"""
Benchmark on your data
======================

Which method suits *your* detector on *your* images? One figure of one image answers nothing. The
benchmark measures every method on a whole data set in the COCO format, says how certain the
differences are, and can be stopped at any time without losing work.
"""

import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.benchmark import BenchmarkSettings, run_benchmark

# %%
# A data set
# ----------
# Anything in the COCO format: a JSON file with ``images``, ``annotations`` and ``categories``,
# and a folder with the image files. Here four synthetic scenes are written as one. Masks, as
# polygons or run lengths, are needed only for the columns "by mask"; these annotations have none.

folder = Path(tempfile.mkdtemp())
images, annotations = [], []
for seed in range(4):
    scene = demo.scene(seed)
    name = f"scene_{seed}.png"
    pixels = (scene.image * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(folder / name)
    height, width = pixels.shape[:2]
    images.append({"id": seed, "file_name": name, "height": height, "width": width})
    for (x1, y1, x2, y2), label in zip(scene.boxes.tolist(), scene.labels.tolist()):
        annotations.append({
            "id": len(annotations) + 1, "image_id": seed, "category_id": label,
            "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": 0,
        })  # fmt: skip
categories = [{"id": place, "name": name} for place, name in enumerate(demo.CLASS_NAMES) if place]
data = folder / "instances.json"
data.write_text(
    json.dumps({"images": images, "annotations": annotations, "categories": categories})
)

# %%
# A run
# -----
# The preset, the paper's by default, decides which detections count (a score above 0.6; for the
# pointing games an annotation of the same class with an IoU above 0.7) and how Deletion and
# Insertion are done. The best detection of each image is enough here. ``floors`` are maps that
# know nothing about the detector: a method that loses to one of them is marked with ▾.
#
# The same from the command line:
#
# .. code-block:: console
#
#    captum-ssgc benchmark --data instances.json --images photos --model demo \
#        --method grad-cam,odam,ssgrad-cam++ --floors box --top-k 1 -o run

detector = ssgc.wrap_detector(demo.detector(), label_names=demo.CLASS_NAMES)
settings = BenchmarkSettings(
    methods=["grad-cam", "odam", "ssgrad-cam++"],
    metrics=["deletion-insertion", "pointing-game", "energy-pointing-game"],
    floors=["box"],
    max_detections=1,
)
run = folder / "run"
summary = run_benchmark(detector, data, run, settings)
print((run / "table.md").read_text())

# %%
# How certain is it?
# ------------------
# Every cell has a 95% interval, from a bootstrap over images, and a paired test against
# SSGrad-CAM++; both are in ``table.csv`` and in the report. With four images no difference is
# significant, and the table says so (≈).

figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained", sharey=True)
for ax, key, title in zip(
    axes, ("ins_s1", "ep_b"), ("Insertion s1 (higher is better)", "energy in the box")
):
    cells = [row.cells[key] for row in summary.rows]
    means = np.array([cell.mean for cell in cells])
    spread = np.array([[cell.mean - cell.low, cell.high - cell.mean] for cell in cells]).T
    ax.errorbar(means, range(len(means)), xerr=spread.clip(min=0), fmt="o", capsize=4)
    ax.set(title=title, yticks=range(len(means)), yticklabels=[row.title for row in summary.rows])
    ax.margins(y=0.15)
axes[0].invert_yaxis()

# %%
# Nothing is computed twice
# -------------------------
# Each image's results are on the disk before the next image begins. The same command goes on where
# a killed run was; on a finished run it has nothing left to do. Other settings in the same folder
# are refused, with the difference.

again = run_benchmark(detector, data, run, settings)
print("the same numbers:", [row.cells for row in again.rows] == [row.cells for row in summary.rows])
try:
    run_benchmark(detector, data, run, BenchmarkSettings(methods="odam"))
except ssgc.benchmark.BenchmarkError as error:
    print(error)

# %%
# ``report.html`` needs no server and no network: table, curves, and for each method the best, the
# median and the worst example with their heat maps.

print(sorted(path.name for path in run.iterdir()))

# %%
# Many processes
# --------------
# PyTorch's own launcher shares out the images. The numbers do not depend on how many processes
# there are, so a run may even go on with another number of them.
#
# .. code-block:: console
#
#    torchrun --nproc-per-node=8 -m captum_ssgc benchmark --data instances.json --images photos \
#        --model fasterrcnn_resnet50_fpn_v2 --method all -o run
#
# D-RISE takes most of the time, as it runs the detector once for each mask: leave it out, or take
# fewer masks with ``--masks``, for a first look. :doc:`/benchmark` has examples for Slurm and for
# several machines.
