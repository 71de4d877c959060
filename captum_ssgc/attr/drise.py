"""D-RISE."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from tqdm.auto import tqdm

from captum_ssgc._arguments import check_share, check_whole_number, shown
from captum_ssgc._as_before import leaves_all_as_before
from captum_ssgc._exact import has_double
from captum_ssgc._similarity import largest_of_each_image, similarities
from captum_ssgc.attr._captum import like_inputs, log_usage
from captum_ssgc.attr._method import PerturbationMethod, names_its_options, register
from captum_ssgc.attr._own_functions import warn_of_empty
from captum_ssgc.attr._random_masks import MaskShape
from captum_ssgc.attr._targets import Targets, asked_of_examples, asked_of_image
from captum_ssgc.detections import Detections
from captum_ssgc.instance_score import InstanceScoreWrapper

Objectness = Callable[[Detections], Tensor]


@register
class DRISE(PerturbationMethod):
    r"""D-RISE: which pixels must be visible for the detector to find this object again.

    .. math::

        H = \frac{1}{N p} \sum_{i=1}^{N} w_i M_i, \quad
        w_i = \max_j \; \mathrm{IoU}(B, B_j) \; \frac{P \cdot P_j}{\|P\| \, \|P_j\|} \; O_j

    over random masks :math:`M_i`, with box :math:`B` and class scores :math:`P` of the explained
    detection, and :math:`B_j, P_j, O_j` box, class scores and objectness of the detector's
    candidates on the masked image. It needs no gradients and no layer.

    Args:
        forward_func: the wrapper, whose detector runs on the masked images.
        objectness: ``O_j`` of candidates, ``(J,)`` in [0, 1], which may be those of several masked
            images; ``None`` for 1.
        score_threshold: candidates at or below it are left out.

    Raises:
        TypeError: if ``forward_func`` is no :class:`captum_ssgc.InstanceScoreWrapper`.
        ValueError: if ``score_threshold`` is not in [0, 1].

    Notes:
        * The candidates are those before non-maximum suppression
          (:meth:`captum_ssgc.Detector.candidates_above`), so that the map does not depend on the
          threshold with which the detector was wrapped; pixels are masked with black.
        * ``O_j`` is 1, as the source says for detectors without a separate objectness;
          where class scores already contain it (YOLO), the cosine does not see it.
        * A cell is ``ceil(H / h)`` pixels high, as in the RISE source code; the paper rounds down,
          which leaves pixels uncovered where ``h`` does not divide ``H``.
        * The sum is divided by ``N p``, so that a pixel's value estimates the expected weight given
          that it is visible; the source leaves the scale open. It is not divided by how often that
          very pixel was visible, as xaitk-saliency does; the ranks of pixels that do not matter
          then follow the noise of the masks.

    References:
        V. Petsiuk et al., Black-box Explanation of Object Detectors via Saliency Maps, CVPR 2021,
        arXiv:2006.03204. V. Petsiuk, A. Das, K. Saenko, RISE: Randomized Input Sampling for
        Explanation of Black-box Models, BMVC 2018, arXiv:1806.07421.

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> def one_box(images):   # a detector without gradients is enough
        ...     boxes = torch.tensor([[[0.0, 0.0, 8.0, 8.0]]]).expand(len(images), 1, 4)
        ...     return boxes, images[..., :8].mean((1, 2, 3)).reshape(-1, 1, 1).round(decimals=1)
        >>> image = torch.ones(1, 3, 8, 16)
        >>> detector = ssgc.wrap_detector(one_box, score_threshold=0.5)
        >>> wrapper = ssgc.InstanceScoreWrapper(detector, detector.detect(image)[0])
        >>> heat_map = ssgc.DRISE(wrapper).attribute(
        ...     image, target=0, n_masks=200, grid=(2, 4), perturbations_per_eval=50,
        ...     generator=torch.Generator().manual_seed(0))
        >>> bool(heat_map[..., :8].mean() > heat_map[..., 8:].mean())
        True
    """

    name, title = "d-rise", "D-RISE"
    of_settings: ClassVar[Mapping[str, str]] = {"n_masks": "drise_masks", "grid": "drise_grid"}
    warns_itself = True

    def __init__(
        self,
        forward_func: InstanceScoreWrapper,
        objectness: Objectness | None = None,
        score_threshold: float = 0.05,
    ) -> None:
        super().__init__(forward_func)
        check_share("score_threshold", score_threshold)
        self._wrapper = forward_func
        self.objectness, self.score_threshold = objectness, score_threshold

    @classmethod
    def check_values(cls, options: Mapping[str, Any]) -> None:
        """Raise for a number of masks, a grid or a probability that cannot be."""
        check_whole_number("n_masks", options.get("n_masks", 1))
        MaskShape((1, 1), options.get("grid", (1, 1)), options.get("probability", 1.0))

    @names_its_options
    @leaves_all_as_before
    @log_usage()
    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        target: Any = None,
        additional_forward_args: Any = None,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
        *,
        n_masks: int = 5000,
        grid: tuple[int, int] = (16, 16),
        probability: float = 0.5,
        generator: torch.Generator | None = None,
    ) -> Any:
        """Attribute one detection per example; all examples see the same masks.

        Args:
            inputs: ``(N, 3, H, W)``.
            target: index of the detection, or one per example.
            additional_forward_args: the wrapper's ``image_index`` where it has several reference
                images.
            perturbations_per_eval: masks per call of the detector, which then sees
                ``perturbations_per_eval * N`` images; the result does not depend on it, but for the
                last digits, in which a network may differ from one batch size to another.
            show_progress: show a progress bar.
            n_masks: number of masks; no memory is kept for them.
            grid: ``(h, w)`` cells of a mask before it is upsampled.
            probability: that a cell is visible, in (0, 1].
            generator: seeds the masks; ``None`` for torch's default generator.

        Returns:
            ``(N, 1, H, W)`` in image pixels, values >= 0 and not normalised; in a tuple where
            ``inputs`` is one.

        Raises:
            IndexError: if ``target`` is out of range.
            ValueError, TypeError: for a wrong target or option.
        """
        asked = asked_of_examples(self._wrapper, inputs, target, additional_forward_args)
        images, instances = asked.images, asked.instances
        shape = MaskShape((images.shape[-2], images.shape[-1]), grid, probability)
        each = [instances[row] for row in range(len(instances))]
        heat_maps = self._heat_maps(
            images, each, shape, n_masks, perturbations_per_eval, show_progress, generator
        )
        result = torch.cat(heat_maps)
        _warn_if_never_found(result, n_masks)
        return like_inputs(inputs, result)

    @names_its_options
    @leaves_all_as_before
    def attribute_instances(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        targets: Targets = None,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
        *,
        n_masks: int = 5000,
        grid: tuple[int, int] = (16, 16),
        probability: float = 0.5,
        generator: torch.Generator | None = None,
    ) -> Any:
        """Attribute many detections of one image, with the same masks and forwards for all.

        Args:
            inputs: ``(1, 3, H, W)``, the reference image; in a tuple, so is what comes back.
            targets: index of a detection, or a list or 1-D tensor of several; ``None`` for all.
            perturbations_per_eval: masked images per call of the detector.
            show_progress: show a progress bar.
            n_masks: number of masks.
            grid: ``(h, w)`` cells of a mask before it is upsampled.
            probability: that a cell is visible, in (0, 1].
            generator: seeds the masks; ``None`` for torch's default generator.

        Returns:
            ``(K, 1, H, W)`` in image pixels; row ``i`` is what :meth:`attribute` gives for
            ``targets[i]`` with the same masks.

        Raises:
            IndexError, TypeError, ValueError: as :meth:`attribute`.
        """
        asked = asked_of_image(self._wrapper, inputs, targets)
        size = (asked.images.shape[-2], asked.images.shape[-1])
        [heat_maps] = self._heat_maps(
            asked.images,
            [asked.instances],
            MaskShape(size, grid, probability),
            n_masks,
            perturbations_per_eval,
            show_progress,
            generator,
        )
        _warn_if_never_found(heat_maps, n_masks)
        return like_inputs(inputs, heat_maps)

    @torch.no_grad()
    def _heat_maps(
        self,
        images: Tensor,
        instances: Sequence[Detections],
        shape: MaskShape,
        n_masks: int,
        per_eval: int,
        show_progress: bool,
        generator: torch.Generator | None,
    ) -> list[Tensor]:
        """For each image the maps of its instances, ``(K, 1, H, W)``."""
        for name, number in (("n_masks", n_masks), ("perturbations_per_eval", per_eval)):
            check_whole_number(name, number)
        if generator is not None and not isinstance(generator, torch.Generator):
            raise TypeError(
                f"generator: expected a torch.Generator or None, got {shown(generator)}."
            )
        detector = self._wrapper.detector
        compared = partial(similarity, objectness=self.objectness)
        sums = torch.float64 if has_double(images.device) else torch.float32
        totals = [
            torch.zeros(len(one), *shape.size, dtype=sums, device=images.device)
            for one in instances
        ]
        with tqdm(total=n_masks, desc="D-RISE", disable=not show_progress) as progress:
            for done in range(0, n_masks, per_eval):
                cells, shifts = shape.draw(min(per_eval, n_masks - done), generator)
                masks = shape.upsample(cells.to(images.device), shifts)
                masked = images[:, None] * masks[None].to(images.dtype)
                raw = detector.run(masked.flatten(0, 1))
                candidates = detector.candidates_above(raw, self.score_threshold)
                for row, (instance, total) in enumerate(zip(instances, totals, strict=True)):
                    own = candidates[row * len(masks) : (row + 1) * len(masks)]
                    weights = largest_of_each_image(compared, instance, own)
                    total += torch.einsum("pk,phw->khw", weights.to(total), masks[:, 0].to(sums))
                progress.update(len(masks))
        dtype = torch.promote_types(images.dtype, torch.float32)
        return [(one / (n_masks * shape.probability)).to(dtype)[:, None] for one in totals]


def similarity(
    instances: Detections, found: Detections, objectness: Objectness | None = None
) -> Tensor:
    """``IoU(B, B_j) cos(P, P_j) O_j`` of each instance and each candidate, ``(K, J)`` in [0, 1]."""
    weights = similarities(instances, found)
    if objectness is None or not len(found):
        return weights
    given: Any = objectness(found)
    if not isinstance(given, Tensor) or given.shape != (len(found),):
        raise ValueError(
            f"objectness: expected ({len(found)},), one for each candidate, got {shown(given)}."
        )
    return weights * given.detach().to(weights)


def _warn_if_never_found(maps: Tensor, n_masks: int) -> None:
    warn_of_empty(
        DRISE.title,
        maps.flatten(1).abs().amax(1).tolist(),
        lambda: "scores of the detector, or the objectness, are not",
        lambda _: (
            f"on none of {n_masks} masked images had the detector a candidate that overlaps the "
            "detection: lower score_threshold, or raise probability or n_masks"
        ),
    )
