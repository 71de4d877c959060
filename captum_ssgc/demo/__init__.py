"""The detector in the box: a small trained Faster R-CNN for the synthetic scenes."""

from __future__ import annotations

from pathlib import Path

import torch
from torchvision.models.detection import FasterRCNN

from ..data import CLASS_NAMES, Scene, draw_scene
from .model import build_detector

__all__ = ["CLASS_NAMES", "WEIGHTS", "detector", "scene"]

WEIGHTS = Path(__file__).with_name("demo.pt")


def detector() -> FasterRCNN:
    """The trained detector.

    It reports objects with a score above 0.05 after class-wise non-maximum suppression at an
    IoU of 0.5, at most 50 per image; labels index :data:`CLASS_NAMES`. Its quality is recorded in
    ``model_card.json``.

    Returns:
        A ``torchvision.models.detection.FasterRCNN`` in evaluation mode, float32, on the CPU. It
        takes a list of RGB images ``(3, H, W)`` in [0, 1].

    Example:
        >>> from captum_ssgc.demo import detector, scene
        >>> found = detector()([scene(3).image])[0]
        >>> sorted(found)
        ['boxes', 'labels', 'scores']
    """
    model = build_detector()
    stored = torch.load(WEIGHTS, map_location="cpu", weights_only=True)
    model.load_state_dict(stored["weights"])
    return model.eval()


def scene(seed: int) -> Scene:
    """The 320 x 400 scene of a seed; seeds below 1,000,000 were not used in training.

    Args:
        seed: From 0 to 2**63 - 1.

    Returns:
        The scene; see :func:`captum_ssgc.data.draw_scene`.

    Example:
        >>> from captum_ssgc.demo import scene
        >>> scene(3).labels.tolist() == scene(3).labels.tolist()
        True
    """
    return draw_scene(seed)
