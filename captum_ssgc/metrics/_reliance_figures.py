"""The figures that say what a detection rests on: scores of changed images, energy of maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from captum_ssgc._box_pixels import pixels_in_boxes
from captum_ssgc._exact import has_double, sent
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector
from captum_ssgc.metrics._baselines import baseline_images
from captum_ssgc.metrics._heat_maps import as_maps, positive_shape
from captum_ssgc.metrics._regions import check_groups, check_masks
from captum_ssgc.metrics.curve_settings import CurveSettings

Masks = Tensor | Sequence[Tensor | None]


class MapEnergy:
    """Where the energy of the maps lies.

    Args:
        heat_maps: ``(K, H, W)``, or ``None``.
        masks: ``(K, H, W)``, or ``(H, W)`` for each, ``None`` for those without one; or ``None``.
        inside: ``(K, H, W)`` bool, the boxes.
        others: ``(K, H, W)`` bool, other objects outside of them.
    """

    def __init__(
        self, heat_maps: Tensor | None, masks: Masks | None, inside: Tensor, others: Tensor
    ) -> None:
        if not has_double(inside.device):
            inside, others = inside.cpu(), others.cpu()
        count, size = len(inside), (inside.shape[1], inside.shape[2])
        self._areas = [region.double().mean((1, 2)).tolist() for region in (inside, others)]
        self._shares: list[list[float]] | None = None
        self._in_mask: dict[int, float] = {}
        self._valid = [True] * count
        known = {} if masks is None else _masks_by_row(masks, count, size)
        if masks is not None and heat_maps is None:
            raise ValueError("masks: expected heat_maps beside them.")
        if heat_maps is None:
            return
        maps = sent(as_maps(heat_maps), inside.device)
        if maps.shape != inside.shape:
            expected, got = tuple(inside.shape), tuple(maps.shape)
            raise ValueError(f"heat_maps: expected shape {expected}, got {got}.")
        shape, valid = positive_shape(maps)
        self._valid = valid.tolist()
        total = shape.double().sum((1, 2)).clamp(min=1e-30)
        self._shares = [
            ((shape.double() * one).sum((1, 2)) / total).tolist() for one in (inside, others)
        ]
        if known:
            rows, pixels = list(known), torch.stack(list(known.values())).to(inside.device)
            in_masks = (shape[rows].double() * pixels).sum((1, 2)) / total[rows]
            self._in_mask = dict(zip(rows, in_masks.tolist(), strict=True))

    def problem(self, row: int) -> str:
        """Why nothing can be said; empty where something can."""
        if self._areas[0][row] == 0.0:
            return "the box holds no pixel of the image"
        return "" if self._valid[row] else "the map is empty or not finite"

    def on_neighbours(self, row: int, at_least: float) -> bool:
        """Whether the map lies on other objects, more than a uniform one would."""
        if self._shares is None:
            return False
        share = self._shares[1][row]
        return share >= at_least and share > self._areas[1][row]

    def contradicts(self, row: int) -> bool:
        """Whether the map has no more energy in the box than a uniform one."""
        return self._shares is not None and self._shares[0][row] <= self._areas[0][row]

    def figures(self, row: int) -> tuple[float | None, float | None, float, float, float | None]:
        """In the order of :class:`Reliance`."""
        in_box, on_others = (None, None) if self._shares is None else (
            self._shares[0][row], self._shares[1][row],
        )  # fmt: skip
        in_mask = self._in_mask.get(row)
        return in_box, on_others, self._areas[0][row], self._areas[1][row], in_mask


def _masks_by_row(masks: Masks, count: int, size: tuple[int, int]) -> dict[int, Tensor]:
    if isinstance(masks, Tensor):
        return dict(enumerate(check_masks(masks, count, size, "masks")))
    if len(masks) != count:
        raise ValueError(
            f"masks: expected one, or None, for each of {count} detections, got {len(masks)}."
        )
    return {
        row: check_masks(one[None] if isinstance(one, Tensor) else one, 1, size, f"masks[{row}]")[0]
        for row, one in enumerate(masks)
        if one is not None
    }


def scores_of_parts(
    detector: Detector,
    images: Tensor,
    detections: Detections,
    inside: Tensor,
    fill: str,
    images_per_forward: int,
) -> Tensor:
    """``(2, K)``: each candidate's score with its box alone, and without it."""
    generator = torch.Generator().manual_seed(0)
    removed = baseline_images(images, CurveSettings(baseline=fill), generator)
    keeps = torch.cat([inside, ~inside])[:, None]
    rows = list(range(len(inside))) * 2
    scores = []
    for start in range(0, len(rows), images_per_forward):
        part = slice(start, start + images_per_forward)
        changed = torch.where(keeps[part], images, removed)
        with torch.no_grad():
            scores.append(detector.score(changed, [detections[row] for row in rows[part]])[:, 0])
    return torch.cat(scores).reshape(2, -1)


def other_pixels(inside: Tensor, others: Sequence[Tensor] | None) -> Tensor:
    """``(K, H, W)`` bool: the pixels of other objects.

    Args:
        inside: ``(K, H, W)`` bool, the pixels of each detection's own box.
        others: for each detection the boxes of other objects; ``None``: of the other detections.
    """
    count, size = len(inside), (inside.shape[1], inside.shape[2])
    if others is None:
        rows = [[one for one in range(count) if one != row] for row in range(count)]
        return torch.stack([inside[one].any(0) for one in rows])
    if len(others) != count:
        raise ValueError(
            f"others: expected boxes for each of {count} detections, got {len(others)}."
        )
    groups = check_groups(
        [one.to(inside.device) if isinstance(one, Tensor) else one for one in others],
        [len(one) for one in others],
    )
    return torch.stack([pixels_in_boxes(one, size).any(0) for one in groups])
