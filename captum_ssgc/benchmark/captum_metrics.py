"""Captum's own infidelity and sensitivity, for all detections of an image at once."""

from __future__ import annotations

from typing import Any

import torch
from captum.metrics import infidelity, sensitivity_max
from torch import Tensor

from captum_ssgc.benchmark.heat_maps import MapMaker
from captum_ssgc.benchmark.rows import MethodRow
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector
from captum_ssgc.instance_score import InstanceScoreWrapper

SQUARE = (0.1, 0.5)
RADIUS = 0.02


def infidelities(
    detector: Detector,
    image: Tensor,
    detections: Detections,
    heat_maps: Tensor,
    samples: int,
    seed: int,
) -> Tensor:
    """Normalised infidelity when a random square is made black.

    Its side is drawn from 10 % to 50 % of the image's shorter side. All detections, and all
    methods that are given the same seed, see the same squares.

    Args:
        detector: the detector.
        image: ``(1, 3, H, W)``.
        detections: ``K`` of them.
        heat_maps: ``(K, H, W)``.
        samples: number of squares.
        seed: of the squares.

    Returns:
        ``(K,)``, at least 0, lower is better.
    """
    count = len(detections)
    wrapper = InstanceScoreWrapper(detector, detections)
    generator = torch.Generator().manual_seed(seed)

    def remove_square(images: Tensor) -> tuple[Tensor, Tensor]:
        removed = images * _square(images, generator)
        return removed, images - removed

    def scores(images: Tensor) -> Tensor:
        # Every row is the same image: one forward gives the scores of all detections.
        return wrapper(images[:1]).expand(count, -1)

    inputs = image.expand(count, -1, -1, -1)
    errors: Tensor = infidelity(
        scores,
        remove_square,
        inputs,
        heat_maps[:, None].to(inputs.dtype).expand_as(inputs),
        target=list(range(count)),
        n_perturb_samples=samples,
        max_examples_per_batch=count,
        normalize=True,
    )
    return errors.clamp(min=0.0)  # a sum of squares, expanded: it may fall below zero by rounding


def sensitivities(
    maker: MapMaker, row: MethodRow, image: Tensor, detections: Detections, samples: int, seed: int
) -> Tensor:
    """Largest relative change of the map among images with uniform noise within 0.02.

    All detections and methods see the same noise; D-RISE keeps its masks.

    Args:
        maker: of the maps.
        row: the method with its options.
        image: ``(1, 3, H, W)``.
        detections: ``K`` of them.
        samples: number of noisy images.
        seed: of the noise, and of D-RISE's masks.

    Returns:
        ``(K,)``, at least 0, lower is better.
    """
    count = len(detections)
    generator = torch.Generator().manual_seed(seed)

    def add_noise(images: Tensor, radius: float) -> Tensor:
        noise = torch.rand(images.shape[1:], generator=generator, dtype=torch.float32, device="cpu")
        return images + radius * (noise * 2.0 - 1.0).to(images)

    def explain(images: Any) -> tuple[Tensor]:
        images = images[0] if isinstance(images, tuple) else images
        maps_by_row, _ = maker.maps([row], images[:1], detections, seed)
        # A tuple: Captum would take the rows of a tensor for the entries of one.
        return (maps_by_row[row.key][:, None],)

    changes: Tensor = sensitivity_max(
        explain,
        image.expand(count, -1, -1, -1),
        perturb_func=add_noise,
        perturb_radius=RADIUS,
        n_perturb_samples=samples,
        max_examples_per_batch=count,
    )
    return changes


def _square(images: Tensor, generator: torch.Generator) -> Tensor:
    """``(H, W)``, 1 in a random square."""
    height, width = images.shape[-2:]
    drawn = torch.rand(3, generator=generator, dtype=torch.float32, device="cpu")
    share, *place = drawn.tolist()
    side = max(int(min(height, width) * (SQUARE[0] + share * (SQUARE[1] - SQUARE[0]))), 1)
    top, left = (int(at * (length - side + 1)) for at, length in zip(place, (height, width)))
    square = images.new_zeros(height, width)
    square[top : top + side, left : left + side] = 1.0
    return square
