"""From a layer's output and gradient to the map that the user gets."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from captum_ssgc.attr._masks import Mask, resolve_mask
from captum_ssgc.attr._options import Maps
from captum_ssgc.detections import Detections
from captum_ssgc.geometry import ImageGeometry

SATURATED = 1e-6


@dataclass(frozen=True)
class MapOptions:
    """How activations and gradients become what the user gets.

    ``maps`` has its own options bound; ``mask`` is ``None`` for a method that takes none.
    """

    maps: Maps
    mask: Mask = None
    relu_attributions: bool = True
    attr_dim_summation: bool = True
    interpolate_mode: str | None = None
    fuse_layers: str | None = None

    def __post_init__(self) -> None:
        if self.fuse_layers not in (None, "max", "mean"):
            raise ValueError(
                f"fuse_layers: expected 'max', 'mean' or None, got {self.fuse_layers!r}."
            )

    def for_instance(self, row: int, count: int) -> MapOptions:
        """The same with the mask of one instance, where there is a mask for each of ``count``.

        Raises:
            ValueError: if there are neither one nor ``count`` masks.
        """
        if not isinstance(self.mask, Tensor) or self.mask.dim() != 4 or len(self.mask) == 1:
            return self
        if len(self.mask) != count:
            raise ValueError(
                f"mask: expected one for all or one for each of {count} instances, got "
                f"{len(self.mask)}."
            )
        return replace(self, mask=self.mask[row : row + 1])


def on_grid(
    tensor: Tensor,
    count: int,
    layer_name: str,
    advice: Callable[[], str],
    reshape_transform: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """A layer's output or gradient as ``(N, C, h, w)``, at least float32.

    Raises:
        ValueError: if it is not of that shape, with one row per image.
    """
    if reshape_transform is not None:
        tensor = reshape_transform(tensor)
    if tensor.dim() != 4:
        raise ValueError(
            f"layer {layer_name!r}: expected an output (N, C, h, w), got shape "
            f"{tuple(tensor.shape)}; pass reshape_transform, for tokens (N, h * w, C) for "
            "example lambda t: t.transpose(1, 2).unflatten(2, (h, w))."
        )
    if tensor.shape[0] != count:
        raise ValueError(
            f"layer {layer_name!r}: expected {count} rows, one per image, got "
            f"{tensor.shape[0]} (a layer of a region head has one per region); {advice()}"
        )
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def layer_map(
    options: MapOptions,
    activations: Tensor,
    gradient: Tensor,
    geometry: Callable[[], ImageGeometry],
    instances: Sequence[Detections] | None,
) -> Tensor:
    """One layer's map, ``(N, 1, h, w)`` (``(N, C, h, w)`` without summation)."""
    if options.mask is None:
        contributions = options.maps(activations, gradient)
    else:
        mask = resolve_mask(options.mask, activations, geometry(), instances)
        contributions = options.maps(activations, gradient, mask=mask)
    if options.attr_dim_summation:
        contributions = contributions.sum(dim=1, keepdim=True)
    return contributions.clamp(min=0.0) if options.relu_attributions else contributions


def finished(
    found: Sequence[Tensor], options: MapOptions, geometry: Callable[[], ImageGeometry]
) -> list[Tensor]:
    """The maps of all layers, brought to image pixels and joined where ``options`` say so."""
    mode = options.interpolate_mode
    if options.fuse_layers is not None:
        mode = mode or "bilinear"
    if mode is not None:
        found = [geometry().grid_to_image(one, mode) for one in found]
    if options.fuse_layers is None:
        return list(found)
    stacked = torch.stack(list(found))
    return [stacked.amax(0) if options.fuse_layers == "max" else stacked.mean(0)]


def warn_if_empty(
    found: Sequence[Tensor], scores: Tensor, method: str, stacklevel: int = 4
) -> None:
    """Warn when the maps of all layers are zero for some of the examples, and say why.

    Args:
        found: one tensor ``(N, ...)`` per layer.
        scores: ``(N,)``, what was differentiated.
        method: its name, for the message.
        stacklevel: of the warning, counted from this function.
    """
    peaks = torch.stack([one.detach().flatten(1).abs().amax(1) for one in found]).amax(0)
    empty = peaks == 0
    if not bool(empty.any()):
        return
    if bool((empty & (scores >= 1.0 - SATURATED) & (scores <= 1.0)).any()):
        cause = "the score is saturated at 1, so its gradient vanishes: try output='logit'"
    else:
        cause = (
            "by this method no cell of the layer raises the score: try another layer "
            "(detector.target_layers()), output='logit', another method, or "
            "signed_activations='split' where it is 'as_is'"
        )
    warnings.warn(
        f"{int(empty.sum())} all-zero map(s) of {method}: {cause}.", stacklevel=stacklevel
    )
