"""torchvision's detection models by name, with torchvision's weights or a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from captum_ssgc.cli.checkpoints import read_checkpoint, state_dicts
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
    states = list(state_dicts(read_checkpoint(path)))
    if not states:
        raise CommandError(
            f"--checkpoint {path}: expected a state dict, or one below 'model' or 'state_dict', "
            "got no tensors by name."
        )
    model, problems = _filled(name, states)
    if problems:
        others = [other for other in names() if not _filled(other, states, try_only=True)[1]]
        advice = (
            f"it fits {' and '.join(others)}: give --model {others[0]}"
            if others
            else "it fits none of torchvision's detectors as torchvision.models builds them"
        )
        raise CommandError(f"--checkpoint {path} {problems}; {advice}.")
    categories = _default_categories(name)
    classes = _classes(name, model.state_dict())
    return model, categories if len(categories) == classes else None


def _filled(
    name: str, states: Sequence[Mapping[str, Tensor]], try_only: bool = False
) -> tuple[nn.Module, str]:
    """The model with the first of the state dicts that is one of such a network's.

    Returns:
        The model, and what is wrong; empty where nothing is.
    """
    layer, _ = _class_layer(name)
    state = next((own for one in states if layer in (own := _below_prefix(one, layer))), None)
    if state is None:
        return nn.Module(), (
            f"is not one of {name}: it has no class layer {layer}; its first entries are "
            f"{', '.join(list(states[0])[:3])}"
        )
    sizes = {"num_classes": _classes(name, state)}
    if _KEYPOINT_LAYER in state:
        sizes["num_keypoints"] = state[_KEYPOINT_LAYER].shape[1]
    with torch.device("meta") if try_only else nullcontext():
        model = _empty(name, **sizes)
    frozen = not any(key.endswith("num_batches_tracked") for key in state)
    own = model.state_dict()
    if frozen:
        counters = {key: own[key] for key in own if key.endswith("num_batches_tracked")}
        state = {**counters, **state}
    problems = _misfit(own, state)
    if problems:
        return model, f"does not fit {name}: {problems}"
    if not try_only:
        model.load_state_dict(state)
    if frozen and name in _FROZEN_WITHOUT_EPS:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 0.0
    return model, ""


def _below_prefix(state: Mapping[str, Tensor], layer: str) -> Mapping[str, Tensor]:
    """What is around the model of ``layer`` has put a name before its entries: left out."""
    named = next((key for key in state if f".{key}".endswith(f".{layer}")), layer)
    prefix = named.removesuffix(layer)
    return {
        key.removeprefix(prefix): entry for key, entry in state.items() if key.startswith(prefix)
    }


def _default_categories(name: str) -> list[str]:
    return list(torchvision.models.get_model_weights(name)["DEFAULT"].meta["categories"])


@cache
def _class_layer(name: str) -> tuple[str, int]:
    """The weight whose rows are classes, and how many rows each class has, its anchors'."""
    with torch.device("meta"):
        plain = _empty(name, num_classes=91).state_dict()
    layer = next(key for key in _CLASS_LAYERS if key in plain)
    return layer, plain[layer].shape[0] // 91


def _classes(name: str, state: Mapping[str, Tensor]) -> int:
    """The number of labels of a model or checkpoint, read off its class layer."""
    layer, per_label = _class_layer(name)
    return state[layer].shape[0] // per_label


def _misfit(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    missing = [key for key in own if key not in state]
    foreign = [key for key in state if key not in own]
    reshaped = [key for key in own if key in state and own[key].shape != state[key].shape]
    return "; ".join(
        f"{len(keys)} entries {how}, such as {keys[0]}"
        for keys, how in (
            (missing, "missing"),
            (foreign, "unknown"),
            (reshaped, "of another shape"),
        )
        if keys
    )
