"""The module that a network's last feature map comes from, found by running the network."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from captum_ssgc._channels import RGB, first_channels
from captum_ssgc._hooks import forward_hooks
from captum_ssgc.detector import outside_inference_mode
from captum_ssgc.detectors._precision import cast_like

_SIDE = 64
_TRIED = 6
_known: WeakKeyDictionary[nn.Module, list[nn.Module]] = WeakKeyDictionary()


def last_module_of(trunk: nn.Module) -> list[nn.Module]:
    """The last module that gives the trunk's last feature map, or all that it is made from.

    Children are not always stages: a traced network keeps modules that only hold others, and some
    networks call the parts of a stage one by one. So the trunk runs once, on a small image, and a
    module counts if it ran once, gives ``(N, C, h, w)`` at the last map's size, and nothing passes
    it by.

    Args:
        trunk: ``(N, 3, H, W)`` to one or several feature maps, the last one the coarsest.

    Returns:
        One module; none where there is no such module, or the trunk takes other input.
    """
    if trunk not in _known:
        _known[trunk] = _last_modules(trunk)
    return _known[trunk]


def _last_modules(trunk: nn.Module) -> list[nn.Module]:
    ran: dict[nn.Module, list[Any]] = {}

    def after(module: nn.Module, args: Any, output: Any) -> None:
        ran.setdefault(module, []).append(output)

    parts = [module for module in trunk.modules() if module is not trunk]
    device = next((p.device for p in trunk.parameters()), torch.device("cpu"))
    size = (1, first_channels(trunk) or RGB, _SIDE, _SIDE)
    image = cast_like(torch.zeros(size, device=device, dtype=torch.float32), trunk)
    with outside_inference_mode(), torch.no_grad():
        try:
            with forward_hooks(dict.fromkeys(parts, after)):
                last = _last_map(trunk(image))
        except Exception:  # of a network that takes another size or other input
            return []
        candidates = [
            module
            for module, outputs in ran.items()
            if len(outputs) == 1 and _is_map(outputs[0]) and outputs[0].shape[2:] == last.shape[2:]
        ]
        for module in candidates[: -_TRIED - 1 : -1]:
            if not _passed_by(trunk, module, image):
                return [module]
    return []


def _passed_by(trunk: nn.Module, module: nn.Module, image: Tensor) -> bool:
    """Whether the last map still depends on the image when the module's output does not."""

    def cut(one: nn.Module, args: Any, output: Tensor) -> Tensor:
        return output.detach()

    with torch.enable_grad(), forward_hooks({module: cut}):
        pixels = image.clone().requires_grad_()
        last = _last_map(trunk(pixels))
        if not last.requires_grad:
            return False
        return torch.autograd.grad(last.sum(), pixels, allow_unused=True)[0] is not None


def _last_map(output: Any) -> Tensor:
    if isinstance(output, dict):
        output = list(output.values())
    while not isinstance(output, Tensor):
        output = output[-1]
    return output


def _is_map(output: Any) -> bool:
    return isinstance(output, Tensor) and output.dim() == 4 and output.is_floating_point()
