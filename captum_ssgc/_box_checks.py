"""Boxes from elsewhere, whose numbers may mean something else than corners in pixels."""

from __future__ import annotations

from torch import Tensor

_SMALL = 16  # pixels; in a smaller image a box may lie in its first one


def check_corners_in_pixels(boxes: Tensor, image_size: tuple[int, int]) -> None:
    """Check that boxes ``(K, 4)`` are x1, y1, x2, y2 in pixels of the image, as far as one can see.

    Boxes may reach out of the image, and have no extent.

    Raises:
        ValueError: for one that is not finite, ends before it begins or lies outside the image, or
            where all are shares of the image.
    """
    height, width = image_size
    boxes = boxes.detach().cpu().double()
    expected = f"boxes: expected x1, y1, x2, y2 in pixels of an image of {height} x {width}"
    size = boxes.new_tensor([width, height])
    for fits, why in (
        (boxes.isfinite(), "which is not finite"),
        (
            boxes[:, 2:] >= boxes[:, :2],
            "which ends before it begins (x, y, width, height? torchvision.ops.box_convert)",
        ),
        (
            (boxes[:, :2] <= size) & (boxes[:, 2:] >= 0),
            "which lies outside (are height and width in order, and those of this image?)",
        ),
    ):
        if not bool(fits.all()):
            row = int(fits.all(1).logical_not().nonzero()[0])
            raise ValueError(f"{expected}, got {boxes[row].tolist()} in row {row}, {why}.")
    shares = len(boxes) > 0 and bool(((boxes >= 0) & (boxes <= 1)).all())
    if shares and max(image_size) > _SMALL and bool((boxes != boxes.round()).any()):
        raise ValueError(f"{expected}, got shares of it: multiply them by its width and height.")
