"""Detection data sets in the COCO format: boxes, classes, crowds, polygon and run-length masks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..exchange.coco_masks import check_segmentation, mask_of
from ..images import load_as_stored, load_image
from .coco_file import read_coco
from .image_folder import find_image_folder, holds_any, sampled

__all__ = ["CocoDataset", "CocoImage"]
_TOLD = 8


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
        places: ``G`` places in the file, such as ``annotations[17]``.
    """

    id: int | str
    path: Path
    size: tuple[int, int] | None
    boxes: Tensor
    category_ids: Tensor
    crowd: Tensor
    segmentations: tuple[Any, ...]
    places: tuple[str, ...]

    def load(self, channels: int = 3) -> Tensor:
        """The pixels, in the orientation that the annotations refer to.

        Cameras may store an image turned and say so beside it; data sets differ in whether they
        annotate it before or after it is turned upright. The size in the data set decides.

        Args:
            channels: That the image must have, as in :func:`captum_ssgc.load_image`.

        Returns:
            ``(1, 3, H, W)`` float32 RGB in [0, 1], or of other channels.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no readable image, or not of the size that the data set states.
        """
        upright = load_image(self.path, channels)
        size = (upright.shape[-2], upright.shape[-1])
        if self.size is None or size == self.size:
            return upright
        if size == self.size[::-1]:
            with Image.open(self.path) as stored:
                as_stored = (stored.height, stored.width) == self.size
            if as_stored:
                return load_as_stored(self.path, channels)
        raise ValueError(
            f"{self.path.name}: the data set says {self.size[0]} x {self.size[1]} pixels (height x "
            f"width), the file has {size[0]} x {size[1]}; use the images that were annotated."
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
            ImportError: If there are polygons and pycocotools is missing.
            ValueError: If the segmentation is neither polygons nor a run-length code of that size.
        """
        segmentation = self.segmentations[row]
        if segmentation is None:
            return None
        check_segmentation(segmentation, size, f"{self.places[row]}.segmentation")
        return mask_of(segmentation, size)

    @property
    def polygons(self) -> list[bool]:
        """Which annotations have polygons, which pycocotools fills."""
        return [isinstance(one, list) for one in self.segmentations]


class CocoDataset(torch.utils.data.Dataset[CocoImage]):
    """A detection data set in the COCO format; the whole file is checked when it is opened.

    Ids are whole numbers or texts, those of categories whole numbers; ``"5"`` and ``5.0`` are
    ``5``. Images and annotations that cannot be used are left out, unusable masks too.

    Args:
        annotations: JSON file with ``images``, ``annotations`` and ``categories``.
        images: Folder of the image files; ``None``: the folder of the JSON file, or, where they
            are not there, one beside it that has them (see ``folder``).

    Attributes:
        categories: Names by category id, in the order of the ids.
        folder: Of the images.
        ignored: How many annotations were left out, by reason.
        problems: What cannot be used, each with its place and value.

    Raises:
        FileNotFoundError: If the file or the folder does not exist.
        ValueError: If the file is no data set in the COCO format, a category is malformed, an
            image id occurs twice, or no image can be used.

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
        content = read_coco(self.file)
        self.folder_tried: list[Path] = []
        if images is None:
            names = [image.file_name for image in content.images]
            folder, self.folder_tried = find_image_folder(self.file, names)
            self.folder = self.file.parent if folder is None else folder
        else:
            self.folder = Path(images)
        if not self.folder.is_dir():
            raise FileNotFoundError(f"the folder of the images, {self.folder}, does not exist.")
        self.categories = content.categories
        self.ignored = content.ignored
        self.problems = content.problems
        self._images = content.images

    def check_images(self) -> None:
        """Check that a handful of the images are where they should be.

        Raises:
            FileNotFoundError: If none of them is, with the folders that were looked at.
        """
        names = sampled([image.file_name for image in self._images])
        if holds_any(self.folder, names):
            return
        tried = [str(folder) for folder in self.folder_tried or [self.folder]]
        shown = ", ".join(tried[:_TOLD]) + (
            f" and {len(tried) - _TOLD} more" if len(tried) > _TOLD else ""
        )
        raise FileNotFoundError(
            f"the images of {self.file.name}, such as {names[0]}, were not found; looked in "
            f"{shown}. Name the folder that they are in (images=..., --images DIR)."
        )

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> CocoImage:
        if not 0 <= index < len(self):
            raise IndexError(f"expected an index from 0 to {len(self) - 1}, got {index}")
        image = self._images[index]
        own = image.annotations
        numbers = [one.box for one in own]
        boxes = torch.tensor(numbers, dtype=torch.float64, device="cpu").reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return CocoImage(
            id=image.id,
            path=self.folder / image.file_name,
            size=image.size,
            boxes=boxes.float(),
            category_ids=torch.tensor(
                [one.category for one in own], dtype=torch.int64, device="cpu"
            ),
            crowd=torch.tensor([one.crowd for one in own], dtype=torch.bool, device="cpu"),
            segmentations=tuple(one.segmentation for one in own),
            places=tuple(one.place for one in own),
        )
