"""Layers worth attributing in detection transformers, and the grids of their tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def recommended_layers(model: nn.Module) -> list[nn.Module]:
    """The last stage of the backbone and the output of the encoder, where there are such."""
    body: Any = getattr(getattr(model, "detr", model), "model", None)
    if body is None:
        return _vit_layers(model)
    layers = []
    for name in ("backbone", "conv_encoder"):
        encoder = getattr(body, name, None)
        convolutions = getattr(encoder, "conv_encoder", encoder)
        layers += _last_stage(getattr(convolutions, "model", None))
        layers += _projector(getattr(encoder, "projector", None))
    return layers + _encoder_output(getattr(body, "encoder", None))


def _vit_layers(model: nn.Module) -> list[nn.Module]:
    """Where the detection tokens last read the patches: the input of the last attention."""
    layers = getattr(getattr(getattr(model, "vit", None), "encoder", None), "layer", None)
    return [] if layers is None else [layers[-1].layernorm_before]


def _last_stage(trunk: Any) -> list[nn.Module]:
    stages = getattr(getattr(trunk, "encoder", None), "stages", None)
    if stages is not None:
        return [stages[-1]]
    if trunk is not None and type(trunk).__module__.startswith("timm."):
        return list(trunk.children())[-1:]
    return []


def _projector(projector: Any) -> list[nn.Module]:
    if projector is None:
        return []
    return list(getattr(projector, "scale_layers", [projector]))


def _encoder_output(encoder: Any) -> list[nn.Module]:
    if hasattr(encoder, "pan_blocks"):
        return [encoder.fpn_blocks[-1], *encoder.pan_blocks]
    if hasattr(encoder, "layernorm"):
        return [encoder.layernorm]
    layers = getattr(encoder, "layers", None)
    if layers is None:
        return []
    last = layers[-1]  # DAB-DETR's gives a tuple, of which its last norm is the first entry
    return [last.final_layer_norm if type(last).__name__.startswith("DabDetr") else last]


class TokenGrid:
    """Brings the tokens of an encoder to ``(N, C, h, w)``.

    Several levels are laid on the finest grid (nearest neighbour) and stacked as channels, so that
    a sum over channels is a sum over levels.

    Args:
        canvas: ``(H, W)`` of the network's input.
        levels: how many levels the tokens may come from.
        patch: side of a patch in canvas pixels; ``None`` for a convolutional backbone.
        before: tokens in front of the image's.
        after: tokens behind them.
    """

    def __init__(
        self,
        canvas: tuple[int, int],
        levels: Sequence[int] = (1,),
        patch: tuple[int, int] | None = None,
        before: int = 0,
        after: int = 0,
    ) -> None:
        self.canvas, self.levels, self.patch = canvas, levels, patch
        self.before, self.after = before, after

    def __call__(self, tensor: Tensor) -> Tensor:
        if tensor.dim() != 3:
            return tensor
        tokens = tensor[:, self.before : tensor.shape[1] - self.after].transpose(1, 2)
        grids = self._grids(tokens.shape[-1])
        sizes = [height * width for height, width in grids]
        maps = [
            part.unflatten(2, grid)
            for part, grid in zip(tokens.split(sizes, 2), grids, strict=True)
        ]
        finest = maps[0].shape[-2:]
        aligned = [F.interpolate(one, size=finest, mode="nearest") for one in maps[1:]]
        return torch.cat([maps[0], *aligned], 1)

    def _grids(self, count: int) -> list[tuple[int, int]]:
        height, width = self.canvas
        if self.patch is not None:
            grid = (height // self.patch[0], width // self.patch[1])
            if grid[0] * grid[1] == count:
                return [grid]
        else:
            for levels in self.levels:
                for power in range(9):
                    strides = [2 ** (power + level) for level in range(levels)]
                    grids = [(math.ceil(height / s), math.ceil(width / s)) for s in strides]
                    if sum(rows * columns for rows, columns in grids) == count:
                        return grids
        raise ValueError(
            f"{count} tokens fit no grid of a canvas of {height} x {width} pixels: pass "
            "reshape_transform, a function that brings the layer's output to (N, C, h, w)."
        )
