"""Refined CAM: the order of a gradient map's pixels, corrected by a few changed images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from captum_ssgc._arguments import check_share, check_whole_number, shown
from captum_ssgc._as_before import leaves_all_as_before
from captum_ssgc._outputs import of_rows
from captum_ssgc.attr._captum import like_inputs, log_usage
from captum_ssgc.attr._layer_method import LayerMethod
from captum_ssgc.attr._layers import LayerChoice, Layers
from captum_ssgc.attr._method import (
    Method,
    PerturbationMethod,
    method_named,
    names_its_options,
    register,
)
from captum_ssgc.attr._recording import recording
from captum_ssgc.attr._refinement import refined, rounds_of
from captum_ssgc.attr._targets import Targets, asked_of_examples, asked_of_image
from captum_ssgc.attr._visible_scores import VisibleScores
from captum_ssgc.detections import Detections
from captum_ssgc.instance_score import InstanceScoreWrapper

PRIOR = "ssgrad-cam+-"  # whose map has the most energy in the object, and no ties


@register
class RefinedCAM(PerturbationMethod):
    r"""A gradient map whose pixels are put in the order in which the detector needs them.

    Deletion and Insertion look at the order of a map's pixels alone. With :math:`v(S)` for the
    score of a detection when only the pixels :math:`S` are visible, and :math:`T_s` for the first
    pixels of an order, a share :math:`s` of all :math:`N`, the better order has the larger

    .. math:: \sum_s v(T_s) - v(N - T_s),

    Insertion less Deletion. The sets :math:`T_s` are found one after the other,
    :math:`s = 0.1, 0.2, 0.3, 0.5, 0.7`, each holding the one before: a few are proposed, each
    is shown to the detector twice (it alone, and all but it), and the best is kept. Proposals
    come from the map as it is, smoothed, and joined with the nearness to the box, and from an
    additive model of what patches are worth, fitted to all that was seen so far. A set that
    loses to the map itself in Deletion or Insertion, for its own candidate or for any, is punished.

    Args:
        forward_func: the wrapper, whose detector runs on the changed images.
        layer: where the gradient map is made: a module, its name, or several; ``None``: the
            detector's recommended layer of each detection.
        score_threshold: candidates at or below it are nothing that was found.

    Raises:
        TypeError: if ``forward_func`` is no :class:`captum_ssgc.InstanceScoreWrapper`.
        ValueError: if ``score_threshold`` is not in [0, 1].

    Notes:
        * The values are those of the gradient map, dealt out anew in the order that was found, so
          that its energy is kept; pixels above 0.9 of its maximum stay first, so that its peak is.
          From the first pixel to the last, 0.00001 of the maximum is added, falling: no two
          pixels are tied.
        * It is made for the measures named above, and its figures in them are no independent
          proof. Those on annotations and on planted evidence are.
        * A changed image is black where it is not visible, as in D-RISE.
        * Inspired by patch-wise searches (VX-CODE, PhaseWin), which need many more forwards; the
          search by shares and proposals is this package's own.

    References:
        T. Yamauchi et al., Explaining Object Detectors via Collective Contribution of Pixels, 2024,
        arXiv:2412.00666. PhaseWin, 2025, arXiv:2511.10914.

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> def one_box(images):   # without gradients, it starts from the box alone
        ...     boxes = torch.tensor([[[0.0, 0.0, 8.0, 8.0]]]).expand(len(images), 1, 4)
        ...     return boxes, images[..., :4].mean((1, 2, 3)).reshape(-1, 1, 1)
        >>> image = torch.ones(1, 3, 8, 16)
        >>> detector = ssgc.wrap_detector(one_box, score_threshold=0.5)
        >>> wrapper = ssgc.InstanceScoreWrapper(detector, detector.detect(image)[0])
        >>> heat_map = ssgc.RefinedCAM(wrapper).attribute(image, target=0, prior=None, forwards=40)
        >>> bool(heat_map[..., :4].mean() > heat_map[..., 4:8].mean())
        True
    """

    name, title = "refined-cam", "Refined CAM"

    def __init__(
        self,
        forward_func: InstanceScoreWrapper,
        layer: LayerChoice | None = None,
        score_threshold: float = 0.05,
    ) -> None:
        super().__init__(forward_func)
        check_share("score_threshold", score_threshold)
        self._wrapper = forward_func
        self.layer, self.score_threshold = layer, score_threshold

    @classmethod
    def option_names(cls) -> list[str]:
        """The arguments of :meth:`attribute_instances` but the map that it starts from."""
        return [name for name in super().option_names() if name != "prior_maps"]

    @classmethod
    def recorded(cls, options: Mapping[str, Any]) -> type[LayerMethod] | None:
        """The method of the map that it starts from; ``None`` for none."""
        return _prior_method(options.get("prior", PRIOR))

    @classmethod
    def options_without_layer(cls) -> Mapping[str, Any]:
        """No map to start from."""
        return {"prior": None}

    @classmethod
    def check_values(cls, options: Mapping[str, Any]) -> None:
        """Raise for values that are none of this method's."""
        cls.recorded(options)
        rounds_of(options.get("forwards", 100))
        check_whole_number("patches", options.get("patches", 4))

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
        prior: str | None = PRIOR,
        forwards: int = 100,
        patches: int = 4,
        generator: torch.Generator | None = None,
    ) -> Any:
        """Attribute one detection per example.

        Args:
            inputs: ``(N, 3, H, W)``.
            target: index of the detection, or one per example.
            additional_forward_args: the wrapper's ``image_index`` where it has several reference
                images.
            perturbations_per_eval: changed images per call of the detector; the result does not
                depend on it, but for the last digits.
            show_progress: show a progress bar.
            prior: name of the gradient method whose map is refined; ``None``: the box alone, for a
                detector without gradients.
            forwards: the most changed images for each detection, each of which the detector sees
                once; 0: the prior's own order, and by nearness to the box where it is zero.
            patches: of the additive model along each side of the box.
            generator: of the proposals; ``None`` for one seeded with 0.

        Returns:
            ``(N, 1, H, W)`` in image pixels, values >= 0 and not normalised, no two of them tied
            but for rounding; in a tuple where ``inputs`` is one.

        Raises:
            IndexError: if ``target`` is out of range.
            ValueError, TypeError: for a wrong target or option.
        """
        asked = asked_of_examples(self._wrapper, inputs, target, additional_forward_args)
        images, instances, indices = asked.images, asked.instances, asked.indices
        rows = range(len(instances))
        single = [slice(row, row + 1) for row in rows]
        priors = [
            self._prior(prior, images[row], instances[row], indices[row], None) for row in single
        ]
        heat_maps = self._refined(
            images, list(rows), instances, torch.cat(priors), forwards, patches,
            perturbations_per_eval, show_progress, generator,
        )  # fmt: skip
        return like_inputs(inputs, heat_maps)

    @names_its_options
    @leaves_all_as_before
    def attribute_instances(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        targets: Targets = None,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
        *,
        prior: str | None = PRIOR,
        forwards: int = 100,
        patches: int = 4,
        generator: torch.Generator | None = None,
        prior_maps: Tensor | None = None,
    ) -> Any:
        """Attribute many detections of one image, whose changed images share batches.

        Args:
            inputs: ``(1, 3, H, W)``, the reference image; in a tuple, so is what comes back.
            targets: index of a detection, or a list or 1-D tensor of several; ``None`` for all.
            perturbations_per_eval: changed images per call of the detector, of any detections.
            show_progress: show a progress bar.
            prior: name of the gradient method whose map is refined; ``None``: the box alone.
            forwards: the most changed images for each detection.
            patches: of the additive model along each side of the box.
            generator: of the proposals; ``None`` for one seeded with 0.
            prior_maps: ``(K, H, W)``, maps of the ``prior`` where they are there already.

        Returns:
            ``(K, 1, H, W)`` in image pixels.

        Raises:
            IndexError, TypeError, ValueError: as :meth:`attribute`.
        """
        asked = asked_of_image(self._wrapper, inputs, targets)
        images, instances = asked.images, asked.instances
        heat_maps = self._refined(
            images, [0] * len(instances), instances,
            self._prior(prior, images, instances, asked.indices, prior_maps), forwards, patches,
            perturbations_per_eval, show_progress, generator,
        )  # fmt: skip
        return like_inputs(inputs, heat_maps)

    def _prior(
        self,
        prior: str | None,
        image: Tensor,
        instances: Detections,
        indices: Sequence[int],
        given: Tensor | None,
    ) -> Tensor:
        """``(K, H, W)`` >= 0; zeros where there is none."""
        method = _prior_method(prior)
        shape = (len(instances), *image.shape[-2:])
        if given is not None:
            if tuple(given.shape) != shape:
                raise ValueError(f"prior_maps: expected {shape}, got {tuple(given.shape)}.")
            return given.detach()
        if method is None:
            return image.new_zeros(shape)
        detector = self._wrapper.detector
        output = of_rows(self._wrapper.output, list(indices))
        layers = Layers.of_detector(detector, self.layer)
        with (
            torch.inference_mode(False),
            recording(detector, layers, image, instances, outputs=[output]) as run,
        ):
            [made] = run.heat_maps([method.request({}, output)], instances)
            return made.heat_maps().detach()

    def _refined(
        self,
        images: Tensor,
        owners: Sequence[int],
        instances: Detections,
        priors: Tensor,
        forwards: int,
        patches: int,
        per_eval: int,
        show_progress: bool,
        generator: torch.Generator | None,
    ) -> Tensor:
        total = 2 * sum(count for _, count in rounds_of(forwards)) * len(instances)
        for name, number in (("patches", patches), ("perturbations_per_eval", per_eval)):
            check_whole_number(name, number)
        if generator is None:
            generator = torch.Generator(device="cpu").manual_seed(0)
        elif not isinstance(generator, torch.Generator):
            raise TypeError(
                f"generator: expected a torch.Generator or None, got {shown(generator)}."
            )
        priors = priors.to(torch.promote_types(priors.dtype, torch.float32))
        with tqdm(total=total, desc=self.title, disable=not show_progress) as progress:
            scores = VisibleScores(
                self._wrapper.detector, images, self.score_threshold, per_eval, progress.update
            )
            return refined(scores, priors, owners, instances, forwards, patches, generator)


def _prior_method(name: str | None) -> type[LayerMethod] | None:
    if name is None:
        return None
    method: type[Method] = method_named(name)
    if not issubclass(method, LayerMethod):
        raise ValueError(f"prior: expected a method made of gradients or None, got {name!r}.")
    return method
