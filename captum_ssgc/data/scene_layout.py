"""What a scene holds and where: objects, bare bodies and stray emblems."""

from __future__ import annotations

from .scene_canvas import Canvas
from .scene_paint import background
from .scene_parts import (
    CLASS_NAMES,
    SMALLEST_BODY,
    SMALLEST_EMBLEM,
    Part,
    draw_body,
    draw_emblem,
    place_emblem,
)
from .scene_random import SplitMix

LARGEST_BODY = 300
# Body sides in px, about a fifth of an octave apart: sizes are even on a log scale.
_SIDES = (24, 27, 31, 36, 41, 47, 54, 62, 71, 81, 93, 107, 123, 141, 162, 186, 214, 245, 281, 300)
_DECOY_COUNTS = (0, 0, 1, 1, 2)


def compose(random: SplitMix, height: int, width: int) -> Canvas:
    """A painted canvas with at most six labelled objects and at most four decoys."""
    canvas = Canvas(background(random, height, width))
    largest = min(LARGEST_BODY, min(height, width) * 15 // 16)
    labels = [random.between(1, len(CLASS_NAMES) - 1) for _ in range(random.between(1, 6))]
    labels += [0] * random.choice(_DECOY_COUNTS)
    bodies = [(draw_any_body(random, largest), label) for label in labels]
    bodies.sort(key=lambda item: -item[0].cover.size)
    for body, label in bodies:
        _add_body(random, canvas, body, label)
    for _ in range(random.choice(_DECOY_COUNTS)):
        _add_stray_emblem(random, canvas)
    return canvas


def draw_any_body(random: SplitMix, largest: int) -> Part:
    """A body of any size, shape and look, each side ``largest`` px at most."""
    step = random.between(0, len(_SIDES) - 2)
    side = random.between(_SIDES[step], _SIDES[step + 1])
    width = min(max(side * random.between(216, 304) >> 8, SMALLEST_BODY), largest)
    height = min(max(side * random.between(216, 304) >> 8, SMALLEST_BODY), largest)
    return draw_body(random, width, height, largest)


def _add_body(random: SplitMix, canvas: Canvas, body: Part, label: int) -> None:
    height, width = body.cover.shape
    emblem_side = max(SMALLEST_EMBLEM, min(height, width) * random.between(56, 66) >> 8)
    spot = place_emblem(random, body, emblem_side)
    if spot is None:
        return
    for _ in range(24):
        top = random.between(1, canvas.bodies.shape[0] - height - 1)
        left = random.between(1, canvas.bodies.shape[1] - width - 1)
        if canvas.fits(body, top, left):
            number = canvas.lay_body(body, top, left, label)
            if label:
                emblem = draw_emblem(label, emblem_side)
                canvas.lay_emblem(emblem, top + spot[0], left + spot[1], number)
            return


def _add_stray_emblem(random: SplitMix, canvas: Canvas) -> None:
    emblem = draw_emblem(random.between(1, len(CLASS_NAMES) - 1), random.between(13, 44))
    side = emblem.cover.shape[0]
    for _ in range(12):
        top = random.between(2, canvas.bodies.shape[0] - side - 2)
        left = random.between(2, canvas.bodies.shape[1] - side - 2)
        if canvas.is_bare(emblem, top, left, margin=4):
            canvas.lay_emblem(emblem, top, left, -1)
            return
