"""Boxes of a COCO file: each one checked, and all of them for what their numbers mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..exchange.coco_values import MalformedError, four_numbers

Size = tuple[int, int]
_FAR = 1.1  # of a side
_ENOUGH = 4


class Placed(NamedTuple):
    """A box with its place in the file, and ``(H, W)`` of its image where that is stated."""

    place: str
    box: tuple[float, ...]
    size: Size | None


def box_of(value: Any, place: str, size: Size | None) -> tuple[float, ...]:
    """x, y, width and height.

    Args:
        value: as it stands in the file.
        place: of it.
        size: ``(H, W)`` of the image where the file states it.

    Raises:
        MalformedError: if it is no box, or none in the image.
    """
    try:
        box = four_numbers(value, place)
    except MalformedError as error:
        error.reason = "no box"
        raise
    x, y, width, height = box
    if min(width, height) <= 0:
        raise MalformedError(place, "a width and height above 0", value, "box without extent")
    if size is not None and not (x < size[1] and y < size[0] and x + width > 0 and y + height > 0):
        within = f"a box that meets its image of {size[0]} x {size[1]} pixels"
        raise MalformedError(place, within, value, "box outside the image")
    return box


def check_meaning(boxes: Sequence[Placed], file: str) -> None:
    """Check that boxes are x, y, width and height in pixels, as far as all of them can tell.

    Raises:
        ValueError: if they are shares of their images, or corners.
    """
    expected = f"{file}: expected boxes [x, y, width, height] in pixels, got"
    numbers = [number for one in boxes for number in one.box]
    shares = all(0 <= number <= 1 for number in numbers)
    if shares and not all(number.is_integer() for number in numbers):
        raise ValueError(
            f"{expected} shares of the image in all {len(boxes)} annotations, such as "
            f"{list(boxes[0].box)} in {boxes[0].place}: multiply them by its width and height."
        )
    # Corners as x, y, width and height: every one of them ends further away than it begins.
    beyond = [one for one in boxes if one.size is not None and _ends_far_outside(one.box, one.size)]
    in_order = all(one.box[2] > one.box[0] and one.box[3] > one.box[1] for one in boxes)
    if in_order and len(boxes) >= _ENOUGH and len(beyond) * 3 > len(boxes):
        raise ValueError(
            f"{expected} what looks like corners x1, y1, x2, y2: {len(beyond)} of {len(boxes)} "
            f"would end far outside their images, such as {list(beyond[0].box)} in "
            f"{beyond[0].place}; subtract the first two numbers from the last two."
        )


def _ends_far_outside(box: tuple[float, ...], size: Size) -> bool:
    x, y, width, height = box
    return x + width > _FAR * size[1] or y + height > _FAR * size[0]
