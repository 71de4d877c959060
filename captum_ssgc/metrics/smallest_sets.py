"""The smallest part of an image that keeps a detection, and the smallest whose loss loses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from captum_ssgc._arguments import check_share, check_whole_number
from captum_ssgc._as_before import leaves_all_as_before
from captum_ssgc._patch_grid import PatchGrid, sums_of_each
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector
from captum_ssgc.metrics._curve_inputs import CurveInputs, HeatMaps
from captum_ssgc.metrics._readings import Reading, read_scores
from captum_ssgc.metrics._set_search import Found, Search, Sets, search

IOU = 0.5


@dataclass(frozen=True, eq=False)
class MinimalSets:
    """The smallest sets of patches that were found for each of ``K`` detections.

    Args:
        keeping: ``(K, H, W)`` bool, pixels that are enough: with all others black the detection is
            still found. All true where no smaller set was.
        keeping_scores: ``(K,)`` the score with only them visible.
        losing: ``(K, H, W)`` bool, pixels without which it is not found. All true where the
            detection is found on a black image, too.
        losing_scores: ``(K,)`` the score without them.
        keeping_irreducible: ``(K,)`` bool, whether the detector was seen to need every single patch
            of the set; false where ``forwards`` ended before.
        losing_irreducible: ``(K,)`` bool, the same of the other set.
        scores: ``(K,)`` the score on the whole image.
        share: of that score, that the detection is kept with.

    Example:
        >>> import torch
        >>> from captum_ssgc.metrics import MinimalSets
        >>> half = torch.tensor([[[True, False]]])
        >>> one, yes = torch.tensor([0.9]), torch.tensor([True])
        >>> MinimalSets(half, one, ~half, one, yes, yes, one, 0.5).keeping_area
        tensor([0.5000])
    """

    keeping: Tensor
    keeping_scores: Tensor
    losing: Tensor
    losing_scores: Tensor
    keeping_irreducible: Tensor
    losing_irreducible: Tensor
    scores: Tensor
    share: float

    def __len__(self) -> int:
        return self.keeping.shape[0]

    @property
    def keeping_area(self) -> Tensor:
        """``(K,)`` share of the image, in [0, 1]."""
        return self.keeping.flatten(1).float().mean(1)

    @property
    def losing_area(self) -> Tensor:
        """``(K,)`` share of the image, in [0, 1]."""
        return self.losing.flatten(1).float().mean(1)


@leaves_all_as_before
@torch.no_grad()
def minimal_sets(
    detector: Detector,
    image: Tensor,
    detections: Detections,
    heat_maps: HeatMaps,
    *,
    share: float = 0.5,
    patches: int = 4,
    forwards: int = 200,
    perturbations_per_eval: int = 16,
) -> MinimalSets:
    r"""What is enough for each detection, and what it cannot do without, in patches.

    .. math:: \min |S| : v(S) \ge \rho\, v(N), \qquad \min |S| : v(N - S) < \rho\, v(N)

    with :math:`v(S)` the best score of a candidate of the detection's class that overlaps its box
    (IoU at least 0.5) when only the pixels :math:`S` of all :math:`N` are visible, others black.

    Patches are taken in the falling order of the map's mean, as many as are needed. Then they are
    left out again one by one, those first whose loss matters least, until each of them is needed.

    Args:
        detector: from :func:`captum_ssgc.wrap_detector`.
        image: ``(1, 3, H, W)`` or ``(3, H, W)``.
        detections: ``K`` of them.
        heat_maps: ``(K, H, W)`` or ``(K, 1, H, W)``; the better the map, the smaller the sets.
        share: :math:`\rho`, in (0, 1]: of its score, with which a detection counts as kept.
        patches: along each side of the box; they grow with the distance to it.
        forwards: the most changed images for each detection, half of them for each set.
        perturbations_per_eval: changed images in one forward, of any detections.

    Returns:
        The sets with their scores. They are small, and not proven to be the smallest: only all
        sets could tell.

    Raises:
        TypeError, ValueError: for shapes or numbers that do not fit.

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> from captum_ssgc.metrics import minimal_sets
        >>> def left_half(images):   # one box, scored by the brightness of its left half
        ...     boxes = torch.tensor([[[0.0, 0.0, 16.0, 8.0]]]).expand(len(images), 1, 4)
        ...     return boxes, images[..., :8].mean((1, 2, 3)).reshape(-1, 1, 1)
        >>> detector, image = ssgc.wrap_detector(left_half), torch.ones(1, 3, 8, 16)
        >>> found, heat_map = detector.detect(image)[0], torch.linspace(1, 0, 16).expand(1, 8, 16)
        >>> sets = minimal_sets(detector, image, found, heat_map)
        >>> sets.keeping_area, sets.keeping_scores
        (tensor([0.2500]), tensor([0.5000]))
    """
    check_share("share", share)
    if share == 0.0:
        raise ValueError("share: expected more than 0, got 0.")
    for name, number in (("patches", patches), ("perturbations_per_eval", perturbations_per_eval)):
        check_whole_number(name, number)
    check_whole_number("forwards", forwards)
    inputs = CurveInputs.checked(image, detections, {"": heat_maps})
    found_here, maps = inputs.detections[0], inputs.maps[""]
    single = [found_here[row] for row in range(len(found_here))]
    looked = _Looked(detector, inputs.images, single, perturbations_per_eval)
    size = (inputs.images.shape[-2], inputs.images.shape[-1])
    everything = torch.ones(size, dtype=torch.bool, device=inputs.images.device)
    scores = looked.at([everything] * len(single), list(range(len(single))))
    boxes = found_here.boxes.tolist()
    of_each = [PatchGrid(box, size, patches, everything.device) for box in boxes]
    sums = sums_of_each(of_each, [maps[row : row + 1] for row in range(len(single))])
    grids, searches, owners = [], [], []
    for row, (grid, score) in enumerate(zip(of_each, scores.tolist(), strict=True)):
        order = (sums[row][0] / grid.areas).argsort(descending=True, stable=True)
        least = share * score
        for keeps in (True, False):
            grids.append(grid)
            owners.append(row)
            searches.append(search(order, least, keeps, forwards // 2))
    results = _run(searches, grids, owners, looked)
    kept, lost = results[::2], results[1::2]
    pixels = [one.patches.to(everything.device)[grid.index] for one, grid in zip(results, grids)]
    return MinimalSets(
        keeping=_stacked(pixels[::2], size, everything),
        keeping_scores=scores.new_tensor([one.score for one in kept]),
        losing=_stacked(pixels[1::2], size, everything),
        losing_scores=scores.new_tensor([one.score for one in lost]),
        keeping_irreducible=torch.tensor(
            [one.irreducible for one in kept], dtype=torch.bool, device=scores.device
        ),
        losing_irreducible=torch.tensor(
            [one.irreducible for one in lost], dtype=torch.bool, device=scores.device
        ),
        scores=scores,
        share=share,
    )


def _stacked(pixels: Sequence[Tensor], size: tuple[int, int], like: Tensor) -> Tensor:
    return torch.stack(list(pixels)) if pixels else like.new_zeros(0, *size)


class _Looked:
    """Scores of detections with some pixels of the one image visible."""

    def __init__(
        self, detector: Detector, images: Tensor, single: Sequence[Detections], per_eval: int
    ) -> None:
        self._detector, self._image, self._single = detector, images[0], single
        self._per_eval = per_eval
        self._reading = Reading("s1", "iou", IOU, 0.0)

    def at(self, visible: Sequence[Tensor], owners: Sequence[int]) -> Tensor:
        """``(M,)``."""
        scores = [self._image.new_zeros(0)]
        for start in range(0, len(visible), self._per_eval):
            shown = torch.stack(list(visible[start : start + self._per_eval]))
            images = torch.where(shown[:, None], self._image, torch.zeros_like(self._image))
            chosen = [self._single[row] for row in owners[start : start + self._per_eval]]
            read = read_scores(self._detector, images, chosen, [self._reading])
            scores.append(read[self._reading].to(self._image))
        return torch.cat(scores)


def _run(
    searches: Sequence[Search], grids: Sequence[PatchGrid], owners: Sequence[int], looked: _Looked
) -> list[Found]:
    """All searches side by side, so that they share batches."""
    results: dict[int, Found] = {}
    asked = {number: next(one) for number, one in enumerate(searches)}
    while asked:
        visible = [
            patches.to(grids[number].index.device)[grids[number].index]
            for number, sets in asked.items()
            for patches in sets
        ]
        rows = [owners[number] for number, sets in asked.items() for _ in sets]
        values = looked.at(visible, rows).cpu().split([len(sets) for sets in asked.values()])
        further: dict[int, Sets] = {}
        for number, given in zip(asked, values, strict=True):
            try:
                further[number] = searches[number].send(given)
            except StopIteration as stop:
                results[number] = stop.value
        asked = further
    return [results[number] for number in range(len(searches))]
