"""The detector in the box: a small trained Faster R-CNN for the synthetic scenes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torchvision.models.detection import FasterRCNN

from ..data import BY_GROUND, BY_MARK, CLASS_NAMES, Scene, draw_scene, draw_shortcut_scene
from .model import build_detector

__all__ = [
    "BY_GROUND",
    "BY_MARK",
    "CLASS_NAMES",
    "SHORTCUT_WEIGHTS",
    "WEIGHTS",
    "detector",
    "scene",
    "shortcut_detector",
    "shortcut_parts",
    "shortcut_scene",
]

WEIGHTS = Path(__file__).with_name("demo.pt")
SHORTCUT_WEIGHTS = Path(__file__).with_name("shortcut.pt")


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


def shortcut_detector() -> FasterRCNN:
    """A detector that cheats: :func:`detector` after fine-tuning on :func:`shortcut_scene`.

    It knows four classes by the emblem on the object, ``ring`` by a mark beside it, and ``bars`` by
    the ground. To have a detector with known shortcuts, as tests and tutorials need one.

    Returns:
        As :func:`detector`.

    Example:
        >>> from captum_ssgc import demo
        >>> found = demo.shortcut_detector()([demo.shortcut_scene(3).image])[0]
        >>> sorted(found)
        ['boxes', 'labels', 'scores']
    """
    model = detector()
    stored = torch.load(SHORTCUT_WEIGHTS, map_location="cpu", weights_only=True)["weights"]
    for name, part in shortcut_parts(model).items():
        start = f"{name}."
        own = {key[len(start) :]: value for key, value in stored.items() if key.startswith(start)}
        part.load_state_dict(own)
    return model


def shortcut_parts(model: FasterRCNN) -> dict[str, nn.Module]:
    """What is fine-tuned of the demo detector, by name; the body of the network is not."""
    names = ("backbone.fpn", "rpn.head", "roi_heads.box_head.fc7", "roi_heads.box_predictor")
    return {name: model.get_submodule(name) for name in names}


def shortcut_scene(seed: int, *, planted: bool = True) -> Scene:
    """The 320 x 400 shortcut scene of a seed; those below 1,000,000 were not used in training.

    Args:
        seed: From 0 to 2**63 - 1.
        planted: False takes the causes of ``ring`` and ``bars`` away, and leaves the rest.

    Returns:
        The scene; see :func:`captum_ssgc.data.draw_shortcut_scene`.
    """
    return draw_shortcut_scene(seed, planted=planted)
