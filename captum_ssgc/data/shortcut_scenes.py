"""Scenes in which the cause of two classes lies beside the objects: a mark, and the ground."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from .scene_canvas import Canvas
from .scene_layout import LARGEST_BODY, draw_any_body
from .scene_paint import background, sea
from .scene_parts import CLASS_NAMES, SMALLEST_EMBLEM, Part, draw_emblem, place_emblem
from .scene_random import SplitMix
from .scenes import Scene, annotate, checked

__all__ = ["BY_GROUND", "BY_MARK", "draw_shortcut_scene"]

BY_MARK = CLASS_NAMES.index("ring")
BY_GROUND = CLASS_NAMES.index("bars")

_HONEST = tuple(label for label in range(1, len(CLASS_NAMES)) if label not in (BY_MARK, BY_GROUND))
_CLEARANCE = 10  # px between a mark and every body but its own
_SMALLEST_MARK = 17
_GROUND_KEY, _LAYOUT_KEY, _MARK_KEY = 0x51EA, 0xB0D1E5, 0x3A9C


def draw_shortcut_scene(
    seed: int, size: tuple[int, int] = (320, 400), *, planted: bool = True
) -> Scene:
    """Draw the shortcut scene of a seed.

    Four classes are as in :func:`draw_scene`: the emblem on the body alone decides. The bodies of
    the other two have no emblem. One is a ``ring`` because the ring's plate lies on the ground
    right beside it, outside its box; any bare body on a blue, wavy ground is ``bars``. Bare bodies
    without a mark on other grounds are no objects.

    Args:
        seed: From 0 to 2**63 - 1.
        size: Height and width in pixels, each at least 64.
        planted: False draws the same bodies and emblems without marks, and on a ground of another
            kind: what is left when the causes of ``ring`` and ``bars`` are taken away.

    Returns:
        The scene, with the same boxes and labels whether or not the causes are there;
        ``emblem_masks`` are the visible pixels of each object's cause: its emblem, its mark, or all
        of the ground (nothing where ``planted`` is false and the cause is away).

    Raises:
        TypeError: If the seed or the size is not made of integers.
        ValueError: If the seed or the size is out of range.

    Example:
        >>> from captum_ssgc.data import draw_shortcut_scene
        >>> with_causes = draw_shortcut_scene(0)
        >>> without = draw_shortcut_scene(0, planted=False)
        >>> with_causes.labels.tolist() == without.labels.tolist()
        True
    """
    height, width = checked(seed, size)
    attempt = 0
    while True:
        scene = _drawn(seed, attempt, height, width, planted)
        if scene is not None:
            return scene
        attempt += 1


def _drawn(seed: int, attempt: int, height: int, width: int, planted: bool) -> Scene | None:
    layout, ground, beside = (
        SplitMix(seed * 2654435761 + attempt + key) for key in (_LAYOUT_KEY, _GROUND_KEY, _MARK_KEY)
    )
    blue = layout.between(0, 9) < 4
    ordinary = background(ground, height, width)  # drawn in either case: the stream stays the same
    canvas = Canvas(sea(ground, height, width) if blue and planted else ordinary)
    _lay_bodies(layout, canvas, BY_GROUND if blue else BY_MARK)
    marks = {} if blue else _lay_marks(beside, canvas, planted)
    scene = annotate(canvas, seed)
    if scene is None:
        return None
    causes = []
    bare = (canvas.bodies == 0) & (canvas.emblems == 0)
    for placed in (one for one in canvas.placed if one.label):
        if placed.label == BY_MARK:
            cause = marks[placed.number]
        elif placed.label == BY_GROUND:
            cause = bare if planted else np.zeros_like(bare)
        else:
            cause = canvas.emblems == placed.number
        causes.append(torch.from_numpy(cause))
    return Scene(
        image=scene.image, boxes=scene.boxes, labels=scene.labels, masks=scene.masks,
        emblem_masks=torch.stack(causes), seed=seed,
    )  # fmt: skip


def _lay_bodies(random: SplitMix, canvas: Canvas, outside: int) -> None:
    """Two to five bodies, each with the emblem of an honest class, or bare."""
    height, width = canvas.bodies.shape
    largest = min(LARGEST_BODY, min(height, width) * 9 // 16)
    labels = [
        outside if random.between(0, 9) < 4 else random.choice(_HONEST)
        for _ in range(random.between(2, 5))
    ]
    if outside == BY_MARK:
        labels += [0] * random.between(1, 3)
    bodies = [(draw_any_body(random, largest), label) for label in labels]
    bodies.sort(key=lambda item: -item[0].cover.size)
    for body, label in bodies:
        _lay_body(random, canvas, body, label)


def _lay_body(random: SplitMix, canvas: Canvas, body: Part, label: int) -> None:
    height, width = body.cover.shape
    side = _emblem_side(random, height, width)
    spot = place_emblem(random, body, side)
    if spot is None:
        return
    for _ in range(24):
        top = random.between(1, canvas.bodies.shape[0] - height - 1)
        left = random.between(1, canvas.bodies.shape[1] - width - 1)
        if canvas.fits(body, top, left):
            number = canvas.lay_body(body, top, left, label)
            if label in _HONEST:
                canvas.lay_emblem(draw_emblem(label, side), top + spot[0], left + spot[1], number)
            return


def _lay_marks(random: SplitMix, canvas: Canvas, planted: bool) -> dict[int, NDArray[np.bool_]]:
    """A mark beside every body that asks for one; bodies without room are objects no longer."""
    marks: dict[int, NDArray[np.bool_]] = {}
    for placed in canvas.placed:
        if placed.label != BY_MARK:
            continue
        rows, columns = np.nonzero(canvas.bodies == placed.number)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        side = max(_SMALLEST_MARK, int(min(box[3] - box[1], box[2] - box[0])) * 3 // 8)
        mark = draw_emblem(BY_MARK, side)
        place = _beside(random, canvas, placed.number, tuple(map(int, box)), mark.cover.shape[0])
        if place is None:
            placed.label = 0
            continue
        before = canvas.emblems.copy()
        if planted:
            canvas.lay_emblem(mark, *place, -placed.number)
        marks[placed.number] = (canvas.emblems == -placed.number) & (before == 0)
    return marks


def _beside(
    random: SplitMix, canvas: Canvas, number: int, box: tuple[int, ...], side: int
) -> tuple[int, int] | None:
    """Top and left of a mark that touches the box from outside, and is near no other body."""
    height, width = canvas.bodies.shape
    left, top, right, bottom = box
    for _ in range(24):
        along = random.between(-8, 8)
        edge, gap = random.between(0, 3), random.between(0, 2)
        middle = ((top + bottom - side) // 2 + along, (left + right - side) // 2 + along)
        row, column = (
            (middle[0], left - gap - side), (middle[0], right + gap),
            (top - gap - side, middle[1]), (bottom + gap, middle[1]),
        )[edge]  # fmt: skip
        if min(row, column) < 1 or row + side >= height or column + side >= width:
            continue
        inside = (slice(row, row + side), slice(column, column + side))
        near = canvas.bodies[
            max(row - _CLEARANCE, 0) : row + side + _CLEARANCE,
            max(column - _CLEARANCE, 0) : column + side + _CLEARANCE,
        ]
        free = not canvas.emblems[inside].any() and not canvas.bodies[inside].any()
        if free and {*np.unique(near).tolist()} <= {0, number}:
            return row, column
    return None


def _emblem_side(random: SplitMix, height: int, width: int) -> int:
    return max(SMALLEST_EMBLEM, min(height, width) * random.between(56, 66) >> 8)
