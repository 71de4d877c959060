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


@dataclass(frozen=True, eq=False)
class _End:
    """An image as it is, or with every pixel removed: one of a stack, for all its detections."""

    stack: Tensor
    image: int


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

    def curves(self, curves: Sequence[Curve]) -> tuple[list[Scores], dict[int, Scores]]:
        """For each curve the scores ``(T, S + 1)`` of all maps, and those of its ends.

        The latter are ``(G,)``, by the ``id`` of the images ``before`` or ``after``.
        """
        stacks = {id(stack): stack for curve in curves for stack in (curve.before, curve.after)}
        occupied = [n for n, entry in enumerate(self._detections) if len(entry)]
        points = self._points(curves)
        # All in one row, as a forward of two images takes a GPU as long as one of many.
        read = self._read(
            curves, [*(_End(stack, n) for stack in stacks.values() for n in occupied), *points]
        )
        before = len(stacks) * len(self._single)
        parts = {reading: values[:before].chunk(len(stacks)) for reading, values in read.items()}
        ends = {
            stack: {reading: part[number] for reading, part in parts.items()}
            for number, stack in enumerate(stacks)
        }
        scores = []
        for number, curve in enumerate(curves):
            own = [(before + n, point) for n, point in enumerate(points) if point.curve == number]
            start, stop = ends[id(curve.before)], ends[id(curve.after)]
            scores.append(self._table(curve, start, stop, own, read))
        return scores, ends

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

    def _read(self, curves: Sequence[Curve], images: Sequence[_End | _Point]) -> Scores:
        """Every reading of any curve: of an end ``len(detections)`` values, of a point one."""
        readings = list(dict.fromkeys(reading for curve in curves for reading in curve.readings))
        parts: dict[Reading, list[Tensor]] = {reading: [] for reading in readings}
        for batch in _batches(images, self._batch):
            chosen = [
                self._detections[one.image]
                if isinstance(one, _End)
                else self._single[self._owners[one.track]]
                for one in batch
            ]
            changed = self._changed(curves, batch)
            for reading, values in read_scores(self._detector, changed, chosen, readings).items():
                parts[reading].append(values)
        return {reading: torch.cat(values) for reading, values in parts.items()}

    def _table(
        self,
        curve: Curve,
        start: Scores,
        stop: Scores,
        points: Sequence[tuple[int, _Point]],
        read: Scores,
    ) -> Scores:
        """The scores of one curve, whose points are at these places of what was read."""
        first = curve.before
        counts = curve.counts.to(first.device)
        size = (first.shape[-2], first.shape[-1])
        units = torch.tensor([units_in(size, patch) for patch in curve.patches], device="cpu")
        untouched, all_turned = counts == 0, counts == units.to(counts)[:, None]
        owners = torch.tensor(self._owners, device=first.device)
        places = [(place, point.track, point.step) for place, point in points]
        taken, tracks, steps = torch.tensor(places, device=first.device).reshape(-1, 3).long().T
        precision = torch.promote_types(first.dtype, torch.float32)
        table = {}
        for reading in curve.readings:
            values = torch.zeros(counts.shape, dtype=precision, device=first.device)
            values = torch.where(untouched, start[reading].to(values)[owners, None], values)
            values = torch.where(all_turned, stop[reading].to(values)[owners, None], values)
            values[tracks, steps] = read[reading][taken].to(values)
            table[reading] = values
        return table

    def _changed(self, curves: Sequence[Curve], batch: Sequence[_End | _Point]) -> Tensor:
        """The images of one batch, ``(B, 3, H, W)``, written in place one by one."""
        first = curves[0].before
        images = first.new_empty((len(batch), *first.shape[1:]))
        for place, one in enumerate(batch):
            if isinstance(one, _End):
                images[place] = one.stack[one.image]
                continue
            curve, image = curves[one.curve], self._image[self._owners[one.track]]
            turned = self._rank(one.track, curve) < one.count
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
    """``torch.where``; in whole numbers, which take a CPU half the time, where these are there."""
    whole = after.dtype == before.dtype == out.dtype == torch.float32
    if not whole or out.device.type != "cpu":
        torch.where(turned, after, before, out=out)
        return
    bits, old = out.view(torch.int32), before.view(torch.int32)
    torch.bitwise_xor(after.view(torch.int32), old, out=bits)
    bits &= -turned.int()
    bits ^= old


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
