"""From any model to the adapter that fits it."""

from __future__ import annotations

from typing import Any

from captum_ssgc.detector import Detector


def wrap_detector(model: Any, **options: Any) -> Detector:
    """The adapter for a model, chosen by the model's own classes.

    Args:
        model: a torchvision two-stage detection model; or your own function or module, images
            ``(N, 3, H, W)`` to ``(boxes, class_scores)``; or a :class:`captum_ssgc.Detector`,
            returned as it is.
        **options: of the adapter, such as ``label_names``; for your own model those of
            :class:`captum_ssgc.detectors.CandidateDetector`.

    Returns:
        A :class:`captum_ssgc.Detector`.

    Raises:
        TypeError: if ``model`` is nothing that can be called.

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> def one_box(images):
        ...     boxes = torch.tensor([[[0.0, 0.0, 4.0, 4.0]]]).expand(len(images), 1, 4)
        ...     return boxes, images.mean((1, 2, 3)).reshape(-1, 1, 1)
        >>> ssgc.wrap_detector(one_box).detect(torch.ones(1, 3, 4, 4))[0].boxes
        tensor([[0., 0., 4., 4.]])
    """
    if isinstance(model, Detector):
        return model
    ancestors = [f"{base.__module__}.{base.__name__}" for base in type(model).__mro__]
    if "torchvision.models.detection.generalized_rcnn.GeneralizedRCNN" in ancestors:
        from captum_ssgc.detectors.torchvision_two_stage import TwoStageDetector

        return TwoStageDetector(model, **options)
    if not callable(model):
        raise TypeError(
            f"model: expected a detection model or a function, got {type(model).__name__}."
        )
    from captum_ssgc.detectors.candidates import CandidateDetector

    return CandidateDetector(model, **options)
