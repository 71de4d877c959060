"""The canvas of a scene: lays bodies and emblems down and keeps what must stay visible."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .scene_paint import blend
from .scene_parts import Part
from .scene_shapes import IntArray

# Percentages of a part's own pixels that must stay visible.
BODY_VISIBLE = 55
EMBLEM_VISIBLE = 90

Window = tuple[slice, slice]


@dataclass
class Placed:
    """A part on the canvas: its number in the owner map, pixel counts, and label (0: a decoy)."""

    number: int
    label: int
    total: int
    visible: int


class Canvas:
    """Pixels of a scene with, for each, the number of the body and of the emblem seen there.

    Args:
        ground: Background, ``(H, W, 3)``, 0 to 255.
    """

    def __init__(self, ground: IntArray) -> None:
        self.pixels = ground
        self.bodies: NDArray[np.int32] = np.zeros(ground.shape[:2], np.int32)
        self.emblems: NDArray[np.int32] = np.zeros(ground.shape[:2], np.int32)
        self.placed: list[Placed] = []
        self._emblem_counts: dict[int, tuple[int, int]] = {}

    def fits(self, body: Part, top: int, left: int) -> bool:
        """Whether what lies below stays visible enough under a body laid here."""
        window, mask = _window(body, top, left), body.mask
        hidden = np.bincount(self.bodies[window][mask], minlength=len(self.placed) + 1)
        covered = np.bincount(self.emblems[window][mask], minlength=len(self.placed) + 1)
        for below in self.placed:
            if (below.visible - hidden[below.number]) * 100 < BODY_VISIBLE * below.total:
                return False
            total, visible = self._emblem_counts.get(below.number, (0, 0))
            if (visible - covered[below.number]) * 100 < EMBLEM_VISIBLE * total:
                return False
        return True

    def is_bare(self, part: Part, top: int, left: int, margin: int) -> bool:
        """Whether only background lies within ``margin`` px of the part's bounding box."""
        height, width = part.cover.shape
        rows = slice(max(top - margin, 0), top + height + margin)
        columns = slice(max(left - margin, 0), left + width + margin)
        return not self.bodies[rows, columns].any() and not self.emblems[rows, columns].any()

    def lay_body(self, body: Part, top: int, left: int, label: int) -> int:
        """Draw a body on top of everything; returns its number."""
        window, mask = _window(body, top, left), body.mask
        for below in self.placed:
            below.visible -= int((self.bodies[window][mask] == below.number).sum())
            if below.number in self._emblem_counts:
                total, visible = self._emblem_counts[below.number]
                visible -= int((self.emblems[window][mask] == below.number).sum())
                self._emblem_counts[below.number] = total, visible
        number, total = len(self.placed) + 1, int(mask.sum())
        blend(self.pixels[window], body.paint, body.cover)
        self.bodies[window][mask] = number
        self.emblems[window][mask] = 0
        self.placed.append(Placed(number, label, total, total))
        return number

    def lay_emblem(self, emblem: Part, top: int, left: int, number: int) -> None:
        """Draw an emblem on body ``number``, or on the ground with a negative number."""
        window, mask = _window(emblem, top, left), emblem.mask
        blend(self.pixels[window], emblem.paint, emblem.cover)
        self.emblems[window][mask] = number
        if number > 0:
            self._emblem_counts[number] = int(mask.sum()), int(mask.sum())


def _window(part: Part, top: int, left: int) -> Window:
    height, width = part.cover.shape
    return slice(top, top + height), slice(left, left + width)
