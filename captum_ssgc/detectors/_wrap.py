"""From any model to the adapter that fits it."""

from __future__ import annotations

import importlib
from typing import Any

from captum_ssgc.detector import Detector

_HERE = "captum_ssgc.detectors"
_TORCHVISION = "torchvision.models.detection"
_ADAPTERS = {
    f"{_TORCHVISION}.generalized_rcnn.GeneralizedRCNN": (
        f"{_HERE}.torchvision_two_stage",
        "TwoStageDetector",
    ),
    f"{_TORCHVISION}.retinanet.RetinaNet": (f"{_HERE}.torchvision_one_stage", "OneStageDetector"),
    f"{_TORCHVISION}.fcos.FCOS": (f"{_HERE}.torchvision_one_stage", "OneStageDetector"),
    f"{_TORCHVISION}.ssd.SSD": (f"{_HERE}.torchvision_one_stage", "OneStageDetector"),
    "transformers.modeling_utils.PreTrainedModel": (
        f"{_HERE}.transformers_queries",
        "TransformersDetector",
    ),
    "ultralytics.engine.model.Model": (f"{_HERE}.ultralytics_yolo", "ultralytics_detector"),
    "ultralytics.nn.tasks.BaseModel": (f"{_HERE}.ultralytics_yolo", "ultralytics_detector"),
}

# Around a model, for speed; hooks and names of layers need the model itself.
_SHELLS = {
    "torch.nn.parallel.data_parallel.DataParallel": "module",
    "torch.nn.parallel.distributed.DistributedDataParallel": "module",
    "torch._dynamo.eval_frame.OptimizedModule": "_orig_mod",
}


def wrap_detector(model: Any, **options: Any) -> Detector:
    """The adapter for a model, chosen by the model's own classes.

    Args:
        model: one of

            * torchvision's detection models: Faster, Mask and Keypoint R-CNN, RetinaNet, FCOS, SSD
              and SSDlite;
            * a model that ``transformers.AutoModelForObjectDetection`` loads;
            * a ``YOLO`` or ``RTDETR`` object of Ultralytics, or its ``model``;
            * any of these inside ``DataParallel`` or ``torch.compile``, which are left out;
            * your own function or module, images ``(N, 3, H, W)`` to ``(boxes, class_scores)``;
            * a :class:`captum_ssgc.Detector`, returned as it is.
        **options: of the adapter, such as ``label_names``; ``processor`` for transformers; for
            your own model those of :class:`captum_ssgc.detectors.CandidateDetector`.

    Returns:
        A :class:`captum_ssgc.Detector`.

    Raises:
        TypeError: if ``model`` is nothing that can be called, or a vendor's model without boxes.

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
    for ancestor, inside in _SHELLS.items():
        if ancestor in ancestors:
            return wrap_detector(getattr(model, inside), **options)
    for ancestor, (module, name) in _ADAPTERS.items():
        if ancestor in ancestors:
            adapter = getattr(importlib.import_module(module), name)
            detector: Detector = adapter(model, **options)
            return detector
    if not callable(model):
        raise TypeError(
            f"model: expected a detection model or a function, got {type(model).__name__}."
        )
    from captum_ssgc.detectors.candidates import CandidateDetector

    return CandidateDetector(model, **options)
