"""Results in the COCO format: a list of dictionaries, as the file that is evaluated holds them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from captum_ssgc.exchange.coco_masks import check_segmentation, mask_of
from captum_ssgc.exchange.coco_values import MalformedError, four_numbers, identifier, number
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
    known, image = _by_label(category_ids), _known(image_id, "image_id")
    missing = sorted({*table.labels.tolist()} - {*known})
    if missing:
        raise ValueError(
            f"category_ids: expected the category id of every label, got none for {missing[0]}; "
            f"labels {_shown(known)} have one."
        )
    boxes = table.boxes.detach().cpu().double()
    corner, size = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    results = [
        {
            "image_id": image,
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
    results: Iterable[Mapping[str, Any]],
    image_id: int | str,
    category_ids: CategoryIds,
    image_size: tuple[int, int],
) -> DetectionTable:
    """Those of one image, with their masks where all have a segmentation.

    Ids are compared as those of a data set: ``"5"`` and ``5.0`` are ``5``.

    Raises:
        TypeError: if the results are no list of dictionaries.
        ValueError: if a category has no label, or more than one, or an entry lacks something or
            holds what cannot be meant.
        ImportError: if there are polygons and pycocotools is not installed.
    """
    labels = _by_category(_by_label(category_ids))
    wanted = _known(image_id, "image_id")
    own = [
        (f"results[{at}]", entry)
        for at, entry in enumerate(_entries(results))
        if _id_of(entry, at) == wanted
    ]
    categories = [_known(entry["category_id"], f"{place}.category_id", int) for place, entry in own]
    unknown = [category for category in categories if category not in labels]
    if unknown:
        raise ValueError(
            f"category_ids: expected a label for every category, got none for {unknown[0]}; "
            f"categories {_shown(labels)} have one."
        )
    numbers = [four_numbers(_plain(entry["bbox"]), f"{place}.bbox") for place, entry in own]
    boxes = torch.tensor(numbers, dtype=torch.float64, device="cpu").reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    scores = [number(_plain(entry["score"]), f"{place}.score") for place, entry in own]
    return DetectionTable(
        boxes=boxes.float(),
        labels=torch.tensor([labels[one] for one in categories], dtype=torch.int64, device="cpu"),
        scores=torch.tensor(scores, dtype=torch.float32, device="cpu"),
        masks=_masks([entry.get("segmentation") for _, entry in own], image_size, own),
    )


def _entries(results: Any) -> list[Mapping[str, Any]]:
    expected = "results: expected a list of dictionaries, as json.load gives of a file of results"
    if isinstance(results, (str, bytes, os.PathLike, Mapping)) or not isinstance(results, Iterable):
        raise TypeError(f"{expected}, got {type(results).__name__}.")
    entries = list(results)
    for at, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise TypeError(f"{expected}, got {type(entry).__name__} in results[{at}].")
    return entries


def _id_of(entry: Mapping[str, Any], at: int) -> int | str:
    missing = [
        name for name in ("image_id", "category_id", "bbox", "score") if entry.get(name) is None
    ]
    if missing:
        raise ValueError(
            f"results[{at}]: expected image_id, category_id, bbox and score, got no {missing[0]}."
        )
    return _known(entry["image_id"], f"results[{at}].image_id")


def _known(value: Any, place: str, kind: type | tuple[type, ...] = (int, str)) -> Any:
    identity = identifier(value)
    if identity is None or not isinstance(identity, kind):
        raise MalformedError(place, "a whole number" + ("" if kind is int else " or a text"), value)
    return identity


def _plain(value: Any) -> Any:
    """Arrays and tensors, and numbers of NumPy, as Python has them."""
    return value.tolist() if hasattr(value, "tolist") else value


def _masks(
    codes: Sequence[Any], size: tuple[int, int], own: Sequence[tuple[str, Any]]
) -> Tensor | None:
    if not codes or not all(codes):
        return None
    masks = []
    for code, (place, _) in zip(codes, own, strict=True):
        if isinstance(code, Mapping):  # pycocotools' own codes are bytes
            counts = code.get("counts")
            text = counts.decode("ascii", "replace") if isinstance(counts, bytes) else counts
            code = {**code, "counts": text}
        check_segmentation(code, size, f"{place}.segmentation")
        masks.append(mask_of(code, size))
    return torch.stack(masks)


def _by_label(category_ids: CategoryIds) -> dict[int, int]:
    if isinstance(category_ids, (str, bytes)) or not isinstance(category_ids, Iterable):
        raise TypeError(
            "category_ids: expected the category id of each label, in a dictionary or a list, got "
            f"{category_ids!r:.40}."
        )
    pairs = category_ids if isinstance(category_ids, Mapping) else dict(enumerate(category_ids))
    return {
        _known(label, "category_ids", int): _known(category, f"category_ids[{label!r}]", int)
        for label, category in pairs.items()
    }


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
