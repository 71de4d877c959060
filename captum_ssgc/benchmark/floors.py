"""Maps that know nothing of the detector's inside: what every method should beat."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_ssgc._box_pixels import pixels_in_boxes
from captum_ssgc._polygons import pixels_in_polygons
from captum_ssgc.detections import Detections

_CENTRE_SPREAD = 0.25


def floor_maps(name: str, detections: Detections, seed: int, first: int = 0) -> Tensor:
    """One floor's maps.

    Args:
        name: ``"noise"``, independent uniform pixels; ``"box"``, 1 inside the detection's box (the
            oriented one, where there is one) and 0 outside; ``"centre"``, a Gaussian in the middle
            of the image, whose standard deviation is a quarter of its height and width.
        detections: ``K`` of them.
        seed: of the image's noise.
        first: place of the first of these detections among those of the image.

    Returns:
        ``(K, H, W)`` in [0, 1].
    """
    height, width = detections.image_size
    count = len(detections)
    if name == "noise":
        generators = [torch.Generator().manual_seed(seed + first + row) for row in range(count)]
        heat_maps = torch.stack([_noise(height, width, one) for one in generators])
    elif name == "box":
        if detections.corners is None:
            inside = pixels_in_boxes(detections.boxes, detections.image_size)
        else:
            inside = pixels_in_polygons(detections.corners, detections.image_size)
        heat_maps = inside.float()
    else:
        across = torch.exp(-0.5 * (_offsets(width) / _CENTRE_SPREAD) ** 2)
        along = torch.exp(-0.5 * (_offsets(height) / _CENTRE_SPREAD) ** 2)
        heat_maps = (along[:, None] * across[None]).expand(count, -1, -1).contiguous()
    return heat_maps.to(detections.boxes.device)


def _noise(height: int, width: int, generator: torch.Generator) -> Tensor:
    return torch.rand(height, width, generator=generator, dtype=torch.float32, device="cpu")


def _centres(length: int) -> Tensor:
    return torch.arange(length, dtype=torch.float32, device="cpu") + 0.5


def _offsets(length: int) -> Tensor:
    """Distance of each pixel centre from the middle, as a share of the length."""
    return _centres(length) / length - 0.5
