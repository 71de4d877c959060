"""What differs between the versions of dependencies that are supported: nothing else asks for it.

It asks what is there, not for a version number. A vendor is imported where it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor


@contextmanager
def loadable_classes(*classes: type) -> Iterator[None]:
    """``torch.load(weights_only=True)`` takes these during the body (torch 2.4 cannot undo it)."""
    serialization: Any = torch.serialization
    before = list(serialization.get_safe_globals())  # in torch 2.4 it is the list that grows
    serialization.add_safe_globals(list(classes))
    try:
        yield
    finally:
        serialization.clear_safe_globals()
        serialization.add_safe_globals(before)


def saving_is_watched() -> bool:
    """Whether ``saved_tensors_hooks`` are set in this thread (torch 2.4 only refuses them)."""
    autograd: Any = torch._C._autograd
    if hasattr(autograd, "_top_saved_tensors_default_hooks"):
        return autograd._top_saved_tensors_default_hooks(True) is not None
    try:
        with torch.autograd.graph.disable_saved_tensors_hooks("asked whether there are any"):
            return False
    except RuntimeError:
        return True


@cache
def tensor_processors() -> tuple[type, str]:
    """The base of transformers' image processors on tensors, and how their names end."""
    try:
        from transformers.image_processing_backends import TorchvisionBackend
    except ImportError:  # transformers 4
        from transformers.image_processing_utils_fast import BaseImageProcessorFast

        return BaseImageProcessorFast, "Fast"
    return TorchvisionBackend, ""


def processor_on_tensors(name: str) -> Any:
    """The class on tensors of the image processor ``name``; ``None`` where there is none.

    A class of transformers 5 has the name, and its twin on Pillow images ends in ``Pil``; in
    transformers 4 the twin has the name and the class on tensors ends in ``Fast``.
    """
    import transformers

    base, ending = tensor_processors()
    stem = name.removesuffix("Pil").removesuffix("Fast")
    processor = getattr(transformers, stem + ending, None)
    return processor if base in getattr(processor, "__mro__", ()) else None


def processor_name(model_type: str) -> str | None:
    """The name of one image processor of a family, on tensors or not, as transformers lists it."""
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES

    known = IMAGE_PROCESSOR_MAPPING_NAMES.get(model_type) or ()
    names = known.values() if isinstance(known, Mapping) else known  # transformers 5, 4
    return next((name for name in names if name), None)


def yolo_predictions(head: Any, output: Any) -> tuple[Tensor, Any, Tensor, list[Tensor], Any]:
    """What a head of Ultralytics gives, as lists (8.3) or in dictionaries (8.4).

    Returns:
        What the vendor reports; what the head's ``_inference`` decodes; logits ``(N, C, R)``; one
        tensor ``(N, ..., h, w)`` for each level; the prototypes of masks or ``None``.
    """
    reported, raw = output
    prototypes = None
    if isinstance(reported, tuple):
        reported, prototypes = reported
    if isinstance(raw, tuple):  # 8.3: level maps, coefficients of masks or keypoints, prototypes
        raw, _, *rest = raw
        prototypes = rest[0] if rest else None
    if "one2one" in raw:
        raw = raw["one2one" if head.end2end else "one2many"]
    if isinstance(raw, Mapping):
        return reported, raw, raw["scores"], raw["feats"], prototypes
    logits = torch.cat([level.flatten(2) for level in raw], 2)[:, -head.nc :]
    return reported, raw, logits, raw, prototypes


def yolo_decoded(head: Any, predictions: Any) -> Tensor:
    """Boxes, class scores and, last, the angles of oriented boxes, ``(N, 4 + C + ..., R)``.

    Ultralytics 8.3 leaves the angles on the head.
    """
    decoded: Tensor = head._inference(predictions)
    angles = getattr(head, "angle", None)
    if angles is None or decoded.shape[1] > 4 + head.nc:
        return decoded
    return torch.cat([decoded, angles], 1)
