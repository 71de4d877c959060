"""The smallest sets of patches for the detections that a command explains."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from captum_ssgc.detector import Detector
from captum_ssgc.explanations import Explanation, Explanations
from captum_ssgc.metrics import MinimalSets, minimal_sets


def minimal_of(
    detector: Detector, image: Tensor, explanations: Explanations[Explanation]
) -> MinimalSets:
    """By the first method's map of each detection.

    Args:
        detector: that explained the image.
        image: ``(1, 3, H, W)``.
        explanations: of its own detections.
    """
    first = {one.index: one for one in reversed(explanations)}
    order = list(dict.fromkeys(one.index for one in explanations))
    maps = torch.stack([first[index].heat_map for index in order])
    found = detector.detect(image.to(maps.device))[0]
    return minimal_sets(detector, image.to(maps.device), found[order], maps)


def minimal_records(sets: MinimalSets) -> list[dict[str, Any]]:
    """For the record of an image, one for each detection."""
    kept, lost = sets.keeping_area.tolist(), sets.losing_area.tolist()
    return [
        {
            "share": sets.share,
            "is_enough": {"area": kept[row], "score": float(sets.keeping_scores[row])},
            "is_lost_without": {"area": lost[row], "score": float(sets.losing_scores[row])},
        }
        for row in range(len(sets))
    ]
