"""Does a detection rest on its object, on the surroundings, or on a neighbour?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

import torch
from torch import Tensor

from captum_ssgc._as_before import leaves_all_as_before
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector
from captum_ssgc.images import check_images
from captum_ssgc.metrics._regions import box_pixels
from captum_ssgc.metrics._reliance_figures import MapEnergy, Masks, other_pixels, scores_of_parts

Verdict = Literal["object", "surroundings", "neighbour", "object with surroundings", "cannot say"]
FILLS = ("mean", "blur", "noise")


@dataclass(frozen=True)
class RelianceThresholds:
    """From where on a figure counts.

    Args:
        alone: share of the score that has to be left when all but the box is removed, for a
            detection to rest on its object.
        without: share of the score that has to be left when the box is removed, for it to rest on
            what is around.
        neighbour: share of the map's energy on other objects, outside the own box, for what is
            around to be a neighbour.
    """

    alone: float = 0.5
    without: float = 0.5
    neighbour: float = 0.675

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0.0 < value <= 1.0:
                raise ValueError(f"{name}: expected a share in (0, 1], got {value}.")


@dataclass(frozen=True)
class Reliance:
    """What one detection rests on, with the figures that say so.

    Args:
        verdict: ``"object"``: its box suffices and is needed; ``"surroundings"``: the score stays
            without the box; ``"neighbour"``: the same, and the map lies on other objects;
            ``"object with surroundings"``: neither suffices; ``"cannot say"``.
        reason: why it cannot be said; empty otherwise.
        score: of the detection, on the image as it is.
        alone: the score of the same candidate with all but the box removed, by fill.
        without: the same with the box removed.
        energy_in_box: share of the map's energy in the box; ``None`` without a map.
        energy_on_others: share of it on other objects and not in the box.
        area_in_box: what a uniform map would have in the box.
        area_on_others: the same for the others.
        energy_in_mask: share of the map's energy in the object's mask; ``None`` without one.
    """

    verdict: Verdict
    reason: str
    score: float
    alone: Mapping[str, float]
    without: Mapping[str, float]
    energy_in_box: float | None
    energy_on_others: float | None
    area_in_box: float
    area_on_others: float
    energy_in_mask: float | None = None

    @property
    def words(self) -> str:
        """The verdict in words, without figures."""
        return in_words(self.verdict)

    def __str__(self) -> str:
        alone, without = median(self.alone.values()), median(self.without.values())
        reason = f" ({self.reason})" if self.reason else ""
        text = (
            f"{self.words}{reason}: score {self.score:.2f}, "
            f"{alone:.2f} with the box alone, {without:.2f} without it"
        )
        if self.energy_in_box is None or self.energy_on_others is None:
            return text
        in_mask = "" if self.energy_in_mask is None else f" {self.energy_in_mask:.0%} in the mask,"
        return (
            f"{text}; of the map {self.energy_in_box:.0%} in the box ({self.area_in_box:.0%} of "
            f"the image),{in_mask} {self.energy_on_others:.0%} on others "
            f"({self.area_on_others:.0%})"
        )


def in_words(verdict: str) -> str:
    """Such as ``"rests on the object"``."""
    return verdict if verdict == "cannot say" else f"rests on the {verdict}"


@leaves_all_as_before
def reliance(
    detector: Detector,
    images: Tensor,
    detections: Detections,
    heat_maps: Tensor | None = None,
    *,
    others: Sequence[Tensor] | None = None,
    masks: Masks | None = None,
    fills: Sequence[str] = FILLS,
    thresholds: RelianceThresholds | None = None,
    images_per_forward: int = 8,
) -> list[Reliance]:
    """What each detection rests on: its object, what is around, or a neighbour.

    The same candidates are scored on the image with all but the box removed, and with the box
    removed, with several fills; the median over the fills is compared with the score.

    Args:
        detector: from :func:`captum_ssgc.wrap_detector`.
        images: ``(1, 3, H, W)``, the image of the detections.
        detections: ``K`` of them; their boxes, oriented ones where there are any, are what is
            removed.
        heat_maps: ``(K, H, W)``, one per detection, to tell a neighbour; ``None``: no such verdict.
        others: for each detection the boxes ``(G_k, 4)`` of other annotated objects; ``None``: the
            boxes of the other detections.
        masks: ``(K, H, W)``, the objects' pixels, for ``energy_in_mask``; or a list of one
            ``(H, W)`` for each detection, with ``None`` where it is not known.
        fills: what removed pixels become, names of :class:`captum_ssgc.metrics.CurveSettings`:
            ``"zero"``, ``"mean"``, ``"blur"``, ``"noise"``.
        thresholds: from where on a figure counts; ``None`` for the defaults.
        images_per_forward: most changed images in one forward.

    Returns:
        One :class:`Reliance` per detection.

    Raises:
        TypeError, ValueError: for shapes, names or numbers that do not fit.

    Notes:
        It cannot be said what a detection rests on whose score is 0, whose box holds no pixel, or
        whose map is empty; nor where the score says the object and the map has no more energy in
        the box than a uniform map would have. Objects overlap: what is removed with a box takes
        its share of neighbours along. The defaults are measured, see the documentation.

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> from captum_ssgc.metrics import reliance
        >>> def cheat(images):   # two boxes, both scored by the brightness of the left one
        ...     boxes = torch.tensor([[0., 0., 8., 8.], [8., 0., 16., 8.]])
        ...     left = images[..., :8].mean((1, 2, 3))
        ...     return boxes.expand(len(images), 2, 4), torch.stack([left, left], 1)[..., None]
        >>> image = torch.cat([torch.full((1, 3, 8, 8), 0.9), torch.zeros(1, 3, 8, 8)], 3)
        >>> detector = ssgc.wrap_detector(cheat)
        >>> for one in reliance(detector, image, detector.detect(image)[0], fills=["zero"]):
        ...     print(one)
        rests on the object: score 0.90, 0.90 with the box alone, 0.00 without it
        rests on the surroundings: score 0.90, 0.00 with the box alone, 0.90 without it
    """
    thresholds = thresholds or RelianceThresholds()
    _checked(images, detections, fills, images_per_forward)
    count = len(detections)
    if not count:
        return []
    inside = box_pixels(detections).to(images.device)
    outside = other_pixels(inside, others) & ~inside
    energy = MapEnergy(heat_maps, masks, inside, outside)
    by_fill = {
        fill: scores_of_parts(
            detector, images, detections, inside, fill, images_per_forward
        ).tolist()
        for fill in fills
    }
    with torch.no_grad():
        scores = detector.score(images, detections)[0].tolist()
    reliances = []
    for row, score in enumerate(scores):
        alone = {fill: pair[0][row] for fill, pair in by_fill.items()}
        without = {fill: pair[1][row] for fill, pair in by_fill.items()}
        figures = (score, median(alone.values()), median(without.values()))
        reason = energy.problem(row) if score > 0.0 else "the score is 0"
        verdict: Verdict = "cannot say"
        if not reason:
            verdict = _verdict(figures, energy.on_neighbours(row, thresholds.neighbour), thresholds)
            if verdict == "object" and energy.contradicts(row):
                verdict, reason = "cannot say", "the map is no better than a uniform one"
        reliances.append(Reliance(verdict, reason, score, alone, without, *energy.figures(row)))
    return reliances


def _verdict(
    figures: tuple[float, float, float], on_neighbours: bool, thresholds: RelianceThresholds
) -> Verdict:
    score, alone, without = figures
    if without >= thresholds.without * score:
        return "neighbour" if on_neighbours else "surroundings"
    return "object" if alone >= thresholds.alone * score else "object with surroundings"


def _checked(
    images: Tensor, detections: Detections, fills: Sequence[str], images_per_forward: int
) -> None:
    if not isinstance(detections, Detections):
        raise TypeError(
            "detections: expected Detections, as detector.detect(images)[0] is, got "
            f"{type(detections).__name__}."
        )
    if isinstance(images, Tensor) and (images.dim() != 4 or images.shape[0] != 1):
        raise ValueError(f"images: expected (1, 3, H, W), got {tuple(images.shape)}.")
    check_images(images, None)
    size = (images.shape[-2], images.shape[-1])
    if detections.image_size != size:
        raise ValueError(f"images: expected the size {detections.image_size}, got {size}.")
    if isinstance(fills, str) or not fills:
        raise ValueError(f"fills: expected at least one name in a list, got {fills!r}.")
    if images_per_forward < 1:
        raise ValueError(f"images_per_forward: expected at least 1, got {images_per_forward}.")
