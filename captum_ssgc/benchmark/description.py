"""What a run is: settings, data, model and versions, in JSON."""

from __future__ import annotations

import hashlib
from typing import Any

import captum
import torch
import torchvision

import captum_ssgc
from captum_ssgc.benchmark.image_work import ImageWork
from captum_ssgc.benchmark.sources import Source
from captum_ssgc.detector import Detector


def describe(work: ImageWork[Any], source: Source, model_name: str) -> dict[str, Any]:
    """Everything that the numbers of a run depend on.

    Args:
        work: with its settings, detector and device.
        source: the data set.
        model_name: for readers; empty for the class of the model.
    """
    return {
        "task": work.task,
        "settings": work.settings.as_json(),
        "data": source.describe(),
        "model": _model(work.detector, model_name) | {"layers": work.layer_names()},
        "device": work.device.type,
        "versions": {
            "captum-ssgc": captum_ssgc.__version__,
            "captum": captum.__version__,
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        },
    }


def _model(detector: Detector, name: str) -> dict[str, Any]:
    labels = detector.label_names
    return {
        "name": name or type(detector.model).__name__,
        "class": type(detector.model).__name__,
        "adapter": type(detector).__name__,
        "weights": _weights(detector.model),
        "label_names": None if labels is None else _digest("\n".join(labels).encode()),
        # Thresholds and the like, as far as the adapter holds them.
        "options": {
            key: value
            for key, value in sorted(vars(detector).items())
            if not key.startswith("_") and isinstance(value, (bool, int, float, str))
        },
    }


def _weights(model: torch.nn.Module) -> str:
    """A fingerprint of parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        if isinstance(tensor, torch.Tensor):
            # A copy, as a view as bytes needs plain strides.
            plain = tensor.detach().cpu().reshape(-1).clone(memory_format=torch.contiguous_format)
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(plain.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
