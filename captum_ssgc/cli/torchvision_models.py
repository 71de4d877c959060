"""torchvision's detection models by name, with torchvision's weights or a checkpoint."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from captum_ssgc._vendor_versions import loadable_classes
from captum_ssgc.cli.messages import CommandError, complain, one_line
from captum_ssgc.cli.model_choice import ModelChoice
from captum_ssgc.detector import Detector
from captum_ssgc.detectors import wrap_detector

# The layer whose output channels are classes, or anchors times classes, in each family.
_CLASS_LAYERS = (
    "roi_heads.box_predictor.cls_score.weight",
    "head.classification_head.cls_logits.weight",
    "head.classification_head.module_list.0.weight",
    "head.classification_head.module_list.0.1.weight",
)
_KEYPOINT_LAYER = "roi_heads.keypoint_predictor.kps_score_lowres.weight"
# Models whose published weights were trained with batch norm statistics frozen at eps = 0.
_FROZEN_WITHOUT_EPS = (
    "fasterrcnn_resnet50_fpn",
    "keypointrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn",
    "retinanet_resnet50_fpn",
)
_WRAPPINGS = ("model", "state_dict", "model_state_dict")


def names() -> list[str]:
    """The names of torchvision's detection models."""
    return torchvision.models.list_models(torchvision.models.detection)


def load(name: str, choice: ModelChoice) -> Detector:
    """A detection model with its weights, in evaluation mode.

    Raises:
        CommandError: if the weights, the checkpoint or the labels are not what they should be.
    """
    if choice.weights is not None and choice.checkpoint is not None:
        raise CommandError("--weights and --checkpoint exclude each other; give one of them.")
    label_names: Sequence[str] | None
    if choice.checkpoint is not None:
        model, label_names = _from_checkpoint(name, choice.checkpoint)
    elif (choice.weights or "DEFAULT").lower() == "none":
        complain(f"{name} has random weights: its maps explain nothing.", kind="warning")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model, label_names = _empty(name), None
    else:
        model, label_names = _published(name, choice.weights or "DEFAULT")
    settings: Any = model.roi_heads if hasattr(model, "roi_heads") else model
    settings.score_thresh = min(settings.score_thresh, choice.score_threshold)
    return wrap_detector(model.eval(), label_names=choice.labels or label_names)


def _published(name: str, weights_name: str) -> tuple[nn.Module, list[str]]:
    known = torchvision.models.get_model_weights(name)
    by_name = {entry.upper(): weights for entry, weights in known.__members__.items()}
    wanted = weights_name.rpartition(".")[2].upper()
    if wanted not in by_name:
        choices = ", ".join([*by_name, "none"])
        raise CommandError(f"--weights {weights_name}: {name} has {choices}.")
    weights = by_name[wanted]
    try:
        model = torchvision.models.get_model(name, weights=weights)
    except Exception as error:  # urllib, http, ssl, zip and pickle errors all mean the same here
        raise CommandError(
            f"the weights {weights} could not be downloaded or read ({one_line(error)}); check "
            f"the network, or download {weights.url} and pass --checkpoint FILE."
        ) from error
    return model, list(weights.meta["categories"])


def _empty(name: str, **sizes: int) -> nn.Module:
    model: nn.Module = torchvision.models.get_model(
        name, weights=None, weights_backbone=None, **sizes
    )
    return model


def _from_checkpoint(name: str, path: Path) -> tuple[nn.Module, list[str] | None]:
    state = _read_state(path)
    try:
        sizes = {"num_classes": _classes(name, state)}
    except KeyError:
        raise CommandError(
            f"--checkpoint {path} is not one of {name}: it has no class layer of a torchvision "
            f"detector; its first entries are {', '.join(list(state)[:3]) or 'none'}."
        ) from None
    if _KEYPOINT_LAYER in state:
        sizes["num_keypoints"] = state[_KEYPOINT_LAYER].shape[1]
    model = _empty(name, **sizes)
    frozen = not any(key.endswith("num_batches_tracked") for key in state)
    own = model.state_dict()
    if frozen:
        counters = {key: own[key] for key in own if key.endswith("num_batches_tracked")}
        state = {**counters, **state}
    _check_fit(f"--checkpoint {path} does not fit {name}", own, state)
    model.load_state_dict(state)
    if frozen and name in _FROZEN_WITHOUT_EPS:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 0.0
    categories = _default_categories(name)
    return model, categories if len(categories) == sizes["num_classes"] else None


def _default_categories(name: str) -> list[str]:
    return list(torchvision.models.get_model_weights(name)["DEFAULT"].meta["categories"])


def _read_state(path: Path) -> dict[str, Tensor]:
    """The state dict of a checkpoint; training scripts wrap it and keep their arguments beside."""
    if not path.is_file():
        raise CommandError(f"--checkpoint {path} does not exist.")
    try:
        with loadable_classes(argparse.Namespace):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch raise unrelated types
        if isinstance(error, pickle.UnpicklingError) and "GLOBAL" in str(error):
            raise CommandError(
                f"--checkpoint {path} holds Python objects, which are not loaded for safety; "
                "save model.state_dict() instead of the model."
            ) from error
        raise CommandError(
            f"--checkpoint {path} is no readable PyTorch checkpoint (truncated?)."
        ) from error
    for key in _WRAPPINGS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(
        isinstance(entry, Tensor) for entry in content.values()
    ):
        raise CommandError(
            f"--checkpoint {path}: expected a state dict, or one below 'model' or 'state_dict', "
            f"got {type(content).__name__}."
        )
    return {str(key).removeprefix("module."): entry for key, entry in content.items()}


def _classes(name: str, state: Mapping[str, Tensor]) -> int:
    """The number of labels of a model or checkpoint, read off its class layer."""
    with torch.device("meta"):
        plain = _empty(name, num_classes=91).state_dict()
    for key in _CLASS_LAYERS:
        if key in plain:
            anchors = plain[key].shape[0] // 91
            return state[key].shape[0] // anchors
    raise KeyError(name)


def _check_fit(what: str, own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    missing = [key for key in own if key not in state]
    foreign = [key for key in state if key not in own]
    reshaped = [key for key in own if key in state and own[key].shape != state[key].shape]
    problems = [
        f"{len(keys)} entries {how}, such as {keys[0]}"
        for keys, how in (
            (missing, "missing"),
            (foreign, "unknown"),
            (reshaped, "of another shape"),
        )
        if keys
    ]
    if problems:
        advice = "if it is another network's, name that with --model"
        raise CommandError(f"{what}: {'; '.join(problems)}; {advice}.")
