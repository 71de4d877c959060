"""How images of each size lie on the canvas, found out once with an image that shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from captum_ssgc.geometry import ImageGeometry

Size = tuple[int, int]


class MeasuredGeometries:
    """What was measured for each size of images, as long as runs of such images have it so.

    What lays them on the canvas may be changed between two runs, and is then measured again. What
    looks at an image for where to lay it has no geometry that other images share.
    """

    def __init__(self) -> None:
        self._measured: dict[Size, tuple[Any, ImageGeometry]] = {}
        self._of_runs: dict[Size, ImageGeometry] = {}

    def note(self, geometry: ImageGeometry) -> None:
        """What the last run of images of this size had."""
        self._of_runs[geometry.image_size] = geometry

    def of(
        self, image_size: Size, source: str, state: Any, measure: Callable[[], ImageGeometry]
    ) -> ImageGeometry:
        """How images of ``(H, W)`` pixels lie on the canvas.

        Args:
            image_size: in pixels.
            source: what lays them there, for the message.
            state: what is another one if that was changed.
            measure: lays an image there and tells where it is.

        Raises:
            ValueError: if the last run of images of this size had another geometry.
        """
        last = self._of_runs.get(image_size)
        before, known = self._measured.get(image_size, (None, None))
        same = before == state if isinstance(state, str) else before is state
        if known is None or not same or last not in (None, known):
            known = measure()
            self._measured[image_size] = state, known
        if last not in (None, known):
            raise ValueError(
                f"{source} lays images of one size in different places, depending on what they "
                f"show: of {image_size[0]} x {image_size[1]} pixels the last one {_where(last)}, "
                f"and noise {_where(known)}. Maps would lie elsewhere: crop the image before, and "
                "pass what is left, so that the place depends on the size alone."
            )
        return known


def _where(geometry: ImageGeometry) -> str:
    sides = zip(geometry.offset, geometry.scale, geometry.canvas_size, strict=True)
    place = [f"from {offset:.4g}, times {scale:.4g}, of {side}" for offset, scale, side in sides]
    return f"({place[0]} down; {place[1]} across)"
