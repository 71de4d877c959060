"""The modules that a backbone's feature maps come from, found by running it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from captum_ssgc._channels import RGB, first_channels
from captum_ssgc._hooks import forward_hooks
from captum_ssgc.detector import outside_inference_mode
from captum_ssgc.detectors._content import noise
from captum_ssgc.detectors._precision import cast_like

_SIDES = (64, 224, 320)  # what does not take the first may be made for the second, or need more
_known: WeakKeyDictionary[nn.Module, dict[str, nn.Module]] = WeakKeyDictionary()


def feature_modules(backbone: nn.Module) -> dict[str, nn.Module]:
    """For each map of a backbone the module that gives it, by the backbone's own names, in order.

    Names that a network states for its stages need not be those under which a module around it
    gives their maps, and children need not be stages. So the backbone runs once, on a small image,
    and a module is a map's if what it gave last is that map itself. A map that no module gives
    belongs to the module of the map before, where it only is every second cell of that one.

    Args:
        backbone: ``(N, 3, H, W)`` to several maps, in a dictionary or a list.

    Returns:
        Empty where some map is no module's, or there is one map only.
    """
    if backbone not in _known:
        by_name: dict[str, nn.Module] = {}
        for side in _SIDES:
            by_name = by_name or _modules_at(backbone, side)
        _known[backbone] = by_name
    return _known[backbone]


def _modules_at(backbone: nn.Module, side: int) -> dict[str, nn.Module]:
    gave: list[tuple[nn.Module, Tensor]] = []

    def after(module: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            gave.append((module, output))

    image = noise((side, side), backbone, first_channels(backbone) or RGB)
    parts = [module for module in backbone.modules() if module is not backbone]
    with outside_inference_mode(), torch.no_grad():
        try:
            with forward_hooks(dict.fromkeys(parts, after)):
                output = backbone(cast_like(image, backbone))
        except Exception:  # of a network that takes another size or other input
            return {}
    if isinstance(output, Tensor) or not isinstance(output, (Mapping, list, tuple)):
        return {}
    named = dict(output) if isinstance(output, Mapping) else dict(enumerate(output))
    by_name: dict[str, nn.Module] = {}
    finer: Tensor | None = None
    for name, tensor in named.items():
        if not isinstance(tensor, Tensor) or tensor.dim() != 4:
            return {}
        modules = [module for module, given in gave if given is tensor]
        runs = sum(module is modules[-1] for module, _ in gave) if modules else 0
        if runs == 1:
            by_name[str(name)] = modules[-1]
        elif not modules and finer is not None and torch.equal(finer[..., ::2, ::2], tensor):
            by_name[str(name)] = list(by_name.values())[-1]
        else:
            return {}
        finer = tensor
    return by_name if len(by_name) > 1 else {}
