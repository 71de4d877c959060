"""Masks in the COCO format: polygons and run-length codes, checked before anything decodes them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from captum_ssgc.exchange.coco_values import LARGEST, MalformedError, number

Size = tuple[int, int]
_LONGEST = 1_000_000


def check_segmentation(segmentation: Any, size: Size | None, place: str) -> None:
    """Check polygons or a run-length code.

    Args:
        segmentation: as it stands in the file.
        size: ``(H, W)`` of the image, ``None`` where it is not known yet.
        place: of it in the file.

    Raises:
        MalformedError: with the place and the value of what is wrong.
    """
    if isinstance(segmentation, list):
        _check_polygons(segmentation, size, place)
    elif isinstance(segmentation, dict) and {"size", "counts"} <= set(segmentation):
        _check_code(segmentation, size, place)
    else:
        raise MalformedError(place, "polygons or a run-length code", segmentation)


def mask_of(segmentation: Any, size: Size) -> Tensor:
    """The pixels of a segmentation that :func:`check_segmentation` has passed with this size.

    Returns:
        bool ``(H, W)``.

    Raises:
        ImportError: if there are polygons and pycocotools is missing.
    """
    if isinstance(segmentation, dict):
        height, width = size
        runs = torch.tensor(_runs(segmentation["counts"], ""), dtype=torch.int64, device="cpu")
        values = torch.arange(len(runs), device="cpu") % 2 == 1
        return values.repeat_interleave(runs).reshape(width, height).T.contiguous()
    return _filled([one for one in segmentation if len(one) >= 6], size)


def _check_polygons(polygons: list[Any], size: Size | None, place: str) -> None:
    corners = 0
    for at, polygon in enumerate(polygons):
        here = f"{place}[{at}]"
        if not isinstance(polygon, list):
            raise MalformedError(here, "a list of coordinates", polygon)
        if len(polygon) % 2:
            raise MalformedError(here, "coordinates in pairs", polygon)
        # What lies a little outside is cut off at the image's edge; far outside it is an error.
        width, height = size[::-1] if size else (LARGEST // 2, LARGEST // 2)
        for axis, length in enumerate((width, height)):
            for row, value in enumerate(polygon[axis::2]):
                if type(value) not in (int, float) or not -length <= value <= 2 * length:
                    number(value, f"{here}[{2 * row + axis}]", -length, 2 * length)
        if len(polygon) >= 6:
            corners += len(polygon) // 2
            if len(polygon) * max(width, height) > _LONGEST:
                _check_length(polygon, here)
    if not corners:
        raise MalformedError(place, "polygons of at least three corners", polygons)


def _check_length(polygon: list[float], place: str) -> None:
    """Rasterising takes memory in proportion to the outline."""
    x, y = np.array(polygon, dtype=np.float64).reshape(-1, 2).T
    steps = np.maximum(np.abs(np.diff(x, append=x[:1])), np.abs(np.diff(y, append=y[:1])))
    if steps.sum() > _LONGEST:
        raise MalformedError(place, f"an outline of at most {_LONGEST} pixels", polygon)


def _check_code(code: dict[str, Any], size: Size | None, place: str) -> None:
    stated = code["size"]
    if not (
        isinstance(stated, list)
        and len(stated) == 2
        and all(type(one) is int and 1 <= one <= LARGEST for one in stated)
    ):
        raise MalformedError(f"{place}.size", "a height and a width", stated)
    if size is not None and tuple(stated) != size:
        expected = f"a run-length code of {size[0]} x {size[1]} pixels"
        raise MalformedError(f"{place}.size", expected, stated)
    runs = _runs(code["counts"], f"{place}.counts")
    if sum(runs) != stated[0] * stated[1]:
        expected = f"{stated[0]} x {stated[1]} pixels in all (the run lengths do not add up)"
        raise MalformedError(f"{place}.counts", expected, sum(runs))


def _runs(counts: Any, place: str) -> list[int]:
    """Lengths of runs of 0 and 1 in turn, down the columns."""
    runs = _unpacked(counts, place) if isinstance(counts, str) else counts
    if not isinstance(runs, list):
        raise MalformedError(place, "run lengths", counts)
    for at, length in enumerate(runs):
        if type(length) is not int or not 0 <= length <= LARGEST**2:
            raise MalformedError(f"{place}[{at}]", "a length of at least 0", length)
    return runs


def _unpacked(text: str, place: str) -> list[int]:
    """The numbers of a compressed code.

    Each number is written in groups of five bits, the lowest first, as characters from "0" on;
    a sixth bit says that another group follows, and the last group's highest bit is the sign. From
    the fourth on, numbers are differences to the last but one.
    """
    runs: list[int] = []
    value = shift = 0
    for at, character in enumerate(text):
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise MalformedError(f"{place}[{at}]", "a character of a run-length code", character)
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise MalformedError(place, "a complete run-length code", text)
    return runs


def _filled(polygons: list[list[float]], size: Size) -> Tensor:
    try:
        from pycocotools import mask as coder
    except ImportError as error:
        raise ImportError(
            "masks of COCO data sets need pycocotools: pip install 'captum-ssgc[coco]'"
        ) from error
    code = coder.merge(coder.frPyObjects([[float(n) for n in one] for one in polygons], *size))
    with warnings.catch_warnings():
        # pycocotools' arrays do not know the newest arguments of NumPy's protocol.
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.from_numpy(coder.decode(code)).bool()
