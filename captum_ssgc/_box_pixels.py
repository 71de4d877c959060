"""Boxes as pixels of an image, by the rule that marks the cells of a layer's grid."""

from __future__ import annotations

from torch import Tensor

from captum_ssgc.geometry import ImageGeometry


def pixels_in_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """The pixels whose centre lies in the box, its border included, at least the one in its middle.

    Args:
        boxes: ``(K, 4)`` xyxy in pixels.
        size: ``(H, W)``.

    Returns:
        ``(K, H, W)`` bool; no pixel of a box that lies beyond the image.
    """
    pixels = ImageGeometry.identity(size).boxes_to_grid(boxes, size)[:, 0]
    far = boxes.new_tensor(size[::-1])
    meets = ((boxes[:, :2] <= far) & (boxes[:, 2:] >= 0)).all(-1)
    return pixels & meets[:, None, None]
