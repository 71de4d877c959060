"""Detection data sets in the COCO format: boxes, classes, crowds, polygon and run-length masks."""

from __future__ import annotations

import json
import math
import os
import warnings
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..images import load_image

__all__ = ["CocoDataset", "CocoImage"]


@dataclass(frozen=True, eq=False)
class CocoImage:
    """One image of a COCO data set with its annotations; pixels and masks are read when asked for.

    Attributes:
        id: As the data set gives it.
        path: The image file.
        size: ``(H, W)`` as the data set gives it, ``None`` where it does not.
        boxes: float32 ``(G, 4)``, xyxy in pixels.
        category_ids: int64 ``(G,)``.
        crowd: bool ``(G,)``, annotations of groups (``iscrowd``).
        segmentations: ``G`` entries as they stand in the file, ``None`` where there is none.
    """

    id: Hashable
    path: Path
    size: tuple[int, int] | None
    boxes: Tensor
    category_ids: Tensor
    crowd: Tensor
    segmentations: tuple[Any, ...]

    def load(self) -> Tensor:
        """The pixels, in the orientation that the annotations refer to.

        Cameras may store an image turned and say so beside it; data sets differ in whether they
        annotate it before or after it is turned upright. The size in the data set decides.

        Returns:
            ``(1, 3, H, W)`` float32 RGB in [0, 1].

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no readable image, or not of the size that the data set states.
        """
        upright = load_image(self.path)
        found = (upright.shape[-2], upright.shape[-1])
        if self.size is None or found == self.size:
            return upright
        if found == self.size[::-1]:
            with Image.open(self.path) as stored:
                if (stored.height, stored.width) == self.size:
                    return load_image(stored.convert("RGB"))
        raise ValueError(
            f"{self.path.name}: the data set says {self.size[0]} x {self.size[1]} pixels (height x "
            f"width), the file has {found[0]} x {found[1]}; use the images that were annotated."
        )

    def has_mask(self, row: int) -> bool:
        """Whether an annotation has a segmentation."""
        return self.segmentations[row] is not None

    def mask(self, row: int, size: tuple[int, int]) -> Tensor | None:
        """The pixels of one annotation.

        Args:
            row: Of the annotation.
            size: ``(H, W)`` of the loaded image.

        Returns:
            bool ``(H, W)``, or ``None`` where the annotation has no segmentation.

        Raises:
            ImportError: If pycocotools is missing.
            ValueError: If the segmentation is neither polygons nor a run-length code of that size.
        """
        segmentation = self.segmentations[row]
        return None if segmentation is None else _decoded(segmentation, size)


