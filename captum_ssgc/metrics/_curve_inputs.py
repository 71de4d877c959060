"""Images, detections and heat maps of Deletion and Insertion, checked and in one shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_ssgc._exact import exact
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector
from captum_ssgc.images import check_images
from captum_ssgc.metrics._heat_maps import as_maps, points_somewhere
from captum_ssgc.metrics._patches import patch_size, units_in
from captum_ssgc.metrics._regions import box_pixels
from captum_ssgc.metrics.curve_settings import CurveSettings

HeatMaps = Tensor | Sequence[Tensor]


@dataclass(frozen=True, eq=False)
class CurveInputs:
    """``N`` images with ``G`` detections in all, and for each method ``G`` maps.

    A map that is not ``valid`` (not finite, or zero everywhere) names no pixel; ``maps`` hold zeros
    there.
    """

    images: Tensor
    detections: list[Detections]
    maps: dict[str, Tensor]
    valid: dict[str, Tensor]

    @classmethod
    def checked(
        cls,
        images: Tensor,
        detections: Detections | Sequence[Detections],
        heat_maps: Mapping[str, HeatMaps],
    ) -> CurveInputs:
        """
        Raises:
            TypeError, ValueError: for anything that does not fit together.
        """
        images = _images(images)
        several: Any = [detections] if isinstance(detections, Detections) else detections
        several = list(several) if isinstance(several, Sequence) else several
        _check_detections(several, images)
        maps, valid = {}, {}
        for name, given in heat_maps.items():
            own = _maps(given, several, (images.shape[-2], images.shape[-1]))
            valid[name] = points_somewhere(own)
            maps[name] = torch.where(valid[name][:, None, None], own, torch.zeros_like(own))
        return cls(images, [entry.to(images.device) for entry in several], maps, valid)

    @property
    def size(self) -> tuple[int, int]:
        """``(H, W)`` of the images."""
        return (self.images.shape[-2], self.images.shape[-1])

    def at_network(self, detector: Detector) -> CurveInputs:
        """The same at the resolution that the network sees, padding left aside.

        Raises:
            ValueError: for a detector that does not see such an image as it is.
        """
        scale = detector.geometry(self.size).scale
        size = (round(self.size[0] * scale[0]), round(self.size[1] * scale[1]))
        if size == self.size:
            return self
        again = detector.geometry(size).scale
        if max(abs(side * one - side) for side, one in zip(size, again, strict=True)) >= 1.0:
            raise ValueError(
                f"resolution='network': the network sees an image of {self.size} as {size}, but "
                "resizes one of that size once more; use resolution='image'."
            )
        resize = partial(
            F.interpolate, size=size, mode="bilinear", align_corners=False, antialias=True
        )
        maps = {
            name: resize(own[:, None])[:, 0] if len(own) else own.new_zeros(0, *size)
            for name, own in self.maps.items()
        }
        detections = [_resized(entry, size) for entry in self.detections]
        return CurveInputs(resize(self.images), detections, maps, self.valid)

    def patches(self, settings: CurveSettings) -> list[tuple[int, int] | None]:
        """Height and width of the patches that turn for each of the ``T`` maps; see ``counts``."""
        boxes = torch.cat([entry.boxes for entry in self.detections])
        sizes = [patch_size(settings.patches, box, self.size) for box in boxes]
        return sizes * len(self.maps)

    def counts(self, settings: CurveSettings) -> Tensor:
        """``(T, S + 1)`` int64: what has turned at each point of each map's curve.

        The ``T`` maps are those of all methods, one method after the other; pixels are counted, or
        patches where these turn.
        """
        size = self.size
        if settings.patches is not None:
            sizes = self.patches(settings)[: sum(len(entry) for entry in self.detections)]
            units = [units_in(size, patch) for patch in sizes]
            budget = torch.tensor(units, device=self.images.device)
        elif settings.budget == "box":
            each = [entry[row] for entry in self.detections for row in range(len(entry))]
            budget = torch.stack([box_pixels(one).sum().clamp(min=1) for one in each])
        else:
            total = sum(len(entry) for entry in self.detections)
            budget = torch.full((total,), size[0] * size[1], device=self.images.device)
        steps = torch.arange(settings.steps + 1, device=budget.device)
        counts = (2 * budget[:, None] * steps + settings.steps) // (2 * settings.steps)
        return torch.cat([counts * valid[:, None].to(counts) for valid in self.valid.values()])


def _resized(detections: Detections, size: tuple[int, int]) -> Detections:
    (height, width), before = size, detections.image_size
    factors = torch.tensor(
        [width / before[1], height / before[0]] * 2, dtype=torch.float64, device="cpu"
    )

    def moved(places: Tensor) -> Tensor:
        precise = exact(places)
        by = factors[: places.shape[-1]].to(precise.device)
        return (precise * by).to(places)

    corners = None if detections.corners is None else moved(detections.corners)
    return replace(
        detections,
        boxes=moved(detections.boxes),
        regions=moved(detections.regions),
        image_size=size,
        corners=corners,
        masks=None,
    )


def _images(images: object) -> Tensor:
    if not isinstance(images, Tensor):
        raise TypeError(f"images: expected a tensor (N, 3, H, W), got {type(images).__name__}.")
    if not images.is_floating_point():
        raise TypeError(
            f"images: expected floating point, got {images.dtype}; convert with "
            "images.float() / 255."
        )
    if images.dim() == 3:
        images = images[None]
    channels_last = images.dim() == 4 and images.shape[-1] <= 4 < images.shape[1]
    if images.dim() != 4 or channels_last or 0 in images.shape:
        raise ValueError(f"images: expected shape (N, 3, H, W), RGB, got {tuple(images.shape)}.")
    check_images(images, None)
    return images.detach()


def _check_detections(detections: Any, images: Tensor) -> None:
    if not isinstance(detections, list) or not all(
        isinstance(entry, Detections) for entry in detections
    ):
        raise TypeError(
            "detections: expected Detections or a list of them, as detector.detect(images) returns."
        )
    if len(detections) != images.shape[0]:
        raise ValueError(
            f"detections: expected one for each of the {images.shape[0]} images, got "
            f"{len(detections)}."
        )
    size = (images.shape[-2], images.shape[-1])
    for entry in detections:
        if entry.image_size != size:
            raise ValueError(
                f"detections: expected those of an image of {size}, got image_size "
                f"{entry.image_size}."
            )


def _maps(given: HeatMaps, detections: list[Detections], size: tuple[int, int]) -> Tensor:
    counts = [len(entry) for entry in detections]
    if not isinstance(given, Tensor):
        parts = [as_maps(entry) for entry in given]
        if [len(part) for part in parts] != counts:
            raise ValueError(
                f"heat_maps: expected {counts} maps, one for each detection of each image, got "
                f"{[len(part) for part in parts]}."
            )
        given = torch.cat(parts)
    maps = as_maps(given)
    if tuple(maps.shape) != (sum(counts), *size):
        raise ValueError(
            f"heat_maps: expected shape ({sum(counts)}, {size[0]}, {size[1]}), one map at image "
            f"size for each detection, got {tuple(maps.shape)}; bring a layer's map to image size "
            "with interpolate_mode='bilinear'."
        )
    return maps
