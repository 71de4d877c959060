"""Heat maps of several methods for given detections of one image, and how long each took."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import Tensor

from captum_ssgc._outputs import parse_output, with_label_indices
from captum_ssgc.attr import (
    LayerMethod,
    Layers,
    MapRequest,
    PerturbationMethod,
    method_named,
    recording,
)
from captum_ssgc.benchmark.columns import TABLE_METRICS
from captum_ssgc.benchmark.image_work import layer_names
from captum_ssgc.benchmark.rows import MethodRow
from captum_ssgc.benchmark.settings import BenchmarkSettings
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector
from captum_ssgc.instance_score import InstanceScoreWrapper
from captum_ssgc.metrics import randomised_copy


class MapMaker:
    """Makes the maps of a detector as the settings say.

    Args:
        detector: the detector.
        settings: methods, layer, output, mask and options.

    Raises:
        ValueError: if there is no such layer, or no recommended one.
    """

    def __init__(self, detector: Detector, settings: BenchmarkSettings) -> None:
        self.detector, self.settings = detector, settings
        self._requests = {
            row.key: request
            for row in settings.rows
            if (request := _request(row, settings, detector)) is not None
        }
        self._layers = Layers.of_detector(detector, settings.layer) if self._requests else None
        self._random: MapMaker | None = None
        if "randomisation" in settings.metrics:
            without = replace(settings, metrics=TABLE_METRICS)
            self._random = MapMaker(randomised_copy(detector, settings.seed), without)

    def layer_names(self) -> list[str]:
        """The layers that are attributed, as the model names them."""
        return layer_names(self._layers)

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
            seed: of what is random in a method.
        """
        wanted = list(rows)
        maps, seconds = self._by_gradients(
            [row.key for row in wanted if row.key in self._requests], image, detections
        )
        clock = _clock(image.device)
        for row in wanted:
            method = method_named(row.method)
            if issubclass(method, PerturbationMethod):
                start = clock()
                prior = maps.get(row.key)
                maps[row.key] = self._by_changed_images(method, row, image, detections, seed, prior)
                seconds[row.key] = seconds.get(row.key, 0.0) + clock() - start
        return maps, seconds

    def maps_of_random(self, image: Tensor, detections: Detections, seed: int) -> dict[str, Tensor]:
        """Maps ``(K, H, W)`` of a copy of the detector with random parameters, by row."""
        if self._random is None:
            raise ValueError("metrics: expected randomisation among them.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # maps of a random detector may be empty
            return self._random.maps(self.settings.rows, image, detections, seed)[0]

    def _by_gradients(
        self, keys: list[str], image: Tensor, detections: Detections
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        if self._layers is None or not keys:
            return {}, {}
        clock = _clock(image.device)
        start = clock()
        requests = [self._requests[key] for key in keys]
        outputs = [request.output for request in requests]
        with recording(self.detector, self._layers, image, detections, outputs=outputs) as record:
            made = record.heat_maps(requests, detections, clock)
        maps = {key: one.heat_maps() for key, one in zip(keys, made, strict=True)}
        common = clock() - start - sum(one.seconds for one in made)
        return maps, {key: common + one.seconds for key, one in zip(keys, made, strict=True)}

    def _by_changed_images(
        self,
        method: type[PerturbationMethod],
        row: MethodRow,
        image: Tensor,
        detections: Detections,
        seed: int,
        prior: Tensor | None,
    ) -> Tensor:
        options = self.settings.options_of(row)
        if prior is not None:
            options["prior_maps"] = prior
        offered = {
            "generator": torch.Generator().manual_seed(seed),
            "perturbations_per_eval": self.settings.batch_size,
        }
        wrapper = InstanceScoreWrapper(self.detector, detections)
        return method(wrapper).heat_maps(image, len(detections), options, offered)


def _request(row: MethodRow, settings: BenchmarkSettings, detector: Detector) -> MapRequest | None:
    """What a row asks of a recording; ``None`` for a method that needs none."""
    method = method_named(row.method)
    recorded = method.recorded(row.options)
    if recorded is None or not issubclass(recorded, LayerMethod):
        return None
    options = settings.options_of(row if recorded is method else MethodRow(recorded.name))
    output = parse_output(options.pop("output"))
    return recorded.request(options, with_label_indices(output, detector.label_names))


def _clock(device: torch.device) -> Callable[[], float]:
    """Seconds, when everything that was asked of the device is done."""

    def now() -> float:
        if device.type == "mps":
            torch.mps.synchronize()
        elif hasattr(torch, device.type):  # torch.cuda, torch.xpu, torch.cpu
            getattr(torch, device.type).synchronize(device)
        return time.perf_counter()

    return now
