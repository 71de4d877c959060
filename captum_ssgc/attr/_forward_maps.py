"""From one forward to the maps of its layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from captum_ssgc.attr._chosen_layers import ChosenLayers, Reshape
from captum_ssgc.attr._gradients import (
    LayerCapture,
    as_tuple,
    call_forward,
    capturing,
    gradients_of,
    plain,
)
from captum_ssgc.attr._layer_map import MapOptions, finished, layer_map, on_grid
from captum_ssgc.attr._targets import single_image_targets, targeted_instances
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Output
from captum_ssgc.geometry import ImageGeometry
from captum_ssgc.instance_score import InstanceScoreWrapper


class ForwardMaps:
    """Runs a forward function and makes maps of what passes through the chosen layers.

    Args:
        forward_func: the wrapper, or any function that Captum takes.
        layer: a module, or a list of them.
        reshape_transform: the user's; ``None`` for the detector's own.
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layer: nn.Module | Sequence[nn.Module],
        reshape_transform: Reshape | None,
    ) -> None:
        self.forward_func = forward_func
        self.layers = ChosenLayers(forward_func, layer)
        self.wrapper = forward_func if isinstance(forward_func, InstanceScoreWrapper) else None
        self.reshape_transform = reshape_transform

    def of_examples(
        self,
        options: MapOptions,
        inputs: Any,
        target: Any,
        additional_forward_args: Any,
        of_input: bool,
        grad_kwargs: dict[str, Any] | None,
    ) -> tuple[list[Tensor], Tensor]:
        """For one target per example: each layer's maps ``(N, 1, h, w)``, the scores ``(N,)``."""
        inputs = as_tuple(inputs)
        instances, output = None, "score"
        if self.wrapper is not None:
            output = self.wrapper.output
            instances, target = targeted_instances(
                self.wrapper, inputs[0], target, additional_forward_args
            )
        self.layers.check_levels(instances)
        with capturing(self.forward_func, self.layers.modules, of_input) as capture:
            scores = call_forward(self.forward_func, inputs, target, additional_forward_args)
            if scores.numel() not in (1, inputs[0].shape[0]):
                raise ValueError(
                    f"the forward function gives {tuple(scores.shape)} values for "
                    f"{inputs[0].shape[0]} examples: pass target= to choose one for each."
                )
            tensors = self._captured(capture)
            gradients = gradients_of(scores.sum(), tensors, grad_kwargs)
            self.layers.check_on_path(gradients, output)
        scores = scores.detach().reshape(-1)
        found = self._maps(options, inputs[0], tensors, gradients, output, scores, instances)
        return found, scores

    def of_instances(
        self,
        options: MapOptions,
        inputs: Tensor,
        targets: Sequence[int] | None,
        outputs: Sequence[Output] | None,
        of_input: bool,
    ) -> list[tuple[list[Tensor], Tensor]]:
        """For each output: each layer's maps ``(K, 1, h, w)``, and the values ``(K,)``.

        All from one call of the vendor's forward; ``outputs`` is ``None`` for the wrapper's own.
        """
        wrapper, chosen = single_image_targets(self.wrapper, inputs, targets)
        detector = wrapper.detector
        with torch.inference_mode(False):  # else its indices could not be saved for the backward
            reference = wrapper.detections_for(inputs)[0][chosen]
        self.layers.check_levels([reference[row] for row in range(len(reference))])
        wanted = [wrapper.output] if outputs is None else list(outputs)
        found = []
        with capturing(self.forward_func, self.layers.modules, of_input) as capture:
            raw = detector.run(plain(inputs), [reference])
            values = [detector.values(raw, [reference], output)[0] for output in wanted]
            tensors = self._captured(capture)
            for output, scores in zip(wanted, values, strict=True):
                rows = []
                for row, score in enumerate(scores):
                    gradients = gradients_of(score, tensors, {"retain_graph": True})
                    self.layers.check_on_path(gradients, output)
                    own, known = options.for_instance(row, len(scores)), [reference[row]]
                    value = score.detach().reshape(1)
                    rows.append(self._maps(own, inputs, tensors, gradients, output, value, known))
                found.append(([torch.cat(of) for of in zip(*rows, strict=True)], scores.detach()))
        return found

    def result(self, found: list[Tensor], options: MapOptions, inputs: Any) -> Any:
        """What the user gets: one tensor, or a tuple for a list of layers."""
        found = finished(found, options, lambda: self._geometry(as_tuple(inputs)[0]))
        several = self.layers.several and options.fuse_layers is None
        return tuple(found) if several else found[0]

    def _maps(
        self,
        options: MapOptions,
        inputs: Tensor,
        tensors: Sequence[Tensor],
        gradients: Sequence[Tensor | None],
        output: str,
        scores: Tensor,
        instances: Sequence[Detections] | None,
    ) -> list[Tensor]:
        found = []
        for layer, tensor, gradient in zip(self.layers.modules, tensors, gradients, strict=True):
            if gradient is None:
                gradient = torch.zeros_like(tensor)
            activations = self._grid(layer, tensor.detach(), inputs)
            gradient = self._grid(layer, gradient.detach(), inputs)
            self.layers.check_alive(gradient, output, scores, instances)
            found.append(
                layer_map(options, activations, gradient, lambda: self._geometry(inputs), instances)
            )
        return found

    def _captured(self, capture: LayerCapture) -> list[Tensor]:
        return capture.tensors(self.layers.name, self.layers.advice())

    def _grid(self, layer: nn.Module, tensor: Tensor, inputs: Tensor) -> Tensor:
        reshape = self.reshape_transform
        if reshape is None and inputs.dim() == 4:
            reshape = self.layers.reshape_for(layer, (inputs.shape[-2], inputs.shape[-1]))
        name = self.layers.name(layer)
        return on_grid(tensor, inputs.shape[0], name, self.layers.advice, reshape)

    def _geometry(self, inputs: Tensor) -> ImageGeometry:
        if inputs.dim() != 4:
            raise ValueError(f"expected images (N, C, H, W), got inputs {tuple(inputs.shape)}.")
        size = (inputs.shape[-2], inputs.shape[-1])
        if self.wrapper is not None:
            return self.wrapper.detector.geometry(size)
        return ImageGeometry.identity(size)
