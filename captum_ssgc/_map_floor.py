"""From which value on a heat map says something."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# Above this share of their maximum everywhere, maps are estimates that scatter around a level which
# says nothing, as far above it as below it.
_RAISED = 0.2


def map_floor(heat: npt.NDArray[np.floating[Any]]) -> float:
    """The value up to which a map ``(H, W)`` is drawn as nothing: its lowest, at least 0.

    Where even the lowest value is above a fifth of the highest, as in D-RISE's maps, values scatter
    around their median, and the floor is as far above it as the lowest is below it.
    """
    lowest = max(float(heat.min()), 0.0)
    if lowest <= _RAISED * max(float(heat.max()), 0.0):
        return lowest
    return 2.0 * float(np.median(heat.astype(np.float64))) - lowest
