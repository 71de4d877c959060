"""Chooses the thresholds of ``reliance`` on planted scenes, and confirms them on others.

Of every object of the demo detector the emblem alone decides the class. Statements about the same
detection are then known to be right: with its own box it rests on the object; with the largest part
of the box that the emblem does not touch, not on the object alone; with a box beside it, on the
surroundings, or on a neighbour where the object is one of the others.

    python tests/benchmarks/measure_reliance.py [scenes in each half]
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from statistics import median

import torch

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.attr import METHODS, Layers, recording
from captum_ssgc.metrics import reliance

METHOD = METHODS["ssgrad-cam++"]
SHARES = [step / 20 for step in range(1, 20)]


def largest_part_without(box, mask):
    """The largest rectangle of the box beside the rows or columns of the mask."""
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    top, bottom, left, right = map(int, (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1))
    x1, y1, x2, y2 = box.tolist()
    parts = [(x1, y1, left, y2), (right, y1, x2, y2), (x1, y1, x2, top), (x1, bottom, x2, y2)]
    return torch.tensor(max(parts, key=lambda p: max(p[2] - p[0], 0) * max(p[3] - p[1], 0)))


def box_beside(box, size):
    """The box moved beside itself, to the side with more space; ``None`` where there is none."""
    width = float(box[2] - box[0]) + 1
    step = width if float(box[2]) + width <= size[1] else -width
    moved = box + torch.tensor([step, 0.0, step, 0.0])
    return moved if float(moved[0]) >= 0 and float(moved[2]) <= size[1] else None


def statements(detector, seed):
    """Pairs of the right verdict and what ``reliance`` says, for one scene."""
    scene = demo.scene(seed)
    image = scene.image[None]
    with recording(detector, Layers.of_detector(detector), image) as run:
        found = detector.select(run.raw)[0].above(0.6)
        truth = (scene.boxes, scene.labels, torch.ones(len(scene.boxes)))
        crowd = torch.zeros(len(found)).bool()
        kinds = ssgc.diagnosis.kinds_of(truth, (found.boxes, found.labels), crowd, 0.7)
        pairs = [
            row if kind == "found" else None
            for row, kind in zip(kinds.objects_of, kinds.detections, strict=True)
        ]
        rows = [(row, place) for place, row in enumerate(pairs) if row is not None]
        if not rows:
            return []
        chosen = found[[row for row, _ in rows]]
        [made] = run.heat_maps([METHOD.request({})], chosen)
        maps = made.heat_maps()
    stated = []
    for index, (_, place) in enumerate(rows):
        box, size = chosen.boxes[index], chosen.image_size
        rest = torch.cat([scene.boxes[:place], scene.boxes[place + 1 :]])
        part = largest_part_without(box, scene.emblem_masks[place])
        beside = box_beside(box, size)
        stated.append(("object", index, box, rest))
        if min(part[2] - part[0], part[3] - part[1]) > 4:
            stated.append(("not alone", index, part, rest))
        if beside is not None:
            stated.append(("surroundings", index, beside, rest))
            stated.append(("neighbour", index, beside, scene.boxes))
    if not stated:
        return []
    index = [one[1] for one in stated]
    moved = replace(chosen[index], boxes=torch.stack([one[2] for one in stated]).float())
    said = reliance(detector, image, moved, maps[index], others=[one[3] for one in stated])
    return [(one[0], figures) for one, figures in zip(stated, said, strict=True)]


def figure(name, one):
    if name == "neighbour":
        return one.energy_on_others
    return median(getattr(one, name).values()) / one.score


#: Threshold, the statements whose figure has to lie below it, and those whose has to reach it.
SIDES = [
    ("alone", ("not alone", "surroundings", "neighbour"), ("object",)),
    ("without", ("object",), ("surroundings", "neighbour")),
    ("neighbour", ("surroundings",), ("neighbour",)),
]


def told_apart(known, name, low, high, threshold):
    """Mean of the shares of statements on the right side of a threshold."""
    below = [figure(name, one) < threshold for truth, one in known if truth in low]
    above = [figure(name, one) >= threshold for truth, one in known if truth in high]
    return (sum(below) / len(below) + sum(above) / len(above)) / 2


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    detector = ssgc.wrap_detector(demo.detector())
    first, second = (
        [one for seed in range(start, start + count) for one in statements(detector, seed)]
        for start in (0, count)
    )
    for name, low, high in SIDES:
        found = {share: told_apart(first, name, low, high, share) for share in SHARES}
        best = [share for share in SHARES if found[share] == max(found.values())]
        chosen = median(best)
        again = told_apart(second, name, low, high, chosen)
        print(
            f"{name}: best from {best[0]} to {best[-1]}, middle {chosen:.3f}: "
            f"{max(found.values()):.3f} on the first half, {again:.3f} on the second"
        )
    for half in (first, second):
        for truth in dict.fromkeys(truth for truth, _ in half):
            verdicts = Counter(one.verdict for known, one in half if known == truth)
            print(f"{truth}: {dict(verdicts)}")


if __name__ == "__main__":
    main()
