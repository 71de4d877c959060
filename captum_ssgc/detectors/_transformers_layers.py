"""Layers worth attributing in detection transformers, and the grids of their tokens."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ssgc.detectors._last_module import last_module_of
from captum_ssgc.map_layout import ChannelsFirst


def recommended_layers(model: nn.Module) -> list[nn.Module]:
    """The last stage of the backbone and the output of the encoder, where there are such.

    RT-DETR and its descendants have the finest map of their encoder first, the best as measured.
    """
    body: Any = getattr(getattr(model, "detr", model), "model", model)
    layers = [*_vit_layers(model), *_normed_maps(getattr(body, "vision_backbone", None))]
    for name in ("backbone", "conv_encoder"):
        backbone = getattr(body, name, None)
        convolutions = getattr(backbone, "conv_encoder", backbone)
        layers += _last_stage(getattr(convolutions, "model", None))
        layers += _projector(getattr(backbone, "projector", None))
    encoder: Any = getattr(body, "encoder", None)
    if hasattr(encoder, "pan_blocks"):
        return [encoder.fpn_blocks[-1], *encoder.pan_blocks, *layers]
    return layers + _encoder_output(encoder)


def token_grid(
    model: nn.Module, layer: str, canvas: tuple[int, int]
) -> Callable[[Tensor], Tensor] | None:
    """What brings the output of a layer of this name to ``(N, C, h, w)``.

    Args:
        model: of transformers.
        layer: a module's name in it.
        canvas: ``(H, W)`` of the network's input.

    Returns:
        ``None`` where nothing is known.
    """
    config: Any = model.config
    name = layer.removeprefix("detr.")
    if name.startswith("vision_backbone.layer_norms."):
        return ChannelsFirst(canvas)
    if ".hidden_states_norms." in name:  # of a Swin backbone
        return TokenGrid(canvas)
    if name.startswith("model.encoder."):
        return TokenGrid(canvas, levels=(getattr(config, "num_feature_levels", 1), 1))
    if name.startswith("vit.encoder."):
        patch = _sides(config.patch_size)
        return TokenGrid(canvas, patch=patch, before=1, after=config.num_detection_tokens)
    if ".vision_model." in name:
        return TokenGrid(canvas, patch=_sides(config.vision_config.patch_size), before=1)
    return None


def _sides(patch: int | Sequence[int]) -> tuple[int, int]:
    return (patch, patch) if isinstance(patch, int) else (patch[0], patch[1])


def _vit_layers(model: Any) -> list[nn.Module]:
    """Where a token last reads the others: the input of the last attention."""
    if hasattr(model, "vit"):
        return [model.vit.encoder.layer[-1].layernorm_before]
    vision = getattr(getattr(model, "owlvit", getattr(model, "owlv2", None)), "vision_model", None)
    return [] if vision is None else [vision.encoder.layers[-1].layer_norm1]


def _normed_maps(backbone: Any) -> list[nn.Module]:
    """The last map of OMDet-Turbo's backbone."""
    if backbone is None:
        return []
    if backbone.apply_layernorm_after_vision_backbone:
        return [backbone.layer_norms[-1]]
    return _last_stage(backbone.vision_backbone)


def _last_stage(trunk: Any) -> list[nn.Module]:
    """The stage that the last map of a backbone comes from; later ones lead nowhere."""
    stages = getattr(getattr(trunk, "encoder", None), "stages", None)
    if stages is not None:
        names = getattr(trunk, "out_features", None) or [f"stage{len(stages)}"]
        number = names[-1].removeprefix("stage")
        return [stages[int(number) - 1]] if number.isdecimal() else [stages[-1]]
    norms = getattr(trunk, "hidden_states_norms", None)
    if norms is not None:
        return [norms[trunk.out_features[-1]]]
    if trunk is not None and type(trunk).__module__.startswith("timm."):
        return last_module_of(trunk)
    return []


def _projector(projector: Any) -> list[nn.Module]:
    if projector is None:
        return []
    return list(getattr(projector, "scale_layers", [projector]))


def _encoder_output(encoder: Any) -> list[nn.Module]:
    if hasattr(encoder, "layernorm"):
        return [encoder.layernorm]
    layers = getattr(encoder, "layers", None)
    if layers is None:
        return []
    # A layer may give a tuple, of which its last norm is the first entry.
    last = getattr(layers[-1], "deformable_layer", layers[-1])
    return [getattr(last, "final_layer_norm", last)]


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
        feature_maps = [
            part.unflatten(2, grid)
            for part, grid in zip(tokens.split(sizes, 2), grids, strict=True)
        ]
        finest = feature_maps[0].shape[-2:]
        aligned = [F.interpolate(one, size=finest, mode="nearest") for one in feature_maps[1:]]
        return torch.cat([feature_maps[0], *aligned], 1)

    def _grids(self, count: int) -> list[tuple[int, int]]:
        height, width = self.canvas
        if self.patch is not None:
            grid = (height // self.patch[0], width // self.patch[1])
            if grid[0] * grid[1] == count:
                return [grid]
        else:
            # Powers of two first; other strides, such as patches of 14, explain what they do not.
            strides = [2**power for power in range(9)]
            strides += [one for one in range(3, max(height, width) + 1) if one not in strides]
            for levels, stride in itertools.product(self.levels, strides):
                for rounded in (math.ceil, math.floor):
                    grids = [
                        (rounded(height / scaled), rounded(width / scaled))
                        for scaled in (stride * 2**level for level in range(levels))
                    ]
                    if sum(math.prod(grid) for grid in grids) == count:
                        return grids
        raise ValueError(
            f"{count} tokens fit no grid of a canvas of {height} x {width} pixels: pass "
            "reshape_transform, a function that brings the layer's output to (N, C, h, w)."
        )
