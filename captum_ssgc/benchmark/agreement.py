"""How maps agree with what is known: pointing games and evidence energy for matched detections."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from captum_ssgc.benchmark.sources import Case
from captum_ssgc.metrics import energy_pointing_game, evidence_energy, pointing_game


@dataclass(frozen=True, eq=False)
class Known:
    """Something known about some of the detections.

    Args:
        places: of these among the detections.
        region: for each of them a box ``(P, 4)`` or pixels ``(P, H, W)``.
    """

    places: list[int]
    region: Tensor

    def spread(self, values: Tensor, count: int) -> Tensor:
        """``(count,)``: values at their places, NaN elsewhere."""
        result = values.new_full((count,), math.nan)
        result[self.places] = values
        return result


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known about ``count`` detections; ``problems`` says what could not be read."""

    count: int
    boxes: Known
    masks: Known
    evidence: Known
    problems: tuple[str, ...]


def truth_of(case: Case, annotations: Sequence[int | None]) -> Truth:
    """What the annotations say.

    Args:
        case: the image.
        annotations: for each detection the row of its annotation, or ``None``.
    """
    places = [place for place, row in enumerate(annotations) if row is not None]
    own = [row for row in annotations if row is not None]
    size = tuple(case.image.shape[-2:])
    problems: list[str] = []
    return Truth(
        count=len(annotations),
        boxes=Known(places, case.boxes[own]),
        masks=_pixels(case.mask, annotations, size, problems),
        evidence=_pixels(case.evidence, annotations, size, problems),
        problems=tuple(problems),
    )


def agreement(metrics: Collection[str], heat_maps: Tensor, truth: Truth) -> dict[str, Tensor]:
    """The columns of these metrics.

    Args:
        metrics: their names.
        heat_maps: ``(K, H, W)`` on the CPU.
        truth: of the ``K`` detections.

    Returns:
        By column ``(K,)`` in [0, 1]; NaN for detections about which nothing is known.
    """
    columns = {}
    for metric, short, game in (
        ("pointing-game", "p", pointing_game),
        ("energy-pointing-game", "ep", energy_pointing_game),
    ):
        if metric in metrics:
            boxes, masks = truth.boxes, truth.masks
            on_boxes = game(heat_maps[boxes.places], boxes=boxes.region).values
            on_masks = game(heat_maps[masks.places], masks=masks.region).values
            columns[f"{short}_b"] = boxes.spread(on_boxes, truth.count)
            columns[f"{short}_m"] = masks.spread(on_masks, truth.count)
    if "evidence-energy" in metrics:
        evidence = truth.evidence
        shares = evidence_energy(heat_maps[evidence.places], evidence.region).values
        columns["evidence"] = evidence.spread(shares, truth.count)
    return columns


def _pixels(
    read: Callable[[int], Tensor | None],
    annotations: Sequence[int | None],
    size: tuple[int, ...],
    problems: list[str],
) -> Known:
    places, masks = [], []
    for place, row in enumerate(annotations):
        try:
            pixels = None if row is None else read(row)
        except ValueError as error:
            problems.append(str(error))
            continue
        if pixels is not None and bool(pixels.any()):
            places.append(place)
            masks.append(pixels)
    known = torch.stack(masks) if masks else torch.zeros(0, *size, dtype=torch.bool, device="cpu")
    return Known(places, known)
