"""Every number that is measured of the maps of one image."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_ssgc.benchmark.agreement import Truth, agreement
from captum_ssgc.benchmark.captum_metrics import infidelities, sensitivities
from captum_ssgc.benchmark.columns import CURVES
from captum_ssgc.benchmark.heat_maps import MapMaker
from captum_ssgc.benchmark.measurements import Measurements
from captum_ssgc.detections import Detections
from captum_ssgc.metrics import deletion_insertion, left_of_map


def score_maps(
    measured: Measurements,
    maker: MapMaker,
    image: Tensor,
    detections: Detections,
    maps_by_row: dict[str, Tensor],
    truth: Truth,
    seed: int,
) -> None:
    """Measure what the settings ask for.

    Args:
        measured: takes the numbers.
        maker: of the maps, with the detector and the settings.
        image: ``(1, 3, H, W)``.
        detections: ``K`` of them.
        maps_by_row: ``(K, H, W)`` by the key of the row.
        truth: what is known about the ``K`` detections.
        seed: of the image.
    """
    settings, metrics = maker.settings, maker.settings.metrics
    for row, heat_maps in maps_by_row.items():
        flat = heat_maps.flatten(1)
        empty = ~(flat.isfinite().all(1) & (flat > 0).any(1))
        measured.add(row, "zero", empty.float())
    if "deletion-insertion" in metrics:
        curves = deletion_insertion(
            maker.detector,
            image,
            detections,
            maps_by_row,
            settings.curve_preset,
            generator=torch.Generator().manual_seed(seed),
            perturbations_per_eval=settings.batch_size,
        )
        for row, both in curves.items():
            for column in CURVES:
                side = both.deletion if column.startswith("del") else both.insertion
                measured.add(row, column, side[column[4:]].area)
                measured.add_curves(row, column, side[column[4:]].scores)
    for row, heat_maps in maps_by_row.items():
        for column, numbers in agreement(metrics, heat_maps.cpu(), truth).items():
            measured.add(row, column, numbers)
    samples = settings.perturbed_images
    if "infidelity" in metrics:
        for row, heat_maps in maps_by_row.items():
            errors = infidelities(maker.detector, image, detections, heat_maps, samples, seed)
            measured.add(row, "infidelity", errors)
    if "sensitivity" in metrics:
        for method in settings.rows:
            changes = sensitivities(maker, method, image, detections, samples, seed)
            measured.add(method.key, "sensitivity", changes)
    if "randomisation" in metrics:
        for row, random_maps in maker.maps_of_random(image, detections, seed).items():
            measured.add(row, "randomised", left_of_map(maps_by_row[row], random_maps).values)
