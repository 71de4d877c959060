"""Heat maps of several methods for given detections of one image, and how long each took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from captum_ssgc.attr import DRISE, method_named
from captum_ssgc.attr._gradients import capturing
from captum_ssgc.attr._shared_forward import LayerChoice, gradient_maps
from captum_ssgc.benchmark.settings import BenchmarkSettings
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector
from captum_ssgc.instance_score import InstanceScoreWrapper

DRISE_NAME = "d-rise"


class MapMaker:
    """Makes the maps of a detector as the settings say.

    Args:
        detector: the detector.
        settings: methods, layer, output, mask and what D-RISE needs.

    Raises:
        ValueError: if there is no such layer, or no recommended one.
    """

    def __init__(self, detector: Detector, settings: BenchmarkSettings) -> None:
        self.detector, self.settings = detector, settings
        self.gradient_methods = [
            name for name in settings.methods if method_named(name).gradient_based
        ]
        self._choice = LayerChoice.of(detector, settings.layer) if self.gradient_methods else None

    def layer_names(self) -> list[str]:
        """The layers that are attributed, as the model names them."""
        if self._choice is None:
            return []
        return [self.detector.layer_name(module) for module in self._choice.modules]

    def maps(
        self, names: Iterable[str], image: Tensor, detections: Detections, seed: int
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Maps ``(K, H, W)`` and seconds for all of them, by method.

        The methods made of gradients share one forward and one backward per detection; each is
        charged with these in full, as if it ran alone.

        Args:
            names: methods.
            image: ``(1, 3, H, W)``.
            detections: ``K`` of them.
            seed: of D-RISE's masks.
        """
        wanted = set(names)
        found: dict[str, Tensor] = {}
        seconds: dict[str, float] = {}
        shared = [name for name in self.gradient_methods if name in wanted]
        if shared:
            found, seconds = self._by_gradients(shared, image, detections)
        if DRISE_NAME in wanted:
            clock = _Clock(image.device)
            found[DRISE_NAME] = self._by_masks(image, detections, seed)
            seconds[DRISE_NAME] = clock.seconds()
        return found, seconds

    def _by_gradients(
        self, names: list[str], image: Tensor, detections: Detections
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        assert self._choice is not None
        clock = _Clock(image.device)
        own = dict.fromkeys(names, 0.0)
        methods = {}
        for name in names:
            entry = method_named(name)
            methods[entry] = _timed(entry.bound(), own, name, image.device)
        with capturing(self.detector.model, self._choice.modules) as capture:
            raw = self.detector.run(image, [detections])
            values = self.detector.values(raw, [detections], self.settings.output)[0]
            made = gradient_maps(
                self.detector,
                image,
                self._choice,
                capture,
                detections,
                values,
                methods,
                self.settings.mask,
            )
        common = clock.seconds() - sum(own.values())
        maps = {entry.name: torch.stack(made[entry]).detach() for entry in methods}
        return maps, {name: common + own[name] for name in names}

    def _by_masks(self, image: Tensor, detections: Detections, seed: int) -> Tensor:
        wrapper = InstanceScoreWrapper(self.detector, detections)
        return DRISE(wrapper).attribute_instances(
            image,
            perturbations_per_eval=self.settings.batch_size,
            n_masks=self.settings.drise_masks,
            grid=self.settings.drise_grid,
            generator=torch.Generator().manual_seed(seed),
        )[:, 0]


class _Clock:
    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._start = self._now()

    def seconds(self) -> float:
        return self._now() - self._start

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


def _timed(
    function: Callable[..., Tensor], seconds: dict[str, float], name: str, device: torch.device
) -> Callable[..., Tensor]:
    def timed(*args: Any, **kwargs: Any) -> Tensor:
        clock = _Clock(device)
        result = function(*args, **kwargs)
        seconds[name] += clock.seconds()
        return result

    return timed
