"""The layers that are attributed: their names, their pyramid levels, and whether they fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import nn

from captum_ssgc._arguments import shown
from captum_ssgc.attr._method import METHODS
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector
from captum_ssgc.instance_score import InstanceScoreWrapper

LayerChoice = nn.Module | str | Sequence[nn.Module | str]


class Layers:
    """One layer or several of a model.

    Args:
        modules: the layers.
        model: that they belong to, where it is known.
        detector: whose model it is, where it is one.
        several: whether the user gets one map for each of them.
        by_level: for each pyramid level, which of the layers serves it; ``None``: all serve all.

    Raises:
        ValueError: if one is no module of the model, or belongs to a head of single regions.
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        model: nn.Module | None,
        detector: Detector | None = None,
        *,
        several: bool = False,
        by_level: Sequence[int] | None = None,
    ) -> None:
        self.modules, self.model, self.detector = list(modules), model, detector
        self.several, self.by_level = several, by_level
        known: dict[nn.Module, str] = {}
        if model is not None:
            known = {module: name for name, module in model.named_modules()}
        self.names = {module: known.get(module) or type(module).__name__ for module in self.modules}
        for module in self.modules:
            if model is not None and module not in known:
                raise ValueError(
                    f"layer {self.names[module]} is no module of the model; {self.advice()}"
                )
            if detector is not None and not detector.covers_image(module):
                raise ValueError(
                    f"layer {self.names[module]!r} belongs to a region head and has one row per "
                    f"region, so that it has no map of the image; {self.advice()}"
                )

    @classmethod
    def of_forward(
        cls, forward_func: Callable[..., object], layer: nn.Module | Sequence[nn.Module]
    ) -> Layers:
        """Those of a wrapper's model, or of any other forward function.

        Raises:
            TypeError: if ``layer`` is neither a module nor a list of modules.
        """
        several = not isinstance(layer, nn.Module)
        modules: list[Any] = list(layer) if several and isinstance(layer, Iterable) else [layer]
        if not modules or not all(isinstance(entry, nn.Module) for entry in modules):
            raise TypeError(f"layer: expected a module or a list of modules, got {shown(layer)}.")
        if isinstance(forward_func, InstanceScoreWrapper):
            detector = forward_func.detector
            detector.check_differentiable()
            return cls(modules, detector.model, detector, several=several)
        model = forward_func if isinstance(forward_func, nn.Module) else None
        return cls(modules, model, several=several)

    @classmethod
    def of_detector(cls, detector: Detector, layer: LayerChoice | None = None) -> Layers:
        """Those that a user names; for ``None`` what the detector recommends.

        Raises:
            TypeError: if ``layer`` is no module, name, or list of these.
            ValueError: if there is no such layer, or none is recommended.
        """
        detector.check_differentiable()
        if layer is None:
            return cls._recommended(detector)
        if isinstance(layer, (nn.Module, str)):
            layer = [layer]
        elif not isinstance(layer, Sequence):
            raise TypeError(
                f"layer: expected a module, its name, or a list of these, got {shown(layer)}."
            )
        if not layer:
            nothing = cls([], detector.model, detector)
            raise ValueError(f"layer: expected at least one, got none; {nothing.advice()}")
        modules = [cls._module(detector, entry) for entry in layer]
        return cls(modules, detector.model, detector, several=len(modules) > 1)

    @classmethod
    def _recommended(cls, detector: Detector) -> Layers:
        levels = detector.level_layers()
        if len(levels) > 1:
            distinct = list(dict.fromkeys(levels))
            places = [distinct.index(entry) for entry in levels]
            return cls(distinct, detector.model, detector, several=True, by_level=places)
        layers = levels or list(detector.target_layers().values())[:1]
        if not layers:
            without_layer = " or ".join(
                f"method={name!r}" for name, method in METHODS.items() if not method.gradient_based
            )
            raise ValueError(
                "this detector has no recommended layer: pass layer=..., a module of its model, "
                f"or a method that needs none: {without_layer}."
            )
        return cls(layers, detector.model, detector)

    @classmethod
    def _module(cls, detector: Detector, entry: object) -> nn.Module:
        if isinstance(entry, nn.Module):
            return entry
        if not isinstance(entry, str):
            raise TypeError(f"layer: expected a module or its name, got {shown(entry)}.")
        modules = dict(detector.model.named_modules())
        if not entry or entry not in modules:
            nothing = cls([], detector.model, detector)
            raise ValueError(f"the model has no layer {entry!r}; {nothing.advice()}")
        return modules[entry]

    def places(self, level: int | None) -> list[int]:
        """Which of the layers serve a detection of this pyramid level."""
        if self.by_level is None or level is None:
            return list(range(len(self.modules)))
        return [self.by_level[level]]

    def names_for(self, level: int) -> str:
        """The names of these, for readers."""
        return ", ".join(self.names[self.modules[place]] for place in self.places(level))

    def place_of_level(self, level: int) -> int | None:
        """Which layer is this pyramid level, and alone serves it; ``None`` if none does."""
        levels = [] if self.detector is None else self.detector.level_layers()
        places = self.places(level)
        own = levels[level] if level < len(levels) else None
        return places[0] if len(places) == 1 and self.modules[places[0]] is own else None

    def are_levels(self) -> bool:
        """Whether all of these are pyramid levels, each of which serves its own detections."""
        alone = self.by_level is not None or len(self.modules) == 1
        levels = [] if self.detector is None else self.detector.level_layers()
        return alone and bool(self.modules) and set(self.modules) <= set(levels)

    def advice(self) -> str:
        """What to use instead of a layer that does not work."""
        names = [] if self.detector is None else list(self.detector.target_layers())
        others = [name for name in names if name not in self.names.values()]
        if others:
            return f"use one of {', '.join(map(repr, others))} (detector.target_layers())."
        return "choose a layer of the model that runs once and leads to the score."

    def wrong_level(self, instances: Detections | None) -> dict[int, str]:
        """What is wrong with a single layer for these detections, by their row."""
        if self.detector is None or self.several or instances is None:
            return {}
        levels, layer = self.detector.level_layers(), self.modules[0]
        owned = [number for number, entry in enumerate(levels) if entry is layer]
        if not owned or len(set(levels)) < 2:
            return {}
        return {
            row: (
                f"layer {self.names[layer]!r} is pyramid level {owned[0]}, but the score of this "
                f"detection is computed from level {level}: use layer "
                f"{self.detector.layer_name(levels[level])!r} (detector.layer_for(detections, k)), "
                "or pass the list detector.level_layers()."
            )
            for row, level in enumerate(instances.levels.tolist())
            if level not in owned
        }

    def without_gradient(self, row: int, instances: Detections) -> str:
        """What is wrong with a single layer that has none, although the score is not saturated."""
        name = self.names[self.modules[0]]
        right = ""
        if self.detector is not None:
            layer = self.detector.layer_for(instances, row)
            right = f"; use layer {self.detector.layer_name(layer)!r}"
        return (
            f"layer {name!r} has no gradient for this detection: it feeds another pyramid level, "
            f"or is not on the path to the score{right} (detector.layer_for(detections, k))."
        )
