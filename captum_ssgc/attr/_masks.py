"""The mask ``M`` of SSGrad-CAM++: cells of the layer grid that belong to the instance."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_ssgc.detections import Detections
from captum_ssgc.geometry import CellGrid, ImageGeometry

Mask = Tensor | str | None
NAMED = ("region", "box", "mask")
_EXPECTED = "mask: expected 'region', 'box', 'mask', a tensor or None"


def check_mask(mask: Mask, has_detections: bool = True) -> None:
    """Raise unless ``mask`` is something that :func:`resolve_mask` understands.

    Args:
        mask: the user's argument.
        has_detections: whether the boxes of the instances are known.

    Raises:
        TypeError, ValueError: if it is not.
    """
    if isinstance(mask, str):
        if mask not in NAMED:
            raise ValueError(f"{_EXPECTED}, got {mask!r}.")
        if not has_detections:
            raise ValueError(
                f"mask={mask!r} needs captum_ssgc.InstanceScoreWrapper as forward_func, which "
                "knows the detections; with another forward function pass a tensor (image or grid "
                "size) or None."
            )
    elif mask is not None and not isinstance(mask, Tensor):
        raise TypeError(f"{_EXPECTED}, got {type(mask).__name__}.")


def resolve_mask(
    mask: Mask,
    activations: Tensor,
    count: int,
    geometry: ImageGeometry,
    cells: CellGrid,
    instances: Detections | None,
) -> Tensor | None:
    """``mask`` on the grid of a layer.

    Args:
        mask: the user's argument.
        activations: ``(N, C, h, w)``.
        count: of the instances, one for each example or several of one image.
        geometry: of the images.
        cells: of the layer.
        instances: the detections, where they are known.

    Returns:
        ``(1|count, 1|C, h, w)`` bool, or ``None`` for all ones.

    Raises:
        ValueError: for a tensor of another shape, or where detections have no masks.
    """
    check_mask(mask, instances is not None)
    if mask is None:
        return None
    if isinstance(mask, str):
        return _named_mask(mask, instances, activations, geometry, cells)
    if count > 1 and mask.dim() == 4 and mask.shape[0] not in (1, count):
        raise ValueError(
            f"mask: expected one for all or one for each of {count} instances, got {len(mask)}."
        )
    channels, grid, size = activations.shape[1], cells.size, tuple(mask.shape[-2:])
    fits = mask.dim() == 4 and mask.shape[0] in (1, count) and mask.shape[1] in (1, channels)
    if not fits or size not in (grid, geometry.image_size):
        height, width = geometry.image_size
        raise ValueError(
            f"mask: expected shape (1|{count}, 1|{channels}, h, w) with (h, w) the image "
            f"({height}, {width}) or the layer grid {grid}, got {tuple(mask.shape)}."
        )
    inside = (mask != 0).to(activations.device)
    return inside if size == grid else geometry.mask_to_grid(inside, cells)


def _named_mask(
    name: str,
    instances: Detections | None,
    activations: Tensor,
    geometry: ImageGeometry,
    cells: CellGrid,
) -> Tensor | None:
    if instances is None:
        return None
    device = activations.device
    if name == "mask":
        return _masks_on_grid(instances, device, geometry, cells)
    boxes = instances.regions if name == "region" else instances.boxes
    return geometry.boxes_to_grid(boxes.to(device), cells)


def _masks_on_grid(
    instances: Detections, device: torch.device, geometry: ImageGeometry, cells: CellGrid
) -> Tensor:
    """The cells of each detection's own mask; of its box, where the mask has no pixel."""
    if instances.masks is None:
        raise ValueError(
            "mask='mask': these detections have no masks: the model gives none, or they are "
            "candidates that it does not report; use 'region' or 'box', or pass a tensor."
        )
    pixels = instances.mask_pixels()
    masks = geometry.boxes_to_grid(instances.boxes.to(device), cells)
    for row, one in enumerate(pixels):  # one by one, as they are compared in double precision
        if bool(one.any()):
            masks[row] = geometry.mask_to_grid(one[None, None].to(device), cells)[0]
    return masks
