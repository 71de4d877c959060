"""What a model of torchvision, or a subclass of it, finally returns, as torchvision would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

_NEEDED = ("boxes", "labels", "scores")


def final_reports(output: Any, count: int) -> list[dict[str, Tensor]]:
    """Boxes, labels and scores of each image, and masks ``(K, H, W)`` where there are any.

    Args:
        output: a list of dictionaries as torchvision gives it, or of other objects that have these
            names; behind losses, as scripted models give it.
        count: of the images.

    Raises:
        ValueError: if it is something else.
    """
    pair = isinstance(output, tuple) and len(output) == 2 and isinstance(output[0], Mapping)
    inner = output[1] if pair and not set(_NEEDED) & set(output[0]) else output
    reports = list(inner) if isinstance(inner, (list, tuple)) else []
    checked = [_report(one) for one in reports]
    if len(checked) != count or None in checked:
        raise ValueError(
            f"the model returned {_described(output)} for {count} images: expected a list of one "
            "dictionary with boxes, labels and scores per image, as torchvision gives it; wrap it "
            "as your own detector (captum_ssgc.detectors.CandidateDetector), or the model inside."
        )
    return [one for one in checked if one is not None]


def _report(given: Any) -> dict[str, Tensor] | None:
    entries = given if isinstance(given, Mapping) else _attributes(given)
    if any(name not in entries for name in _NEEDED):
        return None
    try:
        report = {name: _tensor(entries[name]) for name in _NEEDED}
        if not report["boxes"].is_floating_point():
            report["boxes"] = report["boxes"].to(report["scores"].dtype)
        report["labels"] = report["labels"].long()
        masks = entries.get("masks")
        if masks is not None:
            masks = _tensor(masks)
            report["masks"] = masks[:, 0] if masks.dim() == 4 else masks
    except (TypeError, ValueError, RuntimeError):
        return None
    return report


def _tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else torch.as_tensor(value, device="cpu")


def _attributes(given: Any) -> dict[str, Any]:
    return {name: getattr(given, name) for name in (*_NEEDED, "masks") if hasattr(given, name)}


def _described(output: Any) -> str:
    kind = type(output).__name__
    if isinstance(output, Mapping):
        return f"a {kind} with {', '.join(map(str, list(output)[:6]))}"
    if isinstance(output, Sequence) and not isinstance(output, str):
        return f"a {kind} of {len(output)} ({', '.join(type(one).__name__ for one in output[:3])})"
    return f"a {kind}"
