"""A COCO file as a whole: read once, every entry checked before anything uses it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..exchange.coco_masks import check_segmentation
from ..exchange.coco_values import MalformedError, file_name, identifier, pixels
from .coco_boxes import Placed, box_of, check_meaning

Size = tuple[int, int]
_PARTS = ("images", "annotations", "categories")


@dataclass(frozen=True, eq=False)
class Annotation:
    """One usable annotation.

    Args:
        place: in the file, such as ``annotations[17]``.
        category: its id.
        box: x, y, width and height in pixels.
        crowd: whether it stands for a group.
        segmentation: polygons or a run-length code, both checked; a refused one as it stands, so
            that whoever asks for its pixels is told why; ``None`` where there is none.
    """

    place: str
    category: int
    box: tuple[float, ...]
    crowd: bool
    segmentation: Any


@dataclass(frozen=True, eq=False)
class ImageEntry:
    """One usable image; ``size`` is ``(H, W)`` where the file states it."""

    id: int | str
    file_name: str
    size: Size | None
    annotations: list[Annotation] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class CocoFile:
    """What can be used of a file, and what cannot.

    Args:
        images: in the order of the file.
        categories: names by id, in the order of the ids.
        ignored: how many annotations were left out, by reason.
        problems: what was left out, each with its place and value.
    """

    images: list[ImageEntry]
    categories: dict[int, str]
    ignored: Counter[str]
    problems: list[str]


def read_coco(path: Path) -> CocoFile:
    """Read and check a file.

    Raises:
        FileNotFoundError: if it does not exist.
        ValueError: if it is no data set, a category is malformed, an image id occurs twice, or no
            image can be used.
    """
    content = _parsed(path)
    try:
        categories = _categories(content["categories"])
    except MalformedError as error:
        raise ValueError(f"{path}: {error}") from None
    problems: list[str] = []
    images: dict[int | str, ImageEntry] = {}
    for place, entry in _places("images", content):
        try:
            image = _image(entry, place)
        except MalformedError as error:
            problems.append(str(error))
            continue
        if image.id in images:
            raise ValueError(f"{path}: the image id {image.id!r} occurs twice.")
        images[image.id] = image
    if not images:
        why = f"; {problems[0]}" if problems else ""
        raise ValueError(f"{path}: expected images with 'id' and 'file_name', got none{why}")
    ignored: Counter[str] = Counter()
    boxes: list[Placed] = []
    for place, entry in _places("annotations", content):
        try:
            image, annotation = _annotation(entry, place, images, categories)
        except MalformedError as error:
            problems.append(str(error))
            ignored[error.reason] += 1
            continue
        image.annotations.append(annotation)
        boxes.append(Placed(place, annotation.box, image.size))
        try:
            if annotation.segmentation is not None:
                segmentation = f"{place}.segmentation"
                check_segmentation(annotation.segmentation, image.size, segmentation)
        except MalformedError as error:
            problems.append(str(error))
    check_meaning(boxes, str(path))
    return CocoFile(list(images.values()), categories, ignored, problems)


def _parsed(path: Path) -> dict[str, list[Any]]:
    if path.is_dir():
        raise ValueError(f"{path} is a folder; expected a JSON file in the COCO format.")
    if not path.is_file():
        raise FileNotFoundError(f"the data set {path} does not exist.")
    try:
        content = json.loads(path.read_bytes())  # also UTF-8 with a mark, UTF-16 and UTF-32
    except RecursionError:
        raise ValueError(f"{path} is not valid JSON: it is nested too deeply.") from None
    except ValueError as error:  # also numbers of thousands of digits, and bytes that are no UTF-8
        raise ValueError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(content, dict) or not all(isinstance(content.get(p), list) for p in _PARTS):
        raise ValueError(
            f"{path}: expected a detection data set in the COCO format, an object with the lists "
            "'images', 'annotations' and 'categories'."
        )
    return content


def _places(part: str, content: dict[str, list[Any]]) -> list[tuple[str, Any]]:
    return [(f"{part}[{at}]", entry) for at, entry in enumerate(content[part])]


def _categories(entries: list[Any]) -> dict[int, str]:
    names: dict[int, str] = {}
    for at, entry in enumerate(entries):
        place, expected = f"categories[{at}]", "categories with an integer 'id' and a 'name'"
        if not isinstance(entry, dict) or not {"id", "name"} <= set(entry):
            raise MalformedError(place, expected, entry)
        category, name = identifier(entry["id"]), entry["name"]
        if not isinstance(category, int) or not 0 <= category < 2**31:
            raise MalformedError(f"{place}.id", f"{expected}, from 0 to 2**31 - 1", entry["id"])
        if not isinstance(name, str) or not name.strip():
            raise MalformedError(f"{place}.name", f"{expected} that is a text", name)
        if names.setdefault(category, name) != name:
            known = f"{names[category]!r} as before for id {category}"
            raise MalformedError(f"{place}.name", known, name)
    return dict(sorted(names.items()))


def _image(entry: Any, place: str) -> ImageEntry:
    if isinstance(entry, dict) and "file_name" not in entry and "coco_url" in entry:  # LVIS
        entry = {**entry, "file_name": _file_of(entry["coco_url"])}
    if not isinstance(entry, dict) or not {"id", "file_name"} <= set(entry):
        raise MalformedError(place, "an image with 'id' and 'file_name'", entry)
    identity = identifier(entry["id"])
    if identity is None:
        raise MalformedError(f"{place}.id", "a whole number or a text", entry["id"])
    stated = [
        pixels(entry[name], f"{place}.{name}")
        for name in ("height", "width")
        if entry.get(name) is not None
    ]
    size = (stated[0], stated[1]) if len(stated) == 2 else None
    return ImageEntry(identity, file_name(entry["file_name"], f"{place}.file_name"), size)


def _file_of(address: Any) -> Any:
    """The image's folder and file, as COCO has them."""
    if not isinstance(address, str):
        return address
    return "/".join(address.partition("://")[2].split("/")[1:][-2:])


def _annotation(
    entry: Any, place: str, images: dict[int | str, ImageEntry], categories: dict[int, str]
) -> tuple[ImageEntry, Annotation]:
    if not isinstance(entry, dict):
        raise MalformedError(place, "an annotation", entry, "image unknown")
    image = images.get(identifier(entry.get("image_id")))  # type: ignore[arg-type]
    if image is None:
        raise MalformedError(
            f"{place}.image_id", "the id of an image", entry.get("image_id"), "image unknown"
        )
    category = identifier(entry.get("category_id"))
    if not isinstance(category, int) or category not in categories:
        raise MalformedError(
            f"{place}.category_id", "the id of a category", entry.get("category_id"),
            "category unknown",
        )  # fmt: skip
    crowd = entry.get("iscrowd") or 0
    if crowd not in (0, 1) or not isinstance(crowd, (int, float)):
        raise MalformedError(f"{place}.iscrowd", "0 or 1", crowd, "crowd or not unknown")
    box = box_of(entry.get("bbox"), f"{place}.bbox", image.size)
    segmentation = entry.get("segmentation")
    segmentation = None if segmentation in ([], [[]], {}, "") else segmentation
    return image, Annotation(place, category, box, bool(crowd), segmentation)
