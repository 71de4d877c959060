"""What all layer methods share: one forward, the gradients, the maps, the errors."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from captum.attr import GradientAttribution, LayerAttribution
from torch import Tensor, nn

from captum_ssgc.attr._gradients import (
    as_tuple,
    call_forward,
    capturing,
    gradients_of,
    plain,
)
from captum_ssgc.attr._masks import Mask, check_mask, resolve_mask
from captum_ssgc.attr._targets import target_indices, target_layer_advice
from captum_ssgc.detections import Detections
from captum_ssgc.geometry import ImageGeometry
from captum_ssgc.instance_score import InstanceScoreWrapper

Maps = Callable[[Tensor, Tensor, Tensor | None], Tensor]
SATURATED = 1e-6


@dataclass(frozen=True)
class MapOptions:
    """How activations and gradients become what the user gets."""

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


class LayerCAM(LayerAttribution, GradientAttribution):
    """Base of the methods that are a function of one layer's activations and gradients.

    Args:
        forward_func: :class:`captum_ssgc.InstanceScoreWrapper`, or any module or function that
            Captum takes.
        layer: the module to attribute, or a list of them (the levels of a feature pyramid).
        reshape_transform: for layers whose output is not ``(N, C, h, w)``, such as the tokens of a
            transformer ``(N, T, C)``: a function that brings output and gradient into that shape.
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layer: nn.Module | Sequence[nn.Module],
        reshape_transform: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        several = not isinstance(layer, nn.Module)
        self._layers = [layer] if isinstance(layer, nn.Module) else list(layer)
        if not self._layers or not all(isinstance(entry, nn.Module) for entry in self._layers):
            raise TypeError(f"layer: expected a module or a list of modules, got {layer!r}.")
        self._several = several
        self.reshape_transform = reshape_transform
        LayerAttribution.__init__(self, forward_func, layer)
        GradientAttribution.__init__(self, forward_func)
        self._wrapper = forward_func if isinstance(forward_func, InstanceScoreWrapper) else None
        self._check_layers()

    def _attribute(
        self,
        maps: Maps,
        options: MapOptions,
        inputs: Any,
        target: Any,
        additional_forward_args: Any,
        attribute_to_layer_input: bool,
        grad_kwargs: dict[str, Any] | None,
    ) -> Any:
        """Maps for one target per example, ``(N, 1, h, w)`` for each layer."""
        inputs = as_tuple(inputs)
        check_mask(options.mask, self._wrapper is not None)
        instances = None
        if self._wrapper is not None:
            instances, target = self._instances(inputs[0], target, additional_forward_args)
        self._check_levels(instances)
        with capturing(self.forward_func, self._layers, attribute_to_layer_input) as capture:
            scores = call_forward(self.forward_func, inputs, target, additional_forward_args)
            if scores.numel() not in (1, inputs[0].shape[0]):
                raise ValueError(
                    f"the forward function gives {tuple(scores.shape)} values for "
                    f"{inputs[0].shape[0]} examples: pass target= to choose one for each."
                )
            tensors = capture.tensors(self._name_of, self._advice())
            gradients = gradients_of(scores.sum(), tensors, grad_kwargs)
        found = self._maps(maps, options, inputs[0], tensors, gradients, scores, instances)
        return self._result(found, options, inputs[0])

    def _attribute_instances(
        self,
        maps: Maps,
        options: MapOptions,
        inputs: Tensor,
        targets: Sequence[int] | None,
        attribute_to_layer_input: bool,
    ) -> Any:
        """Maps of several detections of one image from one forward, ``(K, 1, h, w)``."""
        wrapper = self._wrapper
        if wrapper is None or not wrapper.single_reference:
            raise ValueError(
                "attribute_instances needs captum_ssgc.InstanceScoreWrapper of one reference image "
                "as forward_func."
            )
        if inputs.dim() != 4 or inputs.shape[0] != 1:
            raise ValueError(f"inputs: expected (1, 3, H, W), got {tuple(inputs.shape)}.")
        count = len(wrapper.detections[0])
        chosen = list(range(count)) if targets is None else [int(entry) for entry in targets]
        if not chosen:
            raise ValueError("targets: expected at least one detection, got none.")
        for entry in chosen:
            self._check_levels([wrapper.detections[0][target_indices(entry, 1, count)[0]]])
        per_layer: list[list[Tensor]] = [[] for _ in self._layers]
        with capturing(self.forward_func, self._layers, attribute_to_layer_input) as capture:
            scores = wrapper(plain(inputs))[0]
            tensors = capture.tensors(self._name_of, self._advice())
            for entry in chosen:
                gradients = gradients_of(scores[entry], tensors, {"retain_graph": True})
                instance = [wrapper.detections[0][entry]]
                found = self._maps(
                    maps, options, inputs, tensors, gradients, scores[entry], instance
                )
                for maps_of_layer, one in zip(per_layer, found, strict=True):
                    maps_of_layer.append(one)
        return self._result([torch.cat(found) for found in per_layer], options, inputs)

    def _maps(
        self,
        maps: Maps,
        options: MapOptions,
        inputs: Tensor,
        tensors: Sequence[Tensor],
        gradients: Sequence[Tensor | None],
        scores: Tensor,
        instances: Sequence[Detections] | None,
    ) -> list[Tensor]:
        scores = scores.detach().reshape(-1)
        if all(gradient is None for gradient in gradients):
            names = ", ".join(repr(self._name_of(layer)) for layer in self._layers)
            raise ValueError(
                f"layer {names} is not on the path to the score (no gradient); {self._advice()}"
            )
        found = []
        for layer, tensor, gradient in zip(self._layers, tensors, gradients, strict=True):
            if gradient is None:
                gradient = torch.zeros_like(tensor)
            activations = self._grid(layer, tensor.detach(), inputs.shape[0])
            gradient = self._grid(layer, gradient.detach(), inputs.shape[0])
            if not self._several:
                self._check_gradient(layer, gradient, scores, instances)
            found.append(
                layer_map(
                    maps, options, activations, gradient, lambda: self._geometry(inputs), instances
                )
            )
        warn_if_empty(found, scores)
        return found

    def _result(self, found: list[Tensor], options: MapOptions, inputs: Tensor) -> Any:
        mode = options.interpolate_mode
        if options.fuse_layers is not None:
            mode = mode or "bilinear"
        if mode is not None:
            geometry = self._geometry(inputs)
            found = [geometry.grid_to_image(one, mode) for one in found]
        if options.fuse_layers is not None:
            stacked = torch.stack(found)
            return stacked.amax(0) if options.fuse_layers == "max" else stacked.mean(0)
        return tuple(found) if self._several else found[0]

    def _grid(self, layer: nn.Module, tensor: Tensor, count: int) -> Tensor:
        name = self._name_of(layer)
        return on_grid(tensor, count, name, self._advice(), self.reshape_transform)

    def _geometry(self, inputs: Tensor) -> ImageGeometry:
        if inputs.dim() != 4:
            raise ValueError(f"expected images (N, C, H, W), got inputs {tuple(inputs.shape)}.")
        size = (inputs.shape[-2], inputs.shape[-1])
        if self._wrapper is not None:
            return self._wrapper.detector.geometry(size)
        return ImageGeometry.identity(size)

    def _instances(
        self, images: Tensor, target: Any, additional_forward_args: Any
    ) -> tuple[list[Detections], list[int]]:
        assert self._wrapper is not None
        index = additional_forward_args
        if isinstance(index, tuple):
            index = index[0] if index else None
        chosen = self._wrapper.detections_for(images, index)
        count = max(len(entry) for entry in chosen)
        indices = target_indices(target, len(chosen), count)
        for row, (entry, wanted) in enumerate(zip(chosen, indices, strict=True)):
            if wanted >= len(entry):
                raise IndexError(
                    f"target {wanted} of example {row} does not exist: its reference image has "
                    f"{len(entry)} detections."
                )
        picked = [entry[wanted] for entry, wanted in zip(chosen, indices, strict=True)]
        return picked, indices

    def _check_layers(self) -> None:
        if isinstance(self.forward_func, nn.Module):
            modules = set(self.forward_func.modules())
            for layer in self._layers:
                if layer not in modules:
                    raise ValueError(
                        f"layer {type(layer).__name__} is no module of the model; {self._advice()}"
                    )

    def _check_levels(self, instances: Sequence[Detections] | None) -> None:
        if self._wrapper is None or self._several or instances is None:
            return
        levels = self._wrapper.detector.level_layers()
        owned = [level for level, layer in enumerate(levels) if layer is self._layers[0]]
        if len(set(map(id, levels))) < 2 or not owned:
            return
        for instance in instances:
            level = int(instance.levels)
            if level not in owned:
                raise ValueError(
                    f"layer {self._name_of(self._layers[0])!r} is pyramid level {owned[0]}, but "
                    f"the score of this detection is computed from level {level}: use layer "
                    f"{self._name_of(levels[level])!r} (detector.layer_for(detections, k)), or "
                    "pass the list detector.level_layers()."
                )

    def _check_gradient(
        self,
        layer: nn.Module,
        gradient: Tensor,
        scores: Tensor,
        instances: Sequence[Detections] | None,
    ) -> None:
        if self._wrapper is None or instances is None or self._wrapper.output != "score":
            return
        if len(self._wrapper.detector.level_layers()) < 2:
            return
        dead = gradient.flatten(1).abs().amax(1) == 0
        dead = dead & (scores > SATURATED) & (scores < 1.0 - SATURATED)
        if bool(dead.any()):
            right = self._wrapper.detector.layer_for(instances[int(dead.nonzero()[0])], 0)
            raise ValueError(
                f"layer {self._name_of(layer)!r} has no gradient for this detection: it feeds "
                "another pyramid level, or is not on the path to the score; use layer "
                f"{self._name_of(right)!r} (detector.layer_for(detections, k))."
            )

    def _name_of(self, layer: nn.Module) -> str:
        if self._wrapper is not None:
            return self._wrapper.detector.layer_name(layer)
        if isinstance(self.forward_func, nn.Module):
            for name, module in self.forward_func.named_modules():
                if module is layer and name:
                    return name
        return type(layer).__name__

    def _advice(self) -> str:
        return target_layer_advice(self._wrapper)


