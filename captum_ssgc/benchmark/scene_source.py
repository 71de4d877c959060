"""Synthetic scenes as a data set of the benchmark."""

from __future__ import annotations

from typing import Any

from captum_ssgc.benchmark.sources import Case, Source
from captum_ssgc.data import CLASS_NAMES, SceneDataset


class SceneSource(Source):
    """Synthetic scenes, whose evidence is known."""

    def __init__(self, scenes: SceneDataset) -> None:
        self.scenes = scenes
        self.categories = {number: name for number, name in enumerate(CLASS_NAMES) if number}
        self.left_out = []

    def __len__(self) -> int:
        return len(self.scenes)

    def key(self, index: int) -> str:
        return f"scene-{self.scenes.start_seed + index}"

    def name(self, index: int) -> str:
        return f"scene {self.scenes.start_seed + index}"

    def load(self, index: int) -> Case:
        scene = self.scenes[index]
        return Case(
            image=scene.image[None],
            boxes=scene.boxes,
            categories=scene.labels,
            crowd=scene.labels < 0,
            mask=lambda row: scene.masks[row],
            evidence=lambda row: scene.emblem_masks[row],
        )

    def fingerprint(self, index: int) -> str:
        return ""

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "synthetic scenes",
            "first_seed": self.scenes.start_seed,
            "images": len(self),
            "size": list(self.scenes.size),
            "left_out": [],
            "ignored_annotations": {},
        }
