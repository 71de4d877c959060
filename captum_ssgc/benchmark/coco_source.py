"""COCO-format files as data sets of the benchmark."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from importlib.util import find_spec
from typing import Any

from captum_ssgc.benchmark.columns import ON_ANNOTATIONS, TABLE_METRICS
from captum_ssgc.benchmark.sources import Case, Source
from captum_ssgc.data import CocoDataset

MOST_LEFT_OUT = 200


class CocoSource(Source):
    """A COCO-format data set, or its first images."""

    def __init__(self, data: CocoDataset, limit: int | None = None, channels: int = 3) -> None:
        self.data, self.channels = data, channels
        self.categories = data.categories
        self.left_out = list(data.problems)
        self._count = len(data) if limit is None else min(limit, len(data))

    def __len__(self) -> int:
        return self._count

    def key(self, index: int) -> str:
        return str(self.data[index].id)

    def name(self, index: int) -> str:
        return self.data[index].path.name

    def load(self, index: int) -> Case:
        entry = self.data[index]
        image = entry.load(self.channels)
        size = (image.shape[-2], image.shape[-1])
        return Case(
            image=image,
            boxes=entry.boxes,
            categories=entry.category_ids,
            crowd=entry.crowd,
            mask=lambda row: entry.mask(row, size),
            evidence=lambda row: None,
        )

    def fingerprint(self, index: int) -> str:
        path = self.data[index].path
        if not path.is_file():
            raise FileNotFoundError(f"image file {path} does not exist.")
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]

    def check_measurable(self, metrics: Collection[str]) -> None:
        # "all" stands for evidence-energy, too, where there is evidence.
        if "evidence-energy" in metrics and not set(TABLE_METRICS) <= set(metrics):
            raise ValueError(
                "metrics: evidence-energy needs a data set whose evidence is known, such as "
                f"'synthetic'; {self.data.file.name} has none."
            )
        if not ON_ANNOTATIONS & set(metrics):
            return
        images = [self.data[index] for index in range(len(self))]
        if not any(len(image.boxes) for image in images):
            raise ValueError(
                f"metrics: the pointing games need annotations, and {self._without_annotations}; "
                f"leave these metrics out, or see what is wrong: {self._wrong}."
            )
        if any(any(image.polygons) for image in images) and find_spec("pycocotools") is None:
            raise ImportError(
                "the masks of the data set need pycocotools: pip install 'captum-ssgc[coco]'; "
                "or leave out the pointing games."
            )

    def check_annotated(self) -> None:
        if not any(len(self.data[index].boxes) for index in range(len(self))):
            raise ValueError(
                f"an audit needs annotations, and {self._without_annotations}: {self._wrong}."
            )

    @property
    def _without_annotations(self) -> str:
        return f"{self.data.file.name} has none that can be used for its {len(self)} images"

    @property
    def _wrong(self) -> str:
        texts = [text.rstrip(".") for text in self.left_out[:3]]
        return "; ".join(texts) or "there are none at all"

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "COCO format",
            "file": self.data.file.name,
            "sha256": hashlib.sha256(self.data.file.read_bytes()).hexdigest(),
            "images": len(self),
            "left_out": self.left_out[:MOST_LEFT_OUT],
            "ignored_annotations": dict(self.data.ignored),
        }
