"""The changed images of Deletion and Insertion, batch by batch on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector
from captum_ssgc.metrics._patches import Patch, unit_ranks, units_in
from captum_ssgc.metrics._readings import Reading, read_scores

Item = TypeVar("Item")
Scores = dict[Reading, Tensor]


@dataclass(frozen=True, eq=False)
class Curve:
    """One kind of curve: what pixels are turned into what, how many, and what is read.

    ``before`` and ``after`` are ``(N, 3, H, W)``; ``counts`` is ``(T, S + 1)``, the pixels or
    patches that have turned at each point of each map's curve; ``patches`` are the ``T`` sizes of
    the latter; ``ties`` is ``(H * W,)``, the order in which tied pixels turn.
    """

    before: Tensor
    after: Tensor
    counts: Tensor
    patches: Sequence[Patch | None]
    ties: Tensor
    readings: Sequence[Reading]


@dataclass(frozen=True)
class _Point:
    """A changed image: the map ``track`` at one ``step`` of one ``curve``."""

    track: int
    curve: int
    step: int
    count: int


class CurvePoints:
    """Measures curves with one image per point; endpoints are shared by all maps.

    Args:
        detector: the detector.
        detections: of each image, ``G`` in all.
        maps: ``(H, W)`` each, finite; they order the pixels.
        owners: for each map, which of the ``G`` detections it belongs to.
        perturbations_per_eval: the most images in one forward.
    """

    def __init__(
        self,
        detector: Detector,
        detections: Sequence[Detections],
        maps: Sequence[Tensor],
        owners: Sequence[int],
        perturbations_per_eval: int,
    ) -> None:
        self._detector, self._detections = detector, detections
        self._maps, self._owners, self._batch = maps, owners, perturbations_per_eval
        self._single = [entry[row] for entry in detections for row in range(len(entry))]
        self._image = [n for n, entry in enumerate(detections) for _ in range(len(entry))]
        self._ranked: tuple[int, int, Patch | None] | None = None
        self._last_rank = torch.empty(0, device="cpu")

    def ends(self, stacks: Sequence[Tensor], readings: Sequence[Reading]) -> list[Scores]:
        """For each of the image stacks ``(N, 3, H, W)``, the scores of all detections ``(G,)``."""
        occupied = [n for n, entry in enumerate(self._detections) if len(entry)]
        pairs = [(number, n) for number in range(len(stacks)) for n in occupied]
        parts: list[dict[Reading, list[Tensor]]] = [{r: [] for r in readings} for _ in stacks]
        for batch in _batches(pairs, self._batch):
            images = torch.stack([stacks[number][n] for number, n in batch])
            chosen = [self._detections[n] for _, n in batch]
            for reading, values in read_scores(self._detector, images, chosen, readings).items():
                split = values.split([len(entry) for entry in chosen])
                for (number, _), part in zip(batch, split, strict=True):
                    parts[number][reading].append(part)
        return [{r: torch.cat(found) for r, found in part.items()} for part in parts]

    def curves(
        self, curves: Sequence[Curve], ends: Sequence[tuple[Scores, Scores]]
    ) -> list[Scores]:
        """For each curve, the scores ``(T, S + 1)`` of all maps; ``ends`` are known already."""
        first = curves[0].before
        precision = torch.promote_types(first.dtype, torch.float32)
        owners = torch.tensor(self._owners, device=first.device)
        scores = []
        for curve, (start, stop) in zip(curves, ends, strict=True):
            counts = curve.counts.to(first.device)
            size = (first.shape[-2], first.shape[-1])
            units = torch.tensor([units_in(size, patch) for patch in curve.patches], device="cpu")
            untouched, all_turned = counts == 0, counts == units.to(counts)[:, None]
            table = {}
            for reading in curve.readings:
                values = torch.zeros(counts.shape, dtype=precision, device=first.device)
                values = torch.where(untouched, start[reading].to(values)[owners, None], values)
                values = torch.where(all_turned, stop[reading].to(values)[owners, None], values)
                table[reading] = values
            scores.append(table)
        for batch in _batches(self._points(curves), self._batch):
            self._measure(curves, batch, scores)
        return scores

    def _points(self, curves: Sequence[Curve]) -> list[_Point]:
        """Every point that is not an endpoint, map by map."""
        pixels = curves[0].before[0, 0].numel()
        counts = [curve.counts.tolist() for curve in curves]
        return [
            _Point(track, number, step, count)
            for track in range(len(self._owners))
            for number in range(len(curves))
            for step, count in enumerate(counts[number][track])
            if 0 < count < pixels
        ]

    def _measure(
        self, curves: Sequence[Curve], batch: Sequence[_Point], scores: list[Scores]
    ) -> None:
        """Measure the points of one batch and write them into ``scores``."""
        readings = list(dict.fromkeys(r for point in batch for r in curves[point.curve].readings))
        chosen = [self._single[self._owners[point.track]] for point in batch]
        read = read_scores(self._detector, self._changed(curves, batch), chosen, readings)
        for number, table in enumerate(scores):
            places = [place for place, point in enumerate(batch) if point.curve == number]
            tracks = [batch[place].track for place in places]
            steps = [batch[place].step for place in places]
            for reading, values in table.items():
                if places:
                    values[tracks, steps] = read[reading][places].to(values)

    def _changed(self, curves: Sequence[Curve], batch: Sequence[_Point]) -> Tensor:
        """The images of one batch, ``(B, 3, H, W)``, written in place one by one."""
        first = curves[0].before
        images = first.new_empty((len(batch), *first.shape[1:]))
        for place, point in enumerate(batch):
            curve, image = curves[point.curve], self._image[self._owners[point.track]]
            turned = self._rank(point.track, curve) < point.count
            _mix(turned, curve.after[image], curve.before[image], images[place])
        return images

    def _rank(self, track: int, curve: Curve) -> Tensor:
        """The ranks of one map; the last ones are kept, as its points follow one another."""
        key = (track, id(curve.ties), curve.patches[track])
        if self._ranked != key:
            self._ranked = key
            self._last_rank = unit_ranks(self._maps[track], curve.ties, curve.patches[track])
        return self._last_rank


def _mix(turned: Tensor, after: Tensor, before: Tensor, out: Tensor) -> None:
    """``torch.where``; in whole numbers, which take a CPU half the time, where these are."""
    if out.dtype != torch.float32 or not (after.dtype == before.dtype == out.dtype):
        torch.where(turned, after, before, out=out)
        return
    bits, old = out.view(torch.int32), before.view(torch.int32)
    torch.bitwise_xor(after.view(torch.int32), old, out=bits)
    bits &= -turned.int()
    bits ^= old


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
