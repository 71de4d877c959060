"""Deletion and Insertion: does the score follow the pixels that the heat map names first?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector
from captum_ssgc.metrics._curve_inputs import CurveInputs, HeatMaps
from captum_ssgc.metrics._curve_runs import CurveRun, run_curves
from captum_ssgc.metrics.curve_settings import CurveSettings, Score
from captum_ssgc.metrics.curves import Curves, DeletionInsertion
from captum_ssgc.metrics.presets import Preset, curve_settings


def deletion(
    detector: Detector,
    images: Tensor,
    detections: Detections | Sequence[Detections],
    heat_maps: HeatMaps,
    settings: CurveSettings | Preset | str = "yamauchi2024",
    *,
    generator: torch.Generator | None = None,
    perturbations_per_eval: int = 16,
) -> Curves:
    r"""The score of each detection while the pixels of its heat map are removed, highest first.

    .. math:: D_s = f_t\big(x \odot [r \ge n_s] + b \odot [r < n_s]\big), \qquad
              n_s = \tfrac{s}{S} B, \quad s = 0, \dots, S

    with ``r`` the place of a pixel in the falling order of the map, ``b`` the baseline and ``B``
    the budget of pixels. A map that names the right pixels makes the score fall at once.

    Args:
        detector: from :func:`captum_ssgc.wrap_detector`.
        images: ``(N, 3, H, W)``, or ``(3, H, W)`` for one.
        detections: of each image; one ``Detections`` for one image. ``K`` in all.
        heat_maps: ``(K, H, W)`` or ``(K, 1, H, W)``, one map per detection, image by image; or a
            sequence of ``N`` such tensors.
        settings: what is measured, a preset of :data:`captum_ssgc.metrics.PRESETS`, or its name.
        generator: for the order of tied pixels and the noise baseline; ``None`` for one seeded with
            0.
        perturbations_per_eval: the most changed images in one forward; bounds the memory.

    Returns:
        Curves ``(K, S + 1)``; area in [0, 1], **lower is better**. Divided by the initial score, a
        curve may rise above 1: a detector can be surer of an object when the rest is hidden.

    Raises:
        TypeError, ValueError: for shapes, names or numbers that do not fit.

    Notes:
        Each map costs ``S - 1`` changed images with the budget of the whole image, ``S`` with that
        of a box; the image as it is and the baseline are run once and shared. Tied pixels go in
        the order that the settings' ``ties`` says. Where ``S`` does not divide the budget, counts
        are rounded, half up. A map that is all zero or not finite names no pixel, so that none
        turns: its curve is flat, the worst there is as long as the object needs its pixels.

    References:
        V. Petsiuk et al., RISE: Randomized Input Sampling for Explanation of Black-box Models, BMVC
        2018, arXiv:1806.07421.

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> from captum_ssgc.metrics import CurveSettings, deletion
        >>> def left_half(images):   # one box, scored by the brightness of its left half
        ...     boxes = torch.tensor([[[0.0, 0.0, 4.0, 2.0]]]).expand(len(images), 1, 4)
        ...     return boxes, images[..., :2].mean((1, 2, 3)).reshape(-1, 1, 1)
        >>> detector, image = ssgc.wrap_detector(left_half), torch.ones(1, 3, 2, 4)
        >>> heat_map = torch.tensor([[[2.0, 2.0, 0.0, 0.0], [2.0, 2.0, 0.0, 0.0]]])
        >>> found = detector.detect(image)
        >>> result = deletion(detector, image, found, heat_map, CurveSettings(steps=4))
        >>> result.scores, result.area
        (tensor([[1.0000, 0.5000, 0.0000, 0.0000, 0.0000]]), tensor([0.2500]))
    """
    settings = curve_settings(settings, "deletion")
    inputs = CurveInputs.checked(images, detections, {"": heat_maps})
    run = CurveRun(False, settings, (settings.score,))
    (curves,) = run_curves(detector, inputs, [run], generator, perturbations_per_eval)
    return curves[""][settings.score]


def insertion(
    detector: Detector,
    images: Tensor,
    detections: Detections | Sequence[Detections],
    heat_maps: HeatMaps,
    settings: CurveSettings | Preset | str = "yamauchi2024",
    *,
    generator: torch.Generator | None = None,
    perturbations_per_eval: int = 16,
) -> Curves:
    r"""The score of each detection while the pixels of its heat map are added, highest first.

    .. math:: I_s = f_t\big(b \odot [r \ge n_s] + x \odot [r < n_s]\big)

    As :func:`deletion`, from the baseline to the image.

    Args:
        detector: from :func:`captum_ssgc.wrap_detector`.
        images: ``(N, 3, H, W)``, or ``(3, H, W)`` for one.
        detections: of each image; one ``Detections`` for one image. ``K`` in all.
        heat_maps: ``(K, H, W)`` or ``(K, 1, H, W)``, one map per detection, image by image; or a
            sequence of ``N`` such tensors.
        settings: what is measured, a preset of :data:`captum_ssgc.metrics.PRESETS`, or its name.
        generator: for the order of tied pixels and the noise baseline; ``None`` for one seeded with
            0.
        perturbations_per_eval: the most changed images in one forward; bounds the memory.

    Returns:
        Curves ``(K, S + 1)``; area in [0, 1], **higher is better**. Divided by the initial score, a
        curve may rise above 1: a detector can be surer of an object when the rest is hidden.

    Raises:
        TypeError, ValueError: for shapes, names or numbers that do not fit.

    References:
        V. Petsiuk et al., RISE: Randomized Input Sampling for Explanation of Black-box Models, BMVC
        2018, arXiv:1806.07421.

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> from captum_ssgc.metrics import CurveSettings, insertion
        >>> def left_half(images):   # one box, scored by the brightness of its left half
        ...     boxes = torch.tensor([[[0.0, 0.0, 4.0, 2.0]]]).expand(len(images), 1, 4)
        ...     return boxes, images[..., :2].mean((1, 2, 3)).reshape(-1, 1, 1)
        >>> detector, image = ssgc.wrap_detector(left_half), torch.ones(1, 3, 2, 4)
        >>> heat_map = torch.tensor([[[2.0, 2.0, 0.0, 0.0], [2.0, 2.0, 0.0, 0.0]]])
        >>> found = detector.detect(image)
        >>> insertion(detector, image, found, heat_map, CurveSettings(steps=4)).scores
        tensor([[0.0000, 0.5000, 1.0000, 1.0000, 1.0000]])
    """
    settings = curve_settings(settings, "insertion")
    inputs = CurveInputs.checked(images, detections, {"": heat_maps})
    run = CurveRun(True, settings, (settings.score,))
    (curves,) = run_curves(detector, inputs, [run], generator, perturbations_per_eval)
    return curves[""][settings.score]


def deletion_insertion(
    detector: Detector,
    images: Tensor,
    detections: Detections | Sequence[Detections],
    heat_maps: Mapping[str, HeatMaps],
    settings: CurveSettings | Preset | str = "yamauchi2024",
    *,
    scores: Sequence[Score] = ("s1", "s2"),
    generator: torch.Generator | None = None,
    perturbations_per_eval: int = 16,
) -> dict[str, DeletionInsertion]:
    """Both curves and both scores of several methods, in one pass over the changed images.

    Args:
        detector: from :func:`captum_ssgc.wrap_detector`.
        images: ``(N, 3, H, W)``, or ``(3, H, W)`` for one.
        detections: of each image; one ``Detections`` for one image. ``K`` in all.
        heat_maps: for each method, by its name, ``(K, H, W)`` or ``(K, 1, H, W)``, one map per
            detection, image by image; or a sequence of ``N`` such tensors.
        settings: of both curves alike, or a preset or its name; their ``score`` is not looked at.
        scores: which scores to read off the changed images.
        generator: for the order of tied pixels and the noise baseline; ``None`` for one seeded with
            0.
        perturbations_per_eval: the most changed images in one forward; bounds the memory.

    Returns:
        The curves of each method.

    Raises:
        TypeError, ValueError: for shapes, names or numbers that do not fit.

    Notes:
        The image and each baseline are run once for all methods, detections and both curves. All
        scores of a changed image come from one call of the detector; only a detector whose
        candidates depend on the image (two-stage) needs a second one where s1 follows the candidate
        and another score looks at all candidates.

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> from captum_ssgc.metrics import deletion_insertion
        >>> def left_half(images):   # one box, scored by the brightness of its left half
        ...     boxes = torch.tensor([[[0.0, 0.0, 4.0, 2.0]]]).expand(len(images), 1, 4)
        ...     return boxes, images[..., :2].mean((1, 2, 3)).reshape(-1, 1, 1)
        >>> detector, image = ssgc.wrap_detector(left_half), torch.ones(1, 3, 2, 4)
        >>> left = torch.tensor([[[2.0, 2.0, 0.0, 0.0], [2.0, 2.0, 0.0, 0.0]]])
        >>> results = deletion_insertion(
        ...     detector, image, detector.detect(image), {"left": left, "right": -left})
        >>> [round(result.deletion["s1"].mean(), 3) for result in results.values()]
        [0.25, 0.75]
    """
    if not isinstance(heat_maps, Mapping):
        raise TypeError(
            "heat_maps: expected a dictionary from the name of a method to its maps, got "
            f"{type(heat_maps).__name__}; for one list of maps use deletion() and insertion()."
        )
    inputs = CurveInputs.checked(images, detections, heat_maps)
    down, up = curve_settings(settings, "deletion"), curve_settings(settings, "insertion")
    runs = [CurveRun(False, down, scores), CurveRun(True, up, scores)]
    removed, added = run_curves(detector, inputs, runs, generator, perturbations_per_eval)
    return {name: DeletionInsertion(removed[name], added[name]) for name in heat_maps}
