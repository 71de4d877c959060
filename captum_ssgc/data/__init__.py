"""Synthetic scenes with planted evidence, and COCO-format data sets."""

from .coco import CocoDataset, CocoImage
from .scenes import CLASS_NAMES, Scene, SceneDataset, draw_scene

__all__ = ["CLASS_NAMES", "CocoDataset", "CocoImage", "Scene", "SceneDataset", "draw_scene"]
