"""Synthetic scenes with planted evidence: an object's class is decided by its emblem alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .scene_canvas import Canvas
from .scene_layout import compose
from .scene_parts import CLASS_NAMES
from .scene_random import SplitMix

__all__ = ["CLASS_NAMES", "Scene", "SceneDataset", "draw_scene"]

SMALLEST_CANVAS = 64
_SMALLEST_BOX = 20


@dataclass(frozen=True, eq=False)
class Scene:
    """One drawn scene with everything that is known about it.

    Attributes:
        image: RGB picture, float32 ``(3, H, W)`` in [0, 1], whole multiples of 1/255.
        boxes: Visible extent of each object's body, float32 ``(K, 4)``, xyxy in pixels; right
            and bottom edges are exclusive.
        labels: Class of each object, int64 ``(K,)``, 1 to ``len(CLASS_NAMES) - 1``.
        masks: Visible pixels of each object, emblem included, bool ``(K, H, W)``.
        emblem_masks: Visible pixels of each object's emblem, the sole cause of its class, bool
            ``(K, H, W)``.
        seed: The seed that drew it.
    """

    image: Tensor
    boxes: Tensor
    labels: Tensor
    masks: Tensor
    emblem_masks: Tensor
    seed: int


def draw_scene(seed: int, size: tuple[int, int] = (320, 400)) -> Scene:
    """Draw the scene of a seed.

    A scene has a textured ground and 1 to 6 objects, which may overlap. An object is a body,
    whose shape, colour and texture are drawn without regard to its class, and a small emblem on
    it, which alone decides the class. At least 55% of each body and 90% of each emblem are
    visible. Most scenes also have decoys, which carry no label: bodies without an emblem, and
    emblems without a body. Only integer arithmetic is used, so a seed gives the same bytes on
    every platform.

    Args:
        seed: From 0 to 2**63 - 1.
        size: Height and width in pixels, each at least 64.

    Returns:
        The scene. Bodies measure 24 to 300 px before occlusion (less on small canvases),
        emblems at least 13 px across.

    Raises:
        TypeError: If the seed or the size is not made of integers.
        ValueError: If the seed or the size is out of range.

    Example:
        >>> from captum_ssgc.data import CLASS_NAMES, draw_scene
        >>> scene = draw_scene(0)
        >>> tuple(scene.image.shape)
        (3, 320, 400)
        >>> all(CLASS_NAMES[label] != "background" for label in scene.labels)
        True
    """
    height, width = checked(seed, size)
    attempt = 0
    while True:
        scene = annotate(compose(SplitMix(seed * 2654435761 + attempt), height, width), seed)
        if scene is not None:
            return scene
        attempt += 1


class SceneDataset(torch.utils.data.Dataset[Scene]):
    """The scenes of consecutive seeds, drawn when asked for.

    Args:
        start_seed: Seed of the first scene.
        count: Number of scenes.
        size: Height and width in pixels.

    Example:
        >>> from captum_ssgc.data import SceneDataset
        >>> scenes = SceneDataset(start_seed=7, count=2, size=(96, 96))
        >>> [scene.seed for scene in scenes]
        [7, 8]
    """

    def __init__(self, start_seed: int, count: int, size: tuple[int, int] = (320, 400)) -> None:
        if count < 0:
            raise ValueError(f"expected a count of at least 0, got {count}; pass how many scenes")
        checked(start_seed, size)
        self.start_seed, self.count, self.size = start_seed, count, size

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Scene:
        if not 0 <= index < self.count:
            raise IndexError(f"expected an index from 0 to {self.count - 1}, got {index}")
        return draw_scene(self.start_seed + index, self.size)

    def __iter__(self) -> Iterator[Scene]:
        return (self[index] for index in range(self.count))


def checked(seed: int, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a scene that can be drawn."""
    if len(size) != 2:
        raise ValueError(f"expected a size of (height, width), got {size}; pass two integers")
    height, width = size
    for name, number in (("seed", seed), ("height", height), ("width", width)):
        if isinstance(number, bool) or not isinstance(number, int):
            raise TypeError(
                f"expected an int as {name}, got {type(number).__name__}; convert it with int()"
            )
    if not 0 <= seed < 2**63:
        raise ValueError(f"expected a seed from 0 to 2**63 - 1, got {seed}; choose one in range")
    if min(height, width) < SMALLEST_CANVAS:
        raise ValueError(
            f"expected a size of at least {SMALLEST_CANVAS} x {SMALLEST_CANVAS} pixels, got "
            f"{height} x {width}; draw larger and crop"
        )
    return height, width


def annotate(canvas: Canvas, seed: int) -> Scene | None:
    """The scene on a canvas; ``None`` if nothing, or too little of an object, can be seen."""
    objects = [placed for placed in canvas.placed if placed.label]
    if not objects:
        return None
    masks = np.stack([canvas.bodies == placed.number for placed in objects])
    emblems = np.stack([canvas.emblems == placed.number for placed in objects])
    boxes = []
    for mask in masks:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        boxes.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    extents = np.array(boxes)
    if (extents[:, 2:] - extents[:, :2]).min() < _SMALLEST_BOX:
        return None
    pixels = torch.from_numpy(np.ascontiguousarray(canvas.pixels.transpose(2, 0, 1)))
    return Scene(
        image=pixels.to(torch.float32) / 255,
        boxes=torch.from_numpy(extents).to(torch.float32),
        labels=torch.tensor([placed.label for placed in objects], dtype=torch.int64, device="cpu"),
        masks=torch.from_numpy(masks),
        emblem_masks=torch.from_numpy(emblems),
        seed=seed,
    )
