"""What the detector is shown along a Deletion or Insertion curve."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from captum_ssgc.detections import Detections
from captum_ssgc.metrics._baselines import baseline_images
from captum_ssgc.metrics._curve_inputs import CurveInputs, HeatMaps
from captum_ssgc.metrics._patches import unit_ranks
from captum_ssgc.metrics._pixel_order import tied_order
from captum_ssgc.metrics.curve_settings import CurveSettings
from captum_ssgc.metrics.presets import Preset, curve_settings


def deletion_images(
    images: Tensor,
    detections: Detections | Sequence[Detections],
    heat_maps: HeatMaps,
    settings: CurveSettings | Preset | str = "yamauchi2024",
    steps: Sequence[int] = (1, 3, 5),
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The images at a few steps of :func:`captum_ssgc.metrics.deletion`, to be looked at.

    Args:
        images: as for :func:`captum_ssgc.metrics.deletion`.
        detections: the same.
        heat_maps: the same.
        settings: the same, but that the pixels are always those of ``images``.
        steps: which points of the curve, 0 (the image as it is) to ``S``.
        generator: in the state in which the curve was given it.

    Returns:
        ``(K, len(steps), 3, H, W)``, on the device of ``images``.

    Raises:
        TypeError, ValueError: for shapes, names or numbers that do not fit.
        IndexError: for a step that the curve does not have.

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> from captum_ssgc.metrics import CurveSettings, deletion_images
        >>> def whole(images):   # one box, scored by the brightness of the image
        ...     boxes = torch.tensor([[[0.0, 0.0, 4.0, 1.0]]]).expand(len(images), 1, 4)
        ...     return boxes, images.mean((1, 2, 3)).reshape(-1, 1, 1)
        >>> detector, image = ssgc.wrap_detector(whole), torch.full((1, 3, 1, 4), 0.5)
        >>> heat_map = torch.tensor([[[1.0, 4.0, 2.0, 3.0]]])
        >>> found, settings = detector.detect(image)[0], CurveSettings(steps=4)
        >>> deletion_images(image, found, heat_map, settings, steps=[1, 2])[0, :, 0, 0]
        tensor([[0.5000, 0.0000, 0.5000, 0.5000],
                [0.5000, 0.0000, 0.5000, 0.0000]])
    """
    inputs = CurveInputs.checked(images, detections, {"": heat_maps})
    return _along(inputs, curve_settings(settings, "deletion"), steps, generator, inserts=False)


def insertion_images(
    images: Tensor,
    detections: Detections | Sequence[Detections],
    heat_maps: HeatMaps,
    settings: CurveSettings | Preset | str = "yamauchi2024",
    steps: Sequence[int] = (1, 3, 5),
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The images at a few steps of :func:`captum_ssgc.metrics.insertion`, to be looked at.

    As :func:`deletion_images`, from the baseline to the image.

    Args:
        images: as for :func:`captum_ssgc.metrics.insertion`.
        detections: the same.
        heat_maps: the same.
        settings: the same, but that the pixels are always those of ``images``.
        steps: which points of the curve, 0 (the baseline) to ``S``.
        generator: in the state in which the curve was given it.

    Returns:
        ``(K, len(steps), 3, H, W)``, on the device of ``images``.

    Raises:
        TypeError, ValueError: for shapes, names or numbers that do not fit.
        IndexError: for a step that the curve does not have.

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> from captum_ssgc.metrics import CurveSettings, insertion_images
        >>> def whole(images):   # one box, scored by the brightness of the image
        ...     boxes = torch.tensor([[[0.0, 0.0, 4.0, 1.0]]]).expand(len(images), 1, 4)
        ...     return boxes, images.mean((1, 2, 3)).reshape(-1, 1, 1)
        >>> detector, image = ssgc.wrap_detector(whole), torch.full((1, 3, 1, 4), 0.5)
        >>> heat_map = torch.tensor([[[1.0, 4.0, 2.0, 3.0]]])
        >>> found, settings = detector.detect(image)[0], CurveSettings(steps=4)
        >>> insertion_images(image, found, heat_map, settings, steps=[1, 2])[0, :, 0, 0]
        tensor([[0.0000, 0.5000, 0.0000, 0.0000],
                [0.0000, 0.5000, 0.0000, 0.5000]])
    """
    inputs = CurveInputs.checked(images, detections, {"": heat_maps})
    return _along(inputs, curve_settings(settings, "insertion"), steps, generator, inserts=True)


def _along(
    inputs: CurveInputs,
    settings: CurveSettings,
    steps: Sequence[int],
    generator: torch.Generator | None,
    *,
    inserts: bool,
) -> Tensor:
    if not all(0 <= step <= settings.steps for step in steps):
        raise IndexError(f"steps: expected points 0 to {settings.steps}, got {list(steps)}.")
    ties = tied_order(inputs.images, settings.ties, generator)
    before, after = inputs.images, baseline_images(inputs.images, settings, generator)
    if inserts:
        before, after = after, before
    counts = inputs.counts(settings)[:, list(steps)].to(before.device)
    owners = [image for image, found in enumerate(inputs.detections) for _ in range(len(found))]
    changed = before.new_empty((len(owners), len(steps), *before.shape[1:]))
    patches = inputs.patches(settings)
    for row, image in enumerate(owners):
        turned = unit_ranks(inputs.maps[""][row], ties, patches[row]) < counts[row, :, None, None]
        changed[row] = torch.where(turned[:, None], after[image], before[image])
    return changed
