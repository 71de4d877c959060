"""The layers that a user chose: their names, and whether they fit the score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from captum_ssgc.attr._layer_map import SATURATED
from captum_ssgc.attr._targets import target_layer_advice
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector
from captum_ssgc.instance_score import InstanceScoreWrapper

Reshape = Callable[[Tensor], Tensor]
CLASS_OUTPUTS = ("score", "logit")


class ChosenLayers:
    """One layer, or a list of them, of a forward function.

    Raises:
        TypeError: if ``layer`` is neither.
        ValueError: if one is no module of the model.
    """

    def __init__(
        self, forward_func: Callable[..., Any], layer: nn.Module | Sequence[nn.Module]
    ) -> None:
        self.several = not isinstance(layer, nn.Module)
        self.modules = [layer] if isinstance(layer, nn.Module) else list(layer)
        if not self.modules or not all(isinstance(entry, nn.Module) for entry in self.modules):
            raise TypeError(f"layer: expected a module or a list of modules, got {layer!r}.")
        self._wrapper = forward_func if isinstance(forward_func, InstanceScoreWrapper) else None
        self._model = forward_func if isinstance(forward_func, nn.Module) else None
        known = None if self._model is None else set(self._model.modules())
        for module in self.modules:
            if known is not None and module not in known:
                raise ValueError(
                    f"layer {type(module).__name__} is no module of the model; {self.advice()}"
                )
            if self._wrapper is not None:
                check_covers_image(self._wrapper.detector, module)

    def name(self, layer: nn.Module) -> str:
        """As the model names it; its class where that is not known."""
        return self._names[layer]

    @cached_property
    def _names(self) -> dict[nn.Module, str]:
        names = {module: type(module).__name__ for module in self.modules}
        model = self._model if self._wrapper is None else self._wrapper.detector.model
        for name, module in [] if model is None else model.named_modules():
            if module in names and name:
                names[module] = name
        return names

    def advice(self) -> str:
        """What to use instead."""
        return target_layer_advice(self._wrapper)

    def reshape_for(self, layer: nn.Module, image_size: tuple[int, int]) -> Reshape | None:
        """The detector's own way from this layer's output to ``(N, C, h, w)``, if it has one."""
        if self._wrapper is None:
            return None
        return detector_reshape(self._wrapper.detector, layer, image_size)

    def check_levels(self, instances: Sequence[Detections] | None) -> None:
        """Raise ``ValueError`` if the single layer feeds another pyramid level than asked for."""
        if self._wrapper is None or self.several or instances is None:
            return
        for instance in instances:
            problem = other_level(self._wrapper.detector, self.modules[0], int(instance.levels))
            if problem is not None:
                raise ValueError(problem)

    def check_on_path(self, gradients: Sequence[Tensor | None], output: str = "score") -> None:
        """Raise ``ValueError`` if no layer has a gradient of ``output``."""
        if all(gradient is None for gradient in gradients):
            names = ", ".join(repr(self.name(layer)) for layer in self.modules)
            raise ValueError(
                f"layer {names} is not on the path to the {output} (no gradient); {self.advice()}"
            )

    def check_alive(
        self,
        gradient: Tensor,
        output: str,
        scores: Tensor,
        instances: Sequence[Detections] | None,
    ) -> None:
        """Raise ``ValueError`` if the single layer's gradient is zero without a saturated score.

        That is how a layer looks that is not known as a pyramid level, but feeds another one.
        """
        wrapper = self._wrapper
        if self.several or wrapper is None or instances is None or output not in CLASS_OUTPUTS:
            return
        if len(wrapper.detector.level_layers()) < 2:
            return
        dead = gradient.flatten(1).abs().amax(1) == 0
        reported = torch.cat([instance.scores for instance in instances]).to(dead.device)
        dead = dead & (reported > SATURATED) & (reported < 1.0 - SATURATED)
        if output == "score":
            dead = dead & (scores > SATURATED) & (scores < 1.0 - SATURATED)
        if bool(dead.any()):
            right = wrapper.detector.layer_for(instances[int(dead.nonzero()[0])], 0)
            raise ValueError(
                f"layer {self.name(self.modules[0])!r} has no gradient for this detection: it "
                "feeds another pyramid level, or is not on the path to the score; use layer "
                f"{wrapper.detector.layer_name(right)!r} (detector.layer_for(detections, k))."
            )


def other_level(detector: Detector, layer: nn.Module, level: int) -> str | None:
    """What is wrong with ``layer`` for a detection of this pyramid level; ``None`` if nothing."""
    levels = detector.level_layers()
    owned = [number for number, entry in enumerate(levels) if entry is layer]
    if len(set(map(id, levels))) < 2 or not owned or level in owned:
        return None
    return (
        f"layer {detector.layer_name(layer)!r} is pyramid level {owned[0]}, but the score of this "
        f"detection is computed from level {level}: use layer "
        f"{detector.layer_name(levels[level])!r} (detector.layer_for(detections, k)), or pass the "
        "list detector.level_layers()."
    )


def check_covers_image(detector: Detector, layer: nn.Module) -> None:
    """Raise ``ValueError`` for a layer of a head that looks at single regions."""
    if not detector.covers_image(layer):
        raise ValueError(
            f"layer {detector.layer_name(layer)!r} belongs to a region head and has one row per "
            f"region, so that it has no map of the image; {layer_advice(detector)}"
        )


def layer_advice(detector: Detector) -> str:
    """What to use instead of a layer that does not work."""
    names = ", ".join(map(repr, detector.target_layers()))
    return f"use one of {names}." if names else "choose a layer that leads to the score."


def detector_reshape(
    detector: Detector, layer: nn.Module, image_size: tuple[int, int]
) -> Reshape | None:
    """What ``detector.reshape_transform_for`` offers; ``None`` where it offers nothing."""
    offer = getattr(detector, "reshape_transform_for", None)
    return None if offer is None else offer(layer, image_size)
