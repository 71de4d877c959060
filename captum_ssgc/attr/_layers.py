"""The layers that are attributed: their names, their pyramid levels, and whether they fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from captum_ssgc._arguments import shown
from captum_ssgc._layer_names import layer_advice, no_such_layer
from captum_ssgc.attr._method import methods_without_layer
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
                raise ValueError(no_such_layer(model, module, self._others))
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
            ValueError: if the model has no such layer, or the list is empty.
        """
        several = not isinstance(layer, nn.Module)
        modules: list[Any] = list(layer) if isinstance(layer, Sequence) else [layer]
        if not all(isinstance(entry, nn.Module) for entry in modules):
            raise TypeError(f"layer: expected a module or a list of modules, got {shown(layer)}.")
        model = forward_func if isinstance(forward_func, nn.Module) else None
        detector = None
        if isinstance(forward_func, InstanceScoreWrapper):
            detector = forward_func.detector
            detector.check_differentiable(methods_without_layer)
            model = detector.model
        return cls(modules, model, detector, several=several)._not_none()

    @classmethod
    def of_detector(cls, detector: Detector, layer: LayerChoice | None = None) -> Layers:
        """Those that a user names; for ``None`` what the detector recommends.

        Raises:
            TypeError: if ``layer`` is no module, name, or list of these.
            ValueError: if there is no such layer, or none is recommended, or the list is empty.
        """
        detector.check_differentiable(methods_without_layer)
        if layer is None:
            return cls._recommended(detector)
        if isinstance(layer, (nn.Module, str)):
            layer = [layer]
        elif not isinstance(layer, Sequence):
            raise TypeError(
                f"layer: expected a module, its name, or a list of these, got {shown(layer)}."
            )
        modules = [detector.module_named(entry) for entry in layer]
        return cls(modules, detector.model, detector, several=len(modules) > 1)._not_none()

    def _not_none(self) -> Layers:
        if not self.modules:
            raise ValueError(f"layer: expected at least one, got none; {self.advice()}")
        return self

    @classmethod
    def _recommended(cls, detector: Detector) -> Layers:
        levels = detector.level_layers()
        if len(levels) > 1:
            distinct = list(dict.fromkeys(levels))
            places = [distinct.index(entry) for entry in levels]
            return cls(distinct, detector.model, detector, several=True, by_level=places)
        layers = levels or list(detector.target_layers().values())[:1]
        if not layers:
            raise ValueError(
                "this detector has no recommended layer: pass layer=..., a module of its model, "
                f"or a method that needs none: {methods_without_layer()}."
            )
        return cls(layers, detector.model, detector)

    def places(self, level: int | None) -> list[int]:
        """Which of the layers serve a detection of this pyramid level."""
        if self.by_level is None or level is None:
            return list(range(len(self.modules)))
        return [self.by_level[level]]

    def names_for(self, level: int) -> str:
        """The names of these, for readers."""
        return ", ".join(self.names[self.modules[place]] for place in self.places(level))

    def are_levels(self) -> bool:
        """Whether all of these are pyramid levels, each of which serves its own detections."""
        alone = self.by_level is not None or len(self.modules) == 1
        levels = [] if self.detector is None else self.detector.level_layers()
        return alone and bool(self.modules) and set(self.modules) <= set(levels)

    def advice(self) -> str:
        """What to use instead of a layer that does not work."""
        return layer_advice(self.model, self._others)

    def _others(self) -> list[str]:
        """Recommended layers that are none of these."""
        names = [] if self.detector is None else list(self.detector.target_layers())
        return [name for name in names if name not in self.names.values()]

    def wrong_level(self, instances: Detections | None) -> dict[int, str]:
        """What is wrong with pyramid levels for detections of other ones, by their row."""
        if self.detector is None or self.by_level is not None or instances is None:
            return {}
        levels = self.detector.level_layers()
        owned = [number for number, entry in enumerate(levels) if entry in self.modules]
        if len(set(levels)) < 2 or not set(self.modules) <= set(levels):
            return {}
        names = ", ".join(repr(self.names[module]) for module in self.modules)
        numbers = ", ".join(str(levels.index(module)) for module in self.modules)
        what = f"layer {names} is pyramid level {numbers}"
        if len(self.modules) > 1:
            what = f"layers {names} are pyramid levels {numbers}"
        return {
            row: (
                f"{what}, but the score of this detection is computed from level {level}: use "
                f"layer {self.detector.layer_name(levels[level])!r} "
                "(detector.layer_for(detections, k)), or all levels (detector.level_layers())."
            )
            for row, level in enumerate(instances.levels.tolist())
            if level not in owned
        }

    def without_gradient(self, row: int, instances: Detections) -> str | None:
        """What is wrong with layers that have none, although the score is not saturated.

        Returns:
            ``None`` where the layer of the detection is among them.
        """
        right = None if self.detector is None else self.detector.layer_for(instances, row)
        if self.detector is None or right is None or right in self.modules:
            return None
        names = ", ".join(repr(self.names[module]) for module in self.modules)
        what = f"layers {names} have" if len(self.modules) > 1 else f"layer {names} has"
        return (
            f"{what} no gradient for this detection: of another pyramid level, or not on the path "
            f"to the score; use layer {self.detector.layer_name(right)!r} "
            "(detector.layer_for(detections, k))."
        )