def on_grid(
    tensor: Tensor,
    count: int,
    layer_name: str,
    advice: str,
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
            f"{tensor.shape[0]} (a layer of a region head has one per region); {advice}"
        )
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def layer_map(
    maps: Maps,
    options: MapOptions,
    activations: Tensor,
    gradient: Tensor,
    geometry: Callable[[], ImageGeometry],
    instances: Sequence[Detections] | None,
) -> Tensor:
    """One layer's map, ``(N, 1, h, w)`` (``(N, C, h, w)`` without summation)."""
    mask = None
    if options.mask is not None:
        mask = resolve_mask(options.mask, activations, geometry(), instances)
    contributions = maps(activations, gradient, mask)
    if options.attr_dim_summation:
        contributions = contributions.sum(dim=1, keepdim=True)
    return contributions.clamp(min=0.0) if options.relu_attributions else contributions


def warn_if_empty(found: Sequence[Tensor], scores: Tensor) -> None:
    """Warn when the maps of all layers are zero for some example, and say why."""
    peaks = torch.stack([one.detach().flatten(1).abs().amax(1) for one in found]).amax(0)
    empty = peaks == 0
    if not bool(empty.any()):
        return
    if bool((scores >= 1.0 - SATURATED).any()):
        cause = "the score is saturated at 1, so its gradient vanishes: try output='logit'"
    else:
        cause = (
            "no cell of this layer raises the score: try another layer (detector.target_layers()), "
            "output='logit' or signed_activations='split'"
        )
    warnings.warn(f"{int(empty.sum())} all-zero map(s): {cause}.", stacklevel=4)
