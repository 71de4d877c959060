"""Synthetic scenes with planted evidence, and COCO-format data sets."""

from .coco import CocoDataset, CocoImage
from .scenes import CLASS_NAMES, Scene, SceneDataset, draw_scene
from .shortcut_scenes import BY_GROUND, BY_MARK, draw_shortcut_scene

__all__ = [
    "BY_GROUND",
    "BY_MARK",
    "CLASS_NAMES",
    "CocoDataset",
    "CocoImage",
    "Scene",
    "SceneDataset",
    "draw_scene",
    "draw_shortcut_scene",
]
