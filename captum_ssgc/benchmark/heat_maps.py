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
from captum_ssgc.benchmark.rows import MethodRow
from captum_ssgc.benchmark.settings import BenchmarkSettings
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector
from captum_ssgc.instance_score import InstanceScoreWrapper


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
        by_gradients = any(method_named(row.method).gradient_based for row in settings.rows)
        self._choice = LayerChoice.of(detector, settings.layer) if by_gradients else None

    def layer_names(self) -> list[str]:
        """The layers that are attributed, as the model names them."""
        if self._choice is None:
            return []
        return [self.detector.layer_name(module) for module in self._choice.modules]

    def maps(
        self, rows: Iterable[MethodRow], image: Tensor, detections: Detections, seed: int
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Maps ``(K, H, W)`` and seconds for all of them, by the key of the row.

        The methods made of gradients share one forward and one backward per detection; each is
        charged with these in full, as if it ran alone.

        Args:
            rows: methods with their options.
            image: ``(1, 3, H, W)``.
            detections: ``K`` of them.
            seed: of D-RISE's masks.
        """
        maps_by_row: dict[str, Tensor] = {}
        seconds: dict[str, float] = {}
        for group in _sharing_a_forward(rows, self.settings):
            if method_named(group[0].method).gradient_based:
                made, took = self._by_gradients(group, image, detections)
            else:
                clock = _Clock(image.device)
                made = {group[0].key: self._by_masks(group[0], image, detections, seed)}
                took = {group[0].key: clock.seconds()}
            maps_by_row |= made
            seconds |= took
        return maps_by_row, seconds

    def _by_gradients(
        self, rows: list[MethodRow], image: Tensor, detections: Detections
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        assert self._choice is not None
        clock = _Clock(image.device)
        own = {row.key: 0.0 for row in rows}
        methods = {}
        for row in rows:
            options = self.settings.options_of(row)
            output, mask = options.pop("output"), options.pop("mask", self.settings.mask)
            entry = method_named(row.method)
            methods[entry] = _timed(entry.bound(**options), own, row.key, image.device)
        with capturing(self.detector.model, self._choice.modules) as capture:
            raw = self.detector.run(image, [detections])
            values = self.detector.values(raw, [detections], output)[0]
            made = gradient_maps(
                self.detector, image, self._choice, capture, detections, values, methods, mask
            )
        common = clock.seconds() - sum(own.values())
        maps = {row.key: torch.stack(made[method_named(row.method)]).detach() for row in rows}
        return maps, {key: common + took for key, took in own.items()}

    def _by_masks(self, row: MethodRow, image: Tensor, detections: Detections, seed: int) -> Tensor:
        wrapper = InstanceScoreWrapper(self.detector, detections)
        return DRISE(wrapper).attribute_instances(
            image,
            perturbations_per_eval=self.settings.batch_size,
            generator=torch.Generator().manual_seed(seed),
            **self.settings.options_of(row),
        )[:, 0]


def _sharing_a_forward(
    rows: Iterable[MethodRow], settings: BenchmarkSettings
) -> list[list[MethodRow]]:
    """Rows that explain the same output with the same mask, no method twice."""
    groups: dict[tuple[object, ...], list[MethodRow]] = {}
    for row in rows:
        options = settings.options_of(row)
        key: tuple[object, ...] = (options.get("output"), options.get("mask", settings.mask))
        if not method_named(row.method).gradient_based:
            key = (row,)
        while any(one.method == row.method for one in groups.get(key, [])):
            key = (*key, row.method)
        groups.setdefault(key, []).append(row)
    return list(groups.values())


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
