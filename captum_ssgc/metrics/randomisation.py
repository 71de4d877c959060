"""Does a map depend on what the detector has learnt? Parameters made random, maps compared."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from captum_ssgc._as_before import leaves_all_as_before
from captum_ssgc._hooks import forward_hooks
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector, outside_inference_mode
from captum_ssgc.instance_score import InstanceScoreWrapper
from captum_ssgc.metrics._heat_maps import as_maps, positive_shape
from captum_ssgc.metrics.map_scores import MapScores
from captum_ssgc.metrics.map_similarity import rank_correlation, structural_similarity

_NONE = (
    "the detector has no parameters that could be made random: the check needs a model in PyTorch, "
    "not a function or a service."
)
Explain = Callable[[InstanceScoreWrapper], Tensor]
FAINT = 0.01  # of a map's maximum; what is below it only orders pixels, such as a halo


@dataclass(frozen=True, eq=False)
class Randomisation:
    """How maps changed while parameters became random, step by step.

    Args:
        modules: ``S`` counts: how many modules had been randomised, the head's first.
        last: ``S`` names, of the last of these modules.
        rank_correlation: ``(S, K)`` with the map before, see
            :func:`captum_ssgc.metrics.rank_correlation`; 0 where the map has become empty.
        ssim: ``(S, K)``, see :func:`captum_ssgc.metrics.structural_similarity`.
        valid: ``(K,)`` bool, false for a map that was empty before; its values are 1, the worst.
    """

    modules: tuple[int, ...]
    last: tuple[str, ...]
    rank_correlation: Tensor
    ssim: Tensor
    valid: Tensor

    def at_end(self) -> MapScores:
        """The SSIM when all parameters are random, ``(K,)``; **lower is better**."""
        return MapScores(self.ssim[-1], self.valid, False)

    def passed(self, most: float = 0.9) -> Tensor:
        """``(K,)`` bool: the map is valid, and its SSIM when all is random is at most ``most``.

        The default lies between what gradients give and what the image alone gives, as measured on
        the detector in the box, see :doc:`/metrics`.
        """
        return self.valid & (self.ssim[-1] <= most)


@leaves_all_as_before
def parameter_randomisation(
    detector: Detector, image: Tensor, detections: Detections, explain: Explain, *, seed: int = 0
) -> Randomisation:
    """The sanity check of a map: it has to change when the detector forgets what it has learnt.

    The parameters of a copy of the detector are made random from the head down, the entries of each
    in a random order; after 1, 2, 4, 8, ... and finally all modules the same candidates are
    explained again. A method whose map stays as it was shows the image, not the detector.

    Args:
        detector: stays as it is.
        image: ``(1, 3, H, W)``.
        detections: ``K`` of them, which name candidates.
        explain: from a wrapper of these detections to their maps ``(K, H, W)`` or ``(K, 1, H, W)``
            for ``image``. It is called with a wrapper of the detector, and then of the copies.
        seed: of the random orders.

    Returns:
        The similarity to the map before, after each step; **lower is better**.

    Raises:
        ValueError: if the detector has no parameters, or its scores do not depend on them.

    Notes:
        * The cost is one map, and one forward, for each step: about log2 of the number of modules.
        * Modules are taken in the reverse of the order in which they run; the source goes
          layer by layer, which for a hundred layers costs a hundred maps.
        * Parameters keep their values in another order, where the source draws new ones: the scale
          of the activations stays, so that maps change for what was learnt and not for its size.
          Buffers (running means, frozen normalisation) stay.

    References:
        J. Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018, arXiv:1810.03292; for
        detectors D. C. Padmanabhan et al., Sanity Checks for Saliency Methods Explaining Object
        Detectors, xAI 2023, arXiv:2306.02424.

    Example:
        >>> import torch
        >>> from captum_ssgc.detectors import CandidateDetector
        >>> from captum_ssgc.metrics import parameter_randomisation
        >>> _ = torch.manual_seed(0)
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 8), torch.nn.Sigmoid()).eval()
        >>> box = torch.tensor([[[0.0, 0.0, 8.0, 8.0]]])
        >>> detector = CandidateDetector(
        ...     network, decode=lambda out: (box, out.flatten(2).mT), score_threshold=0.0)
        >>> image = torch.rand(1, 3, 8, 8)
        >>> def brightness(wrapper):   # a "map" that has seen no detector
        ...     return image.mean(1)
        >>> found = detector.detect(image)[0][:1]
        >>> parameter_randomisation(detector, image, found, brightness).passed()
        tensor([False])
    """
    with outside_inference_mode():
        wrapper = InstanceScoreWrapper(detector, detections)
        before = as_maps(explain(wrapper))
        if len(before) != len(detections):
            raise ValueError(
                f"explain: expected {len(detections)} maps, one per detection, got {len(before)}."
            )
        counts, names, ranks, ssims = [], [], [], []
        for count, name, changed in randomised(detector, image, seed):
            wrapper = InstanceScoreWrapper(changed, detections)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # maps of a random detector are empty
                after = as_maps(explain(wrapper)).to(before.device)
            counts.append(count)
            names.append(name)
            seen, left = _without_faint(before), _without_faint(after)
            ranks.append(_worst_where_empty(before, rank_correlation(seen, left)))
            ssims.append(left_of_map(before, after))
        _check_changed(detector, changed, image, detections)
    return Randomisation(
        tuple(counts),
        tuple(names),
        torch.stack([one.values for one in ranks]),
        torch.stack([one.values for one in ssims]),
        ranks[-1].valid,
    )


def left_of_map(before: Tensor, after: Tensor) -> MapScores:
    """What is left of maps when parameters have become random, as SSIM; **lower is better**.

    Values below a hundredth of a map's maximum count as zero: a halo or a ramp, which only orders
    the pixels around a map, is alike whatever the detector knows.

    Args:
        before: ``(K, H, W)`` or ``(K, 1, H, W)``.
        after: of the same shape, of the same detections and another model.

    Returns:
        Values ``(K,)``; 1, and not ``valid``, for a map that pointed nowhere before: it has nothing
        that could change. 0 for one that points nowhere any more.

    Raises:
        TypeError, ValueError: for shapes that do not fit.
    """
    maps = as_maps(before)
    similarity = structural_similarity(_without_faint(maps), _without_faint(as_maps(after)))
    return _worst_where_empty(maps, similarity)


def _without_faint(maps: Tensor) -> Tensor:
    sizes = maps.abs()
    return torch.where(sizes < FAINT * sizes.amax((-2, -1), keepdim=True), 0.0, maps)


def _worst_where_empty(before: Tensor, similarity: MapScores) -> MapScores:
    valid = positive_shape(before)[1].to(similarity.values.device)  # which may be the host
    return MapScores(torch.where(valid, similarity.values, 1.0), valid, False)


def randomised_copy(detector: Detector, seed: int = 0) -> Detector:
    """A copy of a detector with the entries of every parameter in a random order.

    Args:
        detector: stays as it is.
        seed: of the random orders.

    Raises:
        ValueError: if the detector has no parameters.
    """
    changed = _copied(detector)
    generator = torch.Generator().manual_seed(seed)
    parameters = list(changed.model.parameters())
    if not parameters:
        raise ValueError(_NONE)
    for parameter in parameters:
        _shuffle(parameter, generator)
    return changed


def _copied(detector: Detector) -> Detector:
    with outside_inference_mode():  # no gradient passes through what was made in it
        return copy.deepcopy(detector)


def randomised(
    detector: Detector, image: Tensor, seed: int = 0
) -> Iterator[tuple[int, str, Detector]]:
    """One copy of a detector with more and more random parameters, from the head down.

    Yields:
        How many modules are random (1, 2, 4, ..., all), the name of the last one, and the copy,
        which the next step changes.

    Raises:
        ValueError: if the detector has no parameters.
    """
    changed = _copied(detector)
    modules = _from_the_head(changed, image)
    generator = torch.Generator().manual_seed(seed)
    done: set[int] = set()
    for count, (name, module) in enumerate(modules, start=1):
        for parameter in module.parameters(recurse=False):
            if id(parameter) not in done:  # one that modules share is shuffled once
                done.add(id(parameter))
                _shuffle(parameter, generator)
        if count == len(modules) or count & (count - 1) == 0:
            yield count, name, changed


@torch.no_grad()
def _shuffle(parameter: Tensor, generator: torch.Generator) -> None:
    order = torch.randperm(parameter.numel(), generator=generator, device="cpu").to(
        parameter.device
    )
    parameter.copy_(parameter.reshape(-1)[order].reshape(parameter.shape))


@torch.no_grad()
def _from_the_head(detector: Detector, image: Tensor) -> list[tuple[str, nn.Module]]:
    """The modules with parameters of their own; that whose last call begins last comes first.

    One that is not called by itself (a part of ``nn.MultiheadAttention``) runs with the module that
    holds it; what does not run at all comes last.
    """
    begun: dict[nn.Module, None] = {}

    def note(module: nn.Module, inputs: object) -> None:
        begun.pop(module, None)
        begun[module] = None  # dictionaries keep the order in which entries are made

    named = list(detector.model.named_modules())
    hooked = [module for _, module in named if not isinstance(module, torch.jit.ScriptModule)]
    with forward_hooks(before=dict.fromkeys(hooked, note)):
        detector.run(image)
    order = {module: place for place, module in enumerate(begun)}
    when: dict[str, int] = {}
    for name, module in named:  # a module comes after the one that holds it
        outer = when.get(name.rpartition(".")[0], 0) if name else 0
        when[name] = order.get(module, outer)
    with_own = [
        (when[name], place, module)
        for place, (name, module) in enumerate(named)
        if any(True for _ in module.parameters(recurse=False))
    ]
    if not with_own:
        raise ValueError(_NONE)
    with_own.sort(key=lambda entry: entry[:2], reverse=True)
    return [(detector.layer_name(module), module) for _, _, module in with_own]


@torch.no_grad()
def _check_changed(
    detector: Detector, changed: Detector, image: Tensor, detections: Detections
) -> None:
    before = detector.score(image, detections, "logit")
    if torch.equal(before, changed.score(image, detections, "logit")):
        raise ValueError(
            "the scores are what they were when all parameters of detector.model are random: the "
            "detector's function uses another model; give that one to wrap_detector."
        )
