"""The mask ``M`` of SSGrad-CAM++: cells of the layer grid that belong to the instance."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from captum_ssgc.detections import Detections
from captum_ssgc.geometry import ImageGeometry

Mask = Tensor | str | None


def check_mask(mask: Mask, has_detections: bool) -> None:
    """Raise unless ``mask`` is something that :func:`resolve_mask` understands."""
    if isinstance(mask, str):
        if mask not in ("region", "box"):
            raise ValueError(f"mask: expected 'region', 'box', a tensor or None, got {mask!r}.")
        if not has_detections:
            raise ValueError(
                f"mask={mask!r} needs captum_ssgc.InstanceScoreWrapper as forward_func, which "
                "knows the detections; with another forward function pass a tensor (image or grid "
                "size) or None."
            )
    elif mask is not None and not isinstance(mask, Tensor):
        raise TypeError(
            f"mask: expected 'region', 'box', a tensor or None, got {type(mask).__name__}."
        )


def resolve_mask(
    mask: Mask,
    like: Tensor,
    geometry: ImageGeometry,
    instances: Sequence[Detections] | None,
) -> Tensor | None:
    """``mask`` on the grid of ``like``.

    Args:
        mask: the user's argument.
        like: activations ``(N, C, h, w)``.
        geometry: of the images.
        instances: one detection for each of the ``N`` examples, where they are known.

    Returns:
        ``(1|N, 1|C, h, w)`` bool, or ``None`` for all ones.

    Raises:
        ValueError: for a tensor of another shape.
    """
    check_mask(mask, instances is not None)
    count, channels = like.shape[:2]
    grid = (like.shape[-2], like.shape[-1])
    if mask is None:
        return None
    if isinstance(mask, str):
        field = "regions" if mask == "region" else "boxes"
        boxes = torch.cat([getattr(entry, field) for entry in instances or ()])
        return geometry.boxes_to_grid(boxes.to(like.device), grid)
    size = tuple(mask.shape[-2:])
    fits = mask.dim() == 4 and mask.shape[0] in (1, count) and mask.shape[1] in (1, channels)
    if not fits or size not in (grid, geometry.image_size):
        height, width = geometry.image_size
        raise ValueError(
            f"mask: expected shape (1|{count}, 1|{channels}, h, w) with (h, w) the image "
            f"({height}, {width}) or the layer grid {grid}, got {tuple(mask.shape)}."
        )
    mask = mask.to(like.device)
    return (mask != 0) if size == grid else geometry.mask_to_grid(mask, grid)
