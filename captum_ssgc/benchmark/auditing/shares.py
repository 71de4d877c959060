"""Shares of objects and detections with their intervals, summed up one image at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from captum_ssgc.benchmark.auditing.records import CONTEXT, AuditRecord, Finding
from captum_ssgc.benchmark.uncertainty import bootstrap_intervals, ratio_of_sums, wilson_interval

OBJECTS = ("found", "wrong class", "badly placed", "missed")
"""Kinds of annotated objects."""
MECHANISMS = (
    *("suppressed", "another class wins", "under the threshold", "badly placed", "no candidate"),
    *("covered by another object's detection", "dropped"),
)
FALSE_ALARMS = ("background", "wrong class", "badly placed", "both", "duplicate")
"""Kinds of detections that belong to no object."""
VERDICTS = ("object", "object with surroundings", *CONTEXT, "cannot say")

Key = tuple[str | None, str, str]
"""Class, ``None`` for all of them; group; item of it."""


@dataclass(frozen=True)
class Share:
    """How many of how many, with the 95 % interval of the share.

    Args:
        count: how many; for a mean the sum.
        total: of how many.
        low: lower end of the interval, in [0, 1].
        high: its upper end.
    """

    count: float
    total: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """In [0, 1]."""
        return self.count / self.total


class ShareTally:
    """Adds up what was found in images, class by class.

    Groups are ``"objects"`` (by kind), ``"mechanisms"`` (of the objects that were not found),
    ``"false alarms"`` (by kind, of the detections of a class), ``"verdicts"`` (of the detections
    that were tried), ``"context"`` (those that rest on what is around, of those of which something
    can be said), ``"beyond"`` (these, and those that need what is around as well), ``"left"``
    (the mean share of the score that is left without the box), ``"in box"`` and ``"in mask"`` (the
    mean share of the map's energy there).
    """

    def __init__(self) -> None:
        self._images: list[dict[Key, tuple[float, int]]] = []

    def add(self, record: AuditRecord) -> None:
        """Add an image; in their order, as rounding depends on it."""
        sums: dict[Key, float] = defaultdict(float)
        totals: dict[Key, int] = defaultdict(int)
        for one in record.findings:
            for name, group, items, value in _counted(one):
                for owner in (name, None):
                    for item in items:
                        totals[owner, group, item] += 1
                    for item, share in value.items():
                        sums[owner, group, item] += share
        self._images.append({key: (sums[key], total) for key, total in totals.items()})

    def shares(self, seed: int) -> dict[Key, Share]:
        """Every share of which there is a case.

        Args:
            seed: of the bootstrap.
        """
        keys = sorted({key for image in self._images for key in image}, key=_order)
        counts = np.zeros((len(self._images), len(keys)))
        totals = np.zeros_like(counts)
        places = {key: place for place, key in enumerate(keys)}
        for row, image in enumerate(self._images):
            for key, (count, total) in image.items():
                counts[row, places[key]], totals[row, places[key]] = count, total
        shares = ratio_of_sums(counts, totals)
        low, high = bootstrap_intervals(counts, totals, seed)
        images = (totals > 0).sum(0)
        by_key = {}
        for place, key in enumerate(keys):
            ends = float(low[place]), float(high[place])
            # Where all cases agree, drawing images again tells nothing.
            if shares[place] in (0.0, 1.0):
                ends = wilson_interval(shares[place] * images[place], int(images[place]))
            by_key[key] = Share(float(counts[:, place].sum()), int(totals[:, place].sum()), *ends)
        return by_key


def _counted(one: Finding) -> Iterator[tuple[str, str, Iterable[str], dict[str, float]]]:
    """Class, group, the items that it is a case of, and what it adds to which of them."""
    if one.kind == "ignored":
        return
    if one.row is not None:
        yield one.label, "objects", OBJECTS, {one.kind: 1.0}
        if one.mechanism is not None:
            yield one.label, "mechanisms", MECHANISMS, {one.mechanism: 1.0}
    if one.detected_as is not None:
        alarm = {one.kind: 1.0} if one.row is None else {}
        yield one.detected_as, "false alarms", FALSE_ALARMS, alarm
        if one.support is None:
            return
        verdict = one.support.verdict
        yield one.detected_as, "verdicts", VERDICTS, {verdict: 1.0}
        if verdict != "cannot say":
            on_context = float(one.support.on_context)
            yield one.detected_as, "context", ("context",), {"context": on_context}
            beyond = float(verdict != "object")
            yield one.detected_as, "beyond", ("beyond",), {"beyond": beyond}
        means = {
            "left": one.support.left_without,
            "in box": one.support.energy_in_box,
            "in mask": one.support.energy_in_mask,
        }
        for group, value in means.items():
            if value is not None:
                yield one.detected_as, group, (group,), {group: value}


def _order(key: Key) -> tuple[str, str, str]:
    return key[0] or "", key[1], key[2]
