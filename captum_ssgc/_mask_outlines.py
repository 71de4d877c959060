"""The outlines of a mask, as lines that pictures and pages draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Line = npt.NDArray[np.float64]

_FINEST = 200  # cells along the longer side of a mask; more would not be seen


def mask_outlines(mask: npt.NDArray[Any]) -> list[Line]:
    """Closed lines around the pixels of a mask, ``(P, 2)`` x and y in box coordinates each.

    Args:
        mask: ``(H, W)`` bool, or float in [0, 1], of which at least one half is inside.

    Returns:
        None where the mask is empty. Large masks are thinned.
    """
    inside = mask >= 0.5 if np.issubdtype(mask.dtype, np.floating) else mask != 0
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    if not len(rows):
        return []
    from contourpy import contour_generator  # matplotlib brings it along

    top, left = int(rows[0]), int(columns[0])
    part = inside[top : rows[-1] + 1, left : columns[-1] + 1]
    step = -(-max(part.shape) // _FINEST)
    part = np.pad(part[::step, ::step].astype(np.float64), 1)  # so that lines close at the edges
    lines = contour_generator(z=part).lines(0.5)
    return [step * (np.asarray(line) - 0.5) + (left, top) for line in lines]