class CocoDataset(torch.utils.data.Dataset[CocoImage]):
    """A detection data set in the COCO format.

    Args:
        annotations: JSON file with ``images``, ``annotations`` and ``categories``.
        images: Folder of the image files; ``None`` for the folder of the JSON file.

    Attributes:
        categories: Names by category id, in the order of the ids.
        ignored: How many annotations were left out, by reason.

    Raises:
        FileNotFoundError: If the file or the folder does not exist.
        ValueError: If the file is no data set in the COCO format.

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> from captum_ssgc.data import CocoDataset
        >>> content = {
        ...     "images": [{"id": 7, "file_name": "a.png", "height": 40, "width": 60}],
        ...     "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "bbox": [5, 5, 10, 20]}],
        ...     "categories": [{"id": 3, "name": "cat"}]}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "instances.json")
        ...     _ = file.write_text(json.dumps(content))
        ...     data = CocoDataset(file)
        >>> data.categories, data[0].boxes
        ({3: 'cat'}, tensor([[ 5.,  5., 15., 25.]]))
    """

    def __init__(
        self, annotations: str | os.PathLike[str], images: str | os.PathLike[str] | None = None
    ) -> None:
        self.file = Path(annotations)
        self.folder = self.file.parent if images is None else Path(images)
        content = _read(self.file)
        if not self.folder.is_dir():
            raise FileNotFoundError(f"the folder of the images, {self.folder}, does not exist.")
        self.categories = _categories(content["categories"], self.file)
        self._images = _images(content["images"], self.file)
        self.ignored: Counter[str] = Counter()
        self._annotations: dict[Hashable, list[dict[str, Any]]] = {
            entry["id"]: [] for entry in self._images
        }
        for entry in content["annotations"]:
            reason = self._refuse(entry)
            if reason is None:
                self._annotations[entry["image_id"]].append(entry)
            else:
                self.ignored[reason] += 1

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> CocoImage:
        if not 0 <= index < len(self):
            raise IndexError(f"expected an index from 0 to {len(self) - 1}, got {index}")
        image = self._images[index]
        known = self._annotations[image["id"]]
        boxes = torch.tensor([entry["bbox"] for entry in known], dtype=torch.float64)
        boxes = boxes.reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        size = None
        if image.get("height") and image.get("width"):
            size = (int(image["height"]), int(image["width"]))
        return CocoImage(
            id=image["id"],
            path=self.folder / image["file_name"],
            size=size,
            boxes=boxes.float(),
            category_ids=torch.tensor([entry["category_id"] for entry in known], dtype=torch.int64),
            crowd=torch.tensor([bool(entry.get("iscrowd")) for entry in known], dtype=torch.bool),
            segmentations=tuple(entry.get("segmentation") or None for entry in known),
        )

    def _refuse(self, entry: Any) -> str | None:
        """Why an annotation cannot be used; ``None`` if it can."""
        if not isinstance(entry, Mapping) or entry.get("image_id") not in self._annotations:
            return "image unknown"
        if entry.get("category_id") not in self.categories:
            return "category unknown"
        box = entry.get("bbox")
        if not isinstance(box, list) or len(box) != 4:
            return "no box"
        if not all(isinstance(n, (int, float)) and math.isfinite(n) for n in box):
            return "no box"
        return None if min(box[2:]) > 0 else "box without extent"


def _read(file: Path) -> dict[str, list[Any]]:
    if not file.is_file():
        raise FileNotFoundError(f"the data set {file} does not exist.")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from None
    parts = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(p), list) for p in parts):
        raise ValueError(
            f"{file}: expected a detection data set in the COCO format, an object with the lists "
            "'images', 'annotations' and 'categories'."
        )
    return content


def _categories(entries: list[Any], file: Path) -> dict[int, str]:
    try:
        return dict(sorted((int(entry["id"]), str(entry["name"])) for entry in entries))
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"{file}: expected categories with an integer 'id' and a 'name'."
        ) from None


def _images(entries: list[Any], file: Path) -> list[dict[str, Any]]:
    seen = set()
    for entry in entries:
        if not isinstance(entry, dict) or not {"id", "file_name"} <= set(entry):
            raise ValueError(f"{file}: expected images with 'id' and 'file_name', got {entry!r}.")
        if entry["id"] in seen:
            raise ValueError(f"{file}: the image id {entry['id']!r} occurs twice.")
        seen.add(entry["id"])
    return entries


def _decoded(segmentation: Any, size: tuple[int, int]) -> Tensor:
    try:
        from pycocotools import mask as coder
    except ImportError as error:
        raise ImportError(
            "masks of COCO data sets need pycocotools: pip install 'captum-ssgc[coco]'"
        ) from error
    height, width = size
    if isinstance(segmentation, list):
        polygons = [p for p in segmentation if isinstance(p, list) and len(p) >= 6]
        if not polygons:
            raise ValueError("segmentation: expected polygons of at least three corners.")
        code = coder.merge(coder.frPyObjects(polygons, height, width))
    elif isinstance(segmentation, dict) and {"size", "counts"} <= set(segmentation):
        if list(segmentation["size"]) != [height, width]:
            raise ValueError(
                f"segmentation: expected a run-length code of {height} x {width} pixels, got "
                f"{segmentation['size']}."
            )
        code = segmentation
        if isinstance(code["counts"], list):
            if sum(code["counts"]) != height * width:
                raise ValueError("segmentation: the run lengths do not add up to the image.")
            code = coder.frPyObjects(code, height, width)
    else:
        raise ValueError("segmentation: expected polygons or a run-length code.")
    with warnings.catch_warnings():
        # pycocotools' arrays do not know the newest arguments of NumPy's protocol.
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.from_numpy(coder.decode(code)).bool()
