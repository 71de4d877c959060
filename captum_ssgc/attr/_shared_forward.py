"""The maps of several methods for several detections, from one forward and shared gradients."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from captum_ssgc.attr._chosen_layers import (
    check_covers_image,
    detector_reshape,
    layer_advice,
    other_level,
)
from captum_ssgc.attr._gradients import LayerCapture, gradients_of
from captum_ssgc.attr._layer_map import MapOptions, layer_map, on_grid, warn_if_empty
from captum_ssgc.attr._masks import Mask
from captum_ssgc.attr._options import Maps
from captum_ssgc.attr._registry import Method
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector


@dataclass(frozen=True)
class LayerChoice:
    """The layers to record; by pyramid level, the place of each level's own layer among them."""

    modules: list[nn.Module]
    by_level: list[int] | None

    def places(self, level: int) -> list[int]:
        """Which of the layers serve a detection of this pyramid level."""
        return list(range(len(self.modules))) if self.by_level is None else [self.by_level[level]]

    def names(self, detector: Detector, level: int) -> str:
        """The names of these layers."""
        return ", ".join(detector.layer_name(self.modules[place]) for place in self.places(level))

    @classmethod
    def of(
        cls, detector: Detector, layer: nn.Module | str | Sequence[nn.Module | str] | None
    ) -> LayerChoice:
        """What the user names; for ``None`` what the detector recommends.

        Raises:
            ValueError: if there is no such layer, or no recommended one.
        """
        if layer is not None:
            wanted = [layer] if isinstance(layer, (nn.Module, str)) else list(layer)
            if not wanted:
                raise ValueError(
                    f"layer: expected at least one, got none; {layer_advice(detector)}"
                )
            modules = [_module(detector, entry) for entry in wanted]
            for module in modules:
                check_covers_image(detector, module)
            return cls(modules, None)
        levels = detector.level_layers()
        if len(levels) > 1:
            distinct = list(dict.fromkeys(levels))
            return cls(distinct, [distinct.index(entry) for entry in levels])
        layers = levels or list(detector.target_layers().values())[:1]
        if not layers:
            raise ValueError(
                "this detector has no recommended layer: pass layer=..., a module of its model, "
                "or method='d-rise', which needs none."
            )
        return cls(layers, None)


def gradient_maps(
    detector: Detector,
    images: Tensor,
    choice: LayerChoice,
    capture: LayerCapture,
    detections: Detections,
    values: Tensor,
    methods: Mapping[Method, Maps],
    mask: Mask,
) -> dict[Method, list[Tensor]]:
    """Heat maps at image size; several layers are joined by their maximum.

    Args:
        detector: that was run.
        images: ``(1, 3, H, W)`` that it was run on.
        choice: the layers that were recorded.
        capture: their tensors.
        detections: ``K`` of them.
        values: ``(K,)`` to differentiate, with graph.
        methods: each with its map function, options bound.
        mask: for the methods that use one.

    Returns:
        For each method ``K`` maps ``(H, W)``.

    Raises:
        ValueError: if a layer has no single activation map or is not on the path to the score.
    """
    size = (images.shape[-2], images.shape[-1])
    geometry = detector.geometry(size)

    def advice() -> str:
        return layer_advice(detector)

    names = {module: detector.layer_name(module) for module in choice.modules}
    tensors = capture.tensors(detector.layer_name, advice())
    heat_maps: dict[Method, list[Tensor]] = {method: [] for method in methods}
    for row in range(len(detections)):
        places = choice.places(int(detections.levels[row]))
        modules = [choice.modules[place] for place in places]
        used = [tensors[place] for place in places]
        gradients = gradients_of(values[row], used, {"retain_graph": True})
        if all(gradient is None for gradient in gradients):
            raise ValueError(
                f"layer {names[modules[0]]!r} is not on the path to the score; {advice()}"
            )
        pairs = []
        for module, tensor, gradient in zip(modules, used, gradients, strict=True):
            slope = torch.zeros_like(tensor) if gradient is None else gradient
            reshape = detector_reshape(detector, module, size)
            pairs.append(
                [
                    on_grid(one.detach(), 1, names[module], advice, reshape)
                    for one in (tensor, slope)
                ]
            )
        problem = None
        if len(modules) == 1:
            problem = other_level(detector, modules[0], int(detections.levels[row]))
        if problem is not None:  # other detections of the image may well be of this level
            warnings.warn(problem, stacklevel=3)
        for method, maps in methods.items():
            options = MapOptions(maps, mask if method.uses_mask else None)
            found = [
                layer_map(options, activations, slope, lambda: geometry, [detections[row]])
                for activations, slope in pairs
            ]
            if problem is None:
                warn_if_empty(found, values[row : row + 1].detach(), method.title)
            at_image_size = torch.stack([geometry.grid_to_image(one) for one in found])
            heat_maps[method].append(at_image_size.amax(0)[0, 0])
    return heat_maps


def _module(detector: Detector, layer: nn.Module | str) -> nn.Module:
    modules = dict(detector.model.named_modules())
    if isinstance(layer, str):
        if layer not in modules or not layer:
            raise ValueError(f"the model has no layer {layer!r}; {layer_advice(detector)}")
        return modules[layer]
    if layer not in modules.values():
        raise ValueError(
            f"layer {type(layer).__name__} is no module of the model; {layer_advice(detector)}"
        )
    return layer
