"""What is said of a model that no adapter fits, and of what is no model."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import jit, nn

_WITHOUT_BOXES = ("torchvision.models.", "timm.models.")  # but for the adapters' own
_READERS = {".onnx": "onnx_detector", ".torchscript": "torchscript_detector"}
_DEEPEST = 4


def refuse(model: Any, held: Sequence[str], decoded: bool) -> None:
    """Raise ``TypeError`` for what is no detector, nor a function that could be one.

    Args:
        model: what the user gave.
        held: attributes under which frameworks keep their networks.
        decoded: whether the user says how its output is read.
    """
    kind = type(model).__name__
    expected = "model: expected a detection model or a function, got"
    if isinstance(model, (str, os.PathLike)):
        raise TypeError(f"{expected} {kind} {str(model)[:80]!r}: {_how_to_load(Path(model))}.")
    if isinstance(model, Mapping):
        inner = [key for key, value in model.items() if isinstance(value, nn.Module)]
        raise TypeError(
            f"{expected} {kind}; pass the network in it, its [{inner[0]!r}]."
            if inner
            else f"{expected} {kind}; if it holds weights, make the model first, then "
            "model.load_state_dict(...) and model.eval()."
        )
    if isinstance(model, type):
        raise TypeError(f"{expected} the class {model.__name__}: make an object of it first.")
    if isinstance(model, (jit.ScriptModule, jit.ScriptFunction)):
        raise TypeError(
            f"{expected} a scripted {kind}, whose layers cannot be read: pass the Python model "
            "that it was made from, or its file to captum_ssgc.detectors.torchscript_detector."
        )
    if not callable(model) or kind.endswith("Predictor"):
        path, network = _network_in(model, held, _DEEPEST)
        advice = (
            f"; its {path} is a {type(network).__name__}: wrap that, with decode=... that makes "
            "captum_ssgc.detectors.Candidates from its output"
        )
        raise TypeError(f"{expected} {kind}{advice if path else ''}.")
    if type(model).__module__.startswith(_WITHOUT_BOXES) and not decoded:
        raise TypeError(
            f"{expected} a {kind} of {type(model).__module__.partition('.')[0]}, which gives no "
            "boxes: a classifier is explained by captum.attr.LayerGradCam; for a detector made of "
            "it pass the detector, or decode=... that makes captum_ssgc.detectors.Candidates."
        )
    if inspect.isfunction(model) and not _takes_images(model):
        raise TypeError(
            f"{expected} {model.__name__}, which takes no images: if it builds a model, call it "
            f"and pass what it returns ({model.__name__}(...).eval())."
        )


def _how_to_load(path: Path) -> str:
    """For a file or folder, by what it looks like; for another name all ways."""
    reader = _READERS.get(path.suffix.lower())
    if reader is not None:
        return f"pass captum_ssgc.detectors.{reader}(path)"
    if os.path.isdir(path):  # noqa: PTH112, as it takes any text, however long
        return "pass transformers.AutoModelForObjectDetection.from_pretrained(path).eval()"
    if path.suffix.lower() in (".pt", ".pth", ".ckpt"):
        return (
            "pass ultralytics.YOLO(path) for a file of Ultralytics; for a state dict make the "
            "model first, then model.load_state_dict(torch.load(path)) and model.eval()"
        )
    return (
        "load the model first, with YOLO(path), AutoModelForObjectDetection.from_pretrained(path) "
        "or torchvision.models.get_model(name, weights=...)"
    )


def _takes_images(function: Any) -> bool:
    """Whether the first argument may be given by place, and must be, as images are."""
    parameters = list(inspect.signature(function).parameters.values())
    return any(one.kind is one.VAR_POSITIONAL for one in parameters) or any(
        one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        for one in parameters
    )


def _network_in(thing: Any, names: Sequence[str], depth: int) -> tuple[str, nn.Module | None]:
    """Where something keeps a network, such as ``.model.model``; empty where it keeps none."""
    for name in names if depth else ():
        held = getattr(thing, "__dict__", {}).get(name)
        if isinstance(held, nn.Module):
            return f".{name}", held
        path, network = _network_in(held, names, depth - 1)
        if path:
            return f".{name}{path}", network
    return "", None
