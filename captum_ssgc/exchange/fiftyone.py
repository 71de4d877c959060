"""Labels of a FiftyOne sample: detections, and a heat map for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from captum_ssgc.exchange.table import DetectionTable, array, labels_named, needed

HEAT_MAP = "heat_map"
_ROUNDING = 1e-6  # a share of the side, and back to pixels


def to_fiftyone(table: DetectionTable, image_size: tuple[int, int]) -> Any:
    """``fiftyone.Detections``; columns but ``class_name`` are attributes of the detections.

    Raises:
        ImportError: if FiftyOne is not installed.
    """
    import fiftyone as fo

    height, width = image_size
    boxes = array(table.boxes.cpu().double()).reshape(-1, 4)
    shares = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
    shares = shares / np.array([width, height, width, height])
    figures = dict(table.columns)
    names = figures.pop("class_name")
    masks = table.hard_masks()
    found = [
        fo.Detection(
            label=str(names[row]),
            bounding_box=share.tolist(),
            confidence=score,
            mask=None if masks is None else array(masks[row])[_window(boxes[row], image_size)],
            **{name: column[row].item() for name, column in figures.items()},
        )
        for row, (share, score) in enumerate(zip(shares, table.scores.tolist()))
    ]
    return fo.Detections(detections=found)


def fields_of(table: DetectionTable, image_size: tuple[int, int], field: str) -> dict[str, Any]:
    """Labels by the name of their field.

    FiftyOne draws heat maps of samples, not of detections: each has a field of its own, which the
    detection names.

    Args:
        table: with the columns ``class_name`` and ``heat_map``.
        image_size: ``(H, W)``.
        field: of the detections; those of the maps begin with it.

    Raises:
        ImportError: if FiftyOne is not installed.
    """
    import fiftyone as fo

    maps = table.columns[HEAT_MAP]
    places = [f"{field}_{HEAT_MAP}_{number}" for number in range(1, len(maps) + 1)]
    named = table.with_column(HEAT_MAP, np.array(places, dtype=str))
    drawn = [fo.Heatmap(map=one, range=[0.0, float(one.max()) or 1.0]) for one in maps]
    return {field: to_fiftyone(named, image_size), **dict(zip(places, drawn, strict=True))}


def from_fiftyone(
    found: Any, image_size: tuple[int, int], label_names: Sequence[str] | None
) -> DetectionTable:
    """Boxes, labels, confidences, and masks where all have one; no other attributes.

    Raises:
        TypeError: if it is no ``fiftyone.Detections``.
        ValueError: without confidences or boxes, or for a label that is not among the names.
    """
    entries = getattr(found, "detections", None)
    if not isinstance(entries, Sequence):
        raise TypeError(
            "found: expected fiftyone.Detections, as sample[field] gives them, got "
            f"{type(found).__name__}."
        )
    shares = [_box(one.bounding_box, at) for at, one in enumerate(entries)]
    boxes = np.array(shares, dtype=np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    boxes *= np.tile(image_size[::-1], 2)
    of = "fiftyone.Detections"
    scores = [needed(one.confidence, "confidence", of) for one in entries]
    labels = labels_named([needed(one.label, "label", of) for one in entries], label_names)
    masks = [getattr(one, "get_mask", lambda one=one: one.mask)() for one in entries]
    known = bool(masks) and all(mask is not None for mask in masks)
    return DetectionTable(
        boxes=torch.from_numpy(boxes.astype(np.float32)),
        labels=labels,
        scores=torch.tensor(scores, dtype=torch.float32, device="cpu"),
        masks=torch.from_numpy(_masks(masks, boxes, image_size)) if known else None,
    )


def _box(share: Any, at: int) -> list[float]:
    if share is None or len(share) != 4:
        raise ValueError(
            f"detections[{at}]: expected a bounding_box [x, y, width, height] as shares of the "
            f"image, got {share!r}."
        )
    return [float(edge) for edge in share]


def _window(box: np.ndarray, image_size: tuple[int, int]) -> tuple[slice, slice]:
    """The pixels that a mask covers: those of the box, cut off as FiftyOne cuts them off."""
    x1, y1, x2, y2 = np.floor(box + _ROUNDING).astype(int)
    height, width = image_size
    left, top = min(max(x1, 0), width - 1), min(max(y1, 0), height - 1)
    right, bottom = min(max(x2, left + 1), width), min(max(y2, top + 1), height)
    return slice(top, bottom), slice(left, right)


def _masks(masks: Sequence[Any], boxes: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    whole = np.zeros((len(masks), *image_size), dtype=bool)
    for pixels, mask, box in zip(whole, masks, boxes):
        mask = np.asarray(mask) != 0
        if mask.ndim != 2 or not mask.size:
            raise ValueError(f"mask: expected one (h, w) within its box, got {mask.shape}.")
        rows, columns = _window(box, image_size)
        places = [
            ((np.arange(one.stop - one.start) + 0.5) * side / (one.stop - one.start)).astype(int)
            for one, side in zip((rows, columns), mask.shape)
        ]
        pixels[rows, columns] = mask[np.ix_(*places)]
    return whole
