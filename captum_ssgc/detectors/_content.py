"""Where an image lies on its canvas, seen from the canvas."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from captum_ssgc.geometry import ImageGeometry

# Padding that was resized is of one value to so many of the image's values.
_ROUNDING = 1e-3
_LEAST = 2  # pixels that differ


def noise(image_size: tuple[int, int], model: nn.Module, channels: int = 3) -> Tensor:
    """An image ``(1, C, *image_size)`` in [0, 1] of which all pixels differ, where a model is."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    size = (1, channels, *image_size)
    return torch.rand(size, generator=generator, device="cpu", dtype=torch.float32).to(device)


def check_content(
    canvas: Tensor, geometry: ImageGeometry, source: str, within: float = 1.0
) -> None:
    """Check that a geometry is right about where a preprocessing puts an image.

    Args:
        canvas: ``(1, C, h, w)``, what it makes of :func:`noise`: lines of padding are of one
            value, but for rounding, those with a part of the image are not.
        geometry: of this image.
        source: what made the canvas, for the message.
        within: how many pixels of the canvas count as nothing.

    Raises:
        ValueError: if an edge of the image lies further from where the geometry has it.
            What is filled to the last pixel, as by a mirrored image, says nothing.
    """
    values = canvas[0].amax((1, 2)) - canvas[0].amin((1, 2))
    for axis, name in ((0, "rows"), (1, "columns")):
        if geometry.image_size[1 - axis] < _LEAST:
            continue  # what is as wide as a pixel does not vary
        spread = canvas[0].amax(2 - axis) - canvas[0].amin(2 - axis)
        varies = (spread > _ROUNDING * values[:, None]).any(0)
        lines = varies.nonzero()[:, 0]
        if len(lines) in (0, len(varies)):
            continue
        first, last = int(lines[0]), int(lines[-1]) + 1
        start = geometry.offset[axis]
        end = start + geometry.scale[axis] * geometry.image_size[axis]
        if max(abs(first - start), abs(last - end)) > within:
            height, width = geometry.image_size
            raise ValueError(
                f"{source} puts an image of {height} x {width} pixels on the {name} {first} to "
                f"{last} of the canvas, and its geometry says {start:.1f} to {end:.1f}, where maps "
                "would be drawn: a detector of your own with a preprocess that gives the right "
                "ImageGeometry can say so (captum_ssgc.detectors.CandidateDetector)."
            )
