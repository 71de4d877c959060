"""Results in the COCO format: a list of dictionaries, as the file that is evaluated holds them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from captum_ssgc.exchange.table import DetectionTable, array

CategoryIds = Mapping[int, int] | Sequence[int]


def to_coco(
    table: DetectionTable, image_id: int | str, category_ids: CategoryIds
) -> list[dict[str, Any]]:
    """One entry per detection.

    Raises:
        ValueError: if a label has no category.
        ImportError: if there are masks and pycocotools is not installed.
    """
    known = _by_label(category_ids)
    missing = sorted({*table.labels.tolist()} - {*known})
    if missing:
        raise ValueError(
            f"category_ids: expected the category id of every label, got none for {missing[0]}; "
            f"labels {_shown(known)} have one."
        )
    boxes = table.boxes.detach().double().cpu()
    corner, size = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    results = [
        {
            "image_id": image_id,
            "category_id": known[label],
            "bbox": [*place, *extent],
            "score": score,
        }
        for label, place, extent, score in zip(
            table.labels.tolist(), corner.tolist(), size.tolist(), table.scores.tolist()
        )
    ]
    masks = table.hard_masks()
    if masks is not None:
        for entry, mask in zip(results, masks):
            entry["segmentation"] = _run_lengths(mask)
    return results


def from_coco(
    results: Iterable[Mapping[str, Any]], image_id: int | str, category_ids: CategoryIds
) -> DetectionTable:
    """Those of one image, with their masks where all have run-length codes.

    Raises:
        ValueError: if a category has no label, or more than one, or an entry lacks something.
        ImportError: if there are masks and pycocotools is not installed.
    """
    labels = _by_category(_by_label(category_ids))
    own = [_checked(entry, at) for at, entry in enumerate(results)]
    own = [entry for entry in own if entry["image_id"] == image_id]
    unknown = sorted({entry["category_id"] for entry in own} - {*labels})
    if unknown:
        raise ValueError(
            f"category_ids: expected a label for every category, got none for {unknown[0]}; "
            f"categories {_shown(labels)} have one."
        )
    boxes = torch.tensor(
        [entry["bbox"] for entry in own], dtype=torch.float64, device="cpu"
    ).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    codes = [entry.get("segmentation") for entry in own]
    all_masks = bool(codes) and all(isinstance(code, Mapping) for code in codes)
    return DetectionTable(
        boxes=boxes.float(),
        labels=torch.tensor(
            [labels[entry["category_id"]] for entry in own], dtype=torch.int64, device="cpu"
        ),
        scores=torch.tensor([entry["score"] for entry in own], dtype=torch.float32, device="cpu"),
        masks=torch.stack([_pixels(code) for code in codes]) if all_masks else None,
    )


def _checked(entry: Mapping[str, Any], at: int) -> Mapping[str, Any]:
    missing = [
        name for name in ("image_id", "category_id", "bbox", "score") if entry.get(name) is None
    ]
    if missing:
        raise ValueError(
            f"results[{at}]: expected image_id, category_id, bbox and score, got no {missing[0]}."
        )
    return entry


def _by_label(category_ids: CategoryIds) -> dict[int, int]:
    if isinstance(category_ids, Mapping):
        return dict(category_ids)
    return dict(enumerate(category_ids))


def _by_category(by_label: Mapping[int, int]) -> dict[int, int]:
    labels: dict[int, int] = {}
    for label, category in by_label.items():
        if category in labels:
            raise ValueError(
                f"category_ids: expected one label for each category, got {labels[category]} and "
                f"{label} for {category}."
            )
        labels[category] = label
    return labels


def _shown(numbers: Iterable[int]) -> str:
    some = sorted(numbers)
    return ", ".join(map(str, some[:8])) + (" and more" if len(some) > 8 else "") or "(none)"


def _run_lengths(mask: Tensor) -> dict[str, Any]:
    from pycocotools import mask as codes

    code = codes.encode(np.asfortranarray(array(mask).astype(np.uint8)))
    return {"size": list(code["size"]), "counts": code["counts"].decode("ascii")}


def _pixels(code: Any) -> Tensor:
    from pycocotools import mask as codes

    if isinstance(code["counts"], list):  # not compressed
        code = codes.frPyObjects(dict(code), *code["size"])
    with warnings.catch_warnings():
        # pycocotools' arrays do not know the newest arguments of NumPy's protocol.
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.from_numpy(codes.decode(code).astype(bool))
