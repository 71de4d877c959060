"""TorchScript files as networks that can be sent to another device."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class ScriptNetwork(nn.Module):
    """A script as a module that runs one image after the other, wherever it is sent.

    Traced networks often take the number of images that they were traced with. They also keep, as
    constants of their code, the tensors and the device of the machine that traced them, which
    ``to`` leaves behind: here they go along. Images are sent to the network, and what it makes of
    them is sent back to where they were.

    Args:
        script: in evaluation mode; its weights take no gradients any more.
    """

    def __init__(self, script: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.script = script
        self.requires_grad_(False)  # copies of what takes gradients are no leaves
        # A script may have no tensors but constants.
        self.register_buffer("here", torch.empty(0, device="cpu"), persistent=False)
        self.here: Tensor

    def forward(self, images: Tensor) -> list[Tensor]:
        outputs = [_tensors(self.script(image[None].to(self.here.device))) for image in images]
        return [torch.cat(parts).to(images.device) for parts in zip(*outputs, strict=True)]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ScriptNetwork:
        device = fn(torch.empty_like(self.here)).device
        if device != self.here.device:
            self.script = sent(self.script, device)
        return super()._apply(fn, recurse)


def sent(script: torch.jit.ScriptModule, device: torch.device) -> torch.jit.ScriptModule:
    """A copy on a device; its code is written anew, as what has run is compiled."""
    written = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # FutureWarning or DeprecationWarning: TorchScript at all
        torch.jit.save(script, written)
        written.seek(0)
        copy: Any = torch.jit.load(written, device)
    for module in copy.modules():
        for name in module._c._method_names():
            for node in module._c._get_method(name).graph.findAllNodes("prim::Constant"):
                if str(node.output().type()) == "Device" and "value" in node.attributeNames():
                    node.s_("value", str(device))
    for parameter in copy.parameters():
        parameter.requires_grad_(False)
    made: torch.jit.ScriptModule = copy.train(script.training)
    return made


def _tensors(output: Any) -> list[Tensor]:
    """The tensors of an output, in order."""
    if isinstance(output, Tensor):
        return [output]
    inner = output.values() if isinstance(output, dict) else output
    return [one for part in inner for one in _tensors(part)]
