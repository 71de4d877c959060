"""Boxes and masks as pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from captum_ssgc._box_pixels import pixels_in_boxes
from captum_ssgc._exact import sent
from captum_ssgc._polygons import pixels_in_polygons
from captum_ssgc.detections import Detections


def box_pixels(detections: Detections) -> Tensor:
    """``(K, H, W)`` bool: the pixels of each detection's box, of the oriented one where it has one.

    Raises:
        ValueError: for a box without finite, ordered edges.
    """
    if detections.corners is not None:
        return pixels_in_polygons(detections.corners, detections.image_size)
    boxes = check_boxes(detections.boxes, len(detections))
    return pixels_in_boxes(boxes, detections.image_size)


def as_pixels(
    boxes: Tensor | None,
    masks: Tensor | None,
    like: Tensor,
    count: int,
    corners: Tensor | None = None,
) -> Tensor:
    """The regions in one of three forms, ``(count, H, W)`` bool on the device of ``like``.

    Raises:
        TypeError: unless exactly one of them is given, as a tensor.
        ValueError: for a wrong shape or a box without finite, ordered edges.
    """
    given = {"boxes": boxes, "masks": masks, "corners": corners}
    names = [name for name, value in given.items() if value is not None]
    if len(names) != 1:
        got = "neither" if not names else "both" if len(names) == 2 else "all of them"
        raise TypeError(
            f"expected either boxes= or masks=, got {got}; oriented boxes are given as corners=."
        )
    size = (like.shape[-2], like.shape[-1])
    if boxes is not None:
        known = check_boxes(boxes, count)
        _check_on_maps(known.reshape(-1, 2, 2), size, "boxes")
        return pixels_in_boxes(sent(known, like.device), size)
    if corners is not None:
        known = check_corners(corners, count)
        _check_on_maps(known, size, "corners")
        return pixels_in_polygons(sent(known, like.device), size)
    return check_masks(masks, count, size, "masks").to(like.device)


def _check_on_maps(points: Tensor, size: tuple[int, int], name: str) -> None:
    """Check that regions are on the grid of the maps: those of an image lie far off a layer's map.

    A box that reaches out of the image, as of an object that is cut off, has its middle near it.

    Args:
        points: ``(K, P, 2)`` x and y of the corners of each region.
        size: ``(H, W)`` of the maps.
        name: of what is checked.

    Raises:
        ValueError: for a region that does not meet its map, or whose middle is half a map beyond.
    """
    far = points.new_tensor(size[::-1])
    low, high = points.amin(1), points.amax(1)
    meets = (low <= far) & (high >= 0) & ((low + high) / 2 <= 1.5 * far)
    if not bool(meets.all()):
        row = int(meets.all(-1).logical_not().nonzero()[0])
        raise ValueError(
            f"{name}: expected them in pixels of the heat maps of {size[0]} x {size[1]}, got "
            f"{points[row].flatten().tolist()} in row {row}, far outside; bring a layer's map to "
            "image size with interpolate_mode='bilinear'."
        )


def check_corners(corners: object, count: int) -> Tensor:
    """``corners``, once they are known to be ``(count, 4, 2)`` and finite."""
    if not isinstance(corners, Tensor):
        raise TypeError(f"corners: expected a tensor (K, 4, 2), got {type(corners).__name__}.")
    if tuple(corners.shape) != (count, 4, 2):
        raise ValueError(f"corners: expected shape ({count}, 4, 2), got {tuple(corners.shape)}.")
    if not bool(corners.isfinite().all()):
        raise ValueError("corners: expected finite numbers, got NaN or infinity.")
    return corners.detach()


def check_boxes(boxes: object, count: int) -> Tensor:
    """``boxes`` as floating point, once they are known to be ``(count, 4)`` ordered corners."""
    return _check_corners(_check_shape(boxes, count))


def check_groups(groups: Sequence[object], counts: Sequence[int]) -> list[Tensor]:
    """Each of several boxes ``(count, 4)`` as :func:`check_boxes`, with one wait for a device."""
    shaped = [_check_shape(boxes, count) for boxes, count in zip(groups, counts, strict=True)]
    return list(_check_corners(torch.cat(shaped)).split(list(counts)))


def _check_shape(boxes: object, count: int) -> Tensor:
    if not isinstance(boxes, Tensor):
        raise TypeError(f"boxes: expected a tensor (K, 4), got {type(boxes).__name__}.")
    if tuple(boxes.shape) != (count, 4):
        raise ValueError(f"boxes: expected shape ({count}, 4), got {tuple(boxes.shape)}.")
    return boxes.detach().to(torch.promote_types(boxes.dtype, torch.float32))


def _check_corners(boxes: Tensor) -> Tensor:
    ordered = boxes.isfinite().all(-1) & (boxes[:, 2:] >= boxes[:, :2]).all(-1)
    if not bool(ordered.all()):
        row = int(ordered.logical_not().nonzero()[0])
        raise ValueError(
            "boxes: expected finite corners x1, y1, x2, y2 with x1 <= x2 and y1 <= y2, got "
            f"{boxes[row].tolist()} in row {row}; COCO's x, y, width, height must be converted."
        )
    return boxes


def check_masks(masks: object, count: int, size: tuple[int, int], name: str) -> Tensor:
    """``masks`` as ``(count, H, W)`` bool."""
    if not isinstance(masks, Tensor):
        raise TypeError(f"{name}: expected a tensor (K, H, W), got {type(masks).__name__}.")
    shaped = masks[:, 0] if masks.dim() == 4 and masks.shape[1] == 1 else masks
    if tuple(shaped.shape) != (count, *size):
        raise ValueError(
            f"{name}: expected shape ({count}, {size[0]}, {size[1]}), as the heat maps, got "
            f"{tuple(masks.shape)}."
        )
    if not shaped.is_floating_point():
        return shaped != 0
    if not bool(shaped.isfinite().all()):
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity.")
    return shaped >= 0.5  # as Detections.mask_pixels takes soft ones
