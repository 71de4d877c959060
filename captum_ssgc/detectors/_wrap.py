"""From any model to the adapter that fits it."""

from __future__ import annotations

import importlib
from typing import Any

from captum_ssgc._as_before import leaves_all_as_before
from captum_ssgc.detector import Detector
from captum_ssgc.detectors._no_detector import refuse

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
        f"{_HERE}._transformers_choice",
        "transformers_detector",
    ),
    "rfdetr.detr.RFDETR": (f"{_HERE}.rfdetr", "RFDETRDetector"),
    "ultralytics.engine.model.Model": (f"{_HERE}.ultralytics_yolo", "ultralytics_detector"),
    "ultralytics.nn.tasks.BaseModel": (f"{_HERE}.ultralytics_yolo", "ultralytics_detector"),
}

# Where a model is kept by what is around it for speed or averages, and calls it as it is.
_ALIKE = ("module", "_orig_mod", "ema", "base_model")
# Where it is kept by what else a framework has made; something of yours may change its output.
_HELD = (*_ALIKE, "model", "ema_model", "detector", "net")
_FRAMEWORKS = ("transformers", "ultralytics", "peft", "lightning", "pytorch_lightning", "timm")
_FRAMEWORK_CLASSES = ("LightningModule", "PeftModel")
_SHELLS = ("torch", "accelerate", "deepspeed", *_FRAMEWORKS)  # whose modules pass images on
_DEEPEST = 4


@leaves_all_as_before
def wrap_detector(model: Any, processor: Any = None, **options: Any) -> Detector:
    """The adapter for a model, chosen by the model's own classes.

    Args:
        model: one of

            * torchvision's detection models: Faster, Mask and Keypoint R-CNN, RetinaNet, FCOS, SSD
              and SSDlite;
            * a model that ``transformers.AutoModelForObjectDetection`` loads, or
              ``AutoModelForZeroShotObjectDetection`` (with ``text=["a cat", "a remote"]``), or a
              pipeline of one, whose processor is then used;
            * a ``YOLO`` or ``RTDETR`` object of Ultralytics, or its ``model``;
            * a model of Roboflow's ``rfdetr``, such as ``RFDETRMedium()``;
            * any of these inside something else, which is left out: ``DataParallel``,
              ``torch.compile``, a PEFT adapter, averaged weights, a Lightning module's ``model``;
            * your own function or module, images ``(N, 3, H, W)`` to ``(boxes, class_scores)``;
            * a :class:`captum_ssgc.Detector`, returned as it is.
        processor: of a model of transformers.
        **options: of the adapter, such as ``label_names``, or ``text`` for what looks for phrases
            (:class:`captum_ssgc.detectors.TextPromptDetector`); for your own model those of
            :class:`captum_ssgc.detectors.CandidateDetector`.

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
    known = None if "decode" in options else _known_inside(model, _DEEPEST)
    if known is None and processor is not None:
        raise TypeError(
            f"processor: is for a model of transformers, got {type(model).__name__} as the model "
            f"and {type(processor).__name__} as the processor (the order is model, processor)."
        )
    if processor is not None:
        options["processor"] = processor
    if known is not None:
        if processor is None and getattr(model, "image_processor", None) is not None:
            options["processor"] = model  # a pipeline, which holds all that a processor does
        module, name = _ADAPTERS[_family(known)]
        detector: Detector = getattr(importlib.import_module(module), name)(known, **options)
        return detector
    refuse(model, held=_HELD, decoded="decode" in options)
    from captum_ssgc.detectors.candidates import CandidateDetector

    return CandidateDetector(model, **options)


def _family(model: Any) -> str:
    """The key of :data:`_ADAPTERS` for a model, empty for others."""
    ancestors = [f"{base.__module__}.{base.__name__}" for base in type(model).__mro__]
    return next((name for name in _ADAPTERS if name in ancestors), "")


def _known_inside(thing: Any, depth: int) -> Any:
    """The vendor's model that ``thing`` is, or is around; ``None`` where there is none."""
    if _family(thing):
        return thing
    if not depth or isinstance(thing, type) or not hasattr(thing, "__dict__"):
        return None
    held = {**vars(thing), **vars(thing).get("_modules", {})}
    for name in _HELD if _is_frame(thing) else _ALIKE if _passes_on(thing) else ():
        known = _known_inside(held[name], depth - 1) if name in held else None
        if known is not None:
            return known
    return None


def _is_frame(thing: Any) -> bool:
    """Whether ``thing`` is around a model without being a detector of its own."""
    classes = type(thing).__mro__
    if not callable(thing) or any(base.__name__ in _FRAMEWORK_CLASSES for base in classes):
        return True
    of_framework = any(base.__module__.partition(".")[0] in _FRAMEWORKS for base in classes)
    return of_framework and _passes_on(thing)


def _passes_on(thing: Any) -> bool:
    """Whether what runs when ``thing`` is called is a framework's: yours may change the output."""
    for base in type(thing).__mro__:
        if "forward" in vars(base) or "__call__" in vars(base):
            return base.__module__.partition(".")[0] in _SHELLS
    return False
