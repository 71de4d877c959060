"""What a function reports for an image, as tensors, and what cannot be right in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from captum_ssgc._arguments import shown

_NAMES = ("boxes", "scores", "labels")
_EXPECTED = (
    "a report: expected boxes (K, 4), scores (K,) or (K, C) and labels (K,), or a dictionary with "
    "these names"
)
_ROUNDING = 1e-4
Report = tuple[Tensor, Tensor, Tensor]


def reports_of(given: Any, count: int) -> list[Any]:
    """What a function returned for ``count`` images, image by image.

    Raises:
        TypeError: if it is no list of as many, nor boxes, scores and labels with images in front.
    """
    stacked = isinstance(given, tuple) and len(given) == len(_NAMES)
    if stacked and all(one is None or hasattr(one, "shape") for one in given):
        parts = [[None] * count if one is None else list(one) for one in given]
        reports: list[Any] = list(zip(*parts, strict=False))
    elif isinstance(given, Iterable) and not isinstance(given, (str, Mapping)):
        reports = list(given)
    else:
        reports = []
    if len(reports) != count:
        raise TypeError(
            f"the function must return a list of {count} reports (boxes, scores, labels), one per "
            "image, or a tuple of three tensors with the images in front, got "
            f"{type(given).__name__}{f' of {len(reports)}' if reports else ''}."
        )
    return reports


def report_of(given: Any, names: Sequence[str] | None, device: torch.device) -> Report:
    """Boxes ``(K, 4)``, scores ``(K,)`` or ``(K, C)`` and labels ``(K,)`` of one image, as copies.

    Args:
        given: what a function returned for it; ``[]`` where it found nothing.
        names: class names, where labels may be words.
        device: where the tensors shall be.

    Raises:
        TypeError: for something else than a report.
        ValueError: for shapes, scores, labels or boxes that cannot be right.
    """
    boxes, scores, labels = _parts(given)
    if boxes is None or scores is None or (labels is None and np.ndim(scores) != 2):
        raise TypeError("expected boxes, scores and labels, got None for one of them.")
    boxes, scores = (
        _floats(one, what, device) for one, what in ((boxes, "boxes"), (scores, "scores"))
    )
    if boxes.shape[1:] != (4,) and boxes.numel():
        raise ValueError(
            f"boxes: expected (K, 4), x1, y1, x2, y2 in pixels, got shape {tuple(boxes.shape)}."
        )
    boxes = boxes.reshape(-1, 4)
    scores = (
        scores[:, 0]
        if scores.dim() == 2 and scores.shape[1] == 1 and labels is not None
        else scores
    )
    if scores.dim() not in (1, 2):
        raise ValueError(f"scores: expected (K,) or (K, C), got shape {tuple(scores.shape)}.")
    if not bool(((scores >= 0.0) & (scores <= 1.0 + _ROUNDING)).all()):
        raise ValueError(
            f"scores: expected probabilities in [0, 1], got {float(scores.min()):.4g} to "
            f"{float(scores.max()):.4g}; divide percentages by 100, apply sigmoid to logits. "
            "The order is boxes, scores, labels."
        )
    if not bool(boxes.isfinite().all()):
        raise ValueError("boxes: expected finite numbers, got NaN or infinity.")
    labels = scores.argmax(-1) if labels is None else _labels(labels, names, device)
    if labels.dim() != 1 or not len(boxes) == len(scores) == len(labels):
        shapes = ", ".join(str(tuple(one.shape)) for one in (boxes, scores, labels))
        raise ValueError(f"expected as many boxes as scores and labels, got shapes {shapes}.")
    return boxes, scores.clamp(max=1.0), labels


def _parts(given: Any) -> Sequence[Any]:
    if isinstance(given, Mapping):
        missing = [name for name in _NAMES[:2] if name not in given]
        if missing:
            had = ", ".join(map(str, given)) or "nothing"
            raise TypeError(f"{_EXPECTED}, got a dictionary with {had}.")
        return [given.get(name) for name in _NAMES]
    if isinstance(given, (list, tuple)) and not given:
        return [], [], []  # nothing found
    several = isinstance(given, (list, tuple)) and len(given) == len(_NAMES)
    if several and not any(isinstance(part, (Mapping, str)) for part in given):
        return list(given)
    shape = getattr(given, "shape", None)
    got = f"{type(given).__name__} of shape {tuple(shape)}" if shape is not None else shown(given)
    raise TypeError(f"{_EXPECTED}; [] where there is nothing; got {got}.")


def _floats(value: Any, what: str, device: torch.device) -> Tensor:
    try:
        tensor = _tensor(value, device).detach()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{what}: expected numbers, got {shown(value)}.") from None
    return tensor.float()


def _labels(value: Any, names: Sequence[str] | None, device: torch.device) -> Tensor:
    """Whole numbers; words are looked up among the names."""
    words = [] if isinstance(value, Tensor) else np.asarray(value).ravel().tolist()
    if any(isinstance(one, str) for one in words):
        unknown = sorted({str(one) for one in words} - set(names or ()))
        if unknown:
            raise ValueError(
                f"labels: expected whole numbers, or names of label_names, got {unknown[0]!r}; "
                "pass label_names=... with the names of all classes."
            )
        return torch.tensor([list(names or ()).index(one) for one in words], device=device)
    numbers = _floats(value, "labels", device)
    broken = numbers[numbers != numbers.round()]
    if len(broken):
        raise ValueError(
            f"labels: expected whole numbers, got {float(broken[0]):.4g}; the order is boxes, "
            "scores, labels."
        )
    return numbers.long()


def _tensor(value: Any, device: torch.device) -> Tensor:
    if isinstance(value, (list, tuple)) and any(isinstance(one, Tensor) for one in value):
        value = torch.stack([torch.as_tensor(one, device=device) for one in value])
    if not isinstance(value, Tensor):
        value = np.array(value, order="C")
        value = value.astype(float) if value.dtype == object else value
    return torch.asarray(value, device=device, copy=True)  # the next report may be in its place
