"""Which objects and detections are most worth a look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from captum_ssgc.benchmark.auditing.records import AuditRecord, Finding

GROUPS = ("leans on context", "missed", "wrong class", "background", "badly placed", "both",
          "duplicate")  # fmt: skip
RULE = (
    "Groups take turns: detections that rest on what is around, missed objects, then each kind of "
    "mistake. In a group the surest come first: what leans on context by the score that is left "
    "without the box, missed objects by their size, mistakes by their score."
)


@dataclass(frozen=True)
class Look:
    """One object or detection that is worth a look.

    Args:
        index: of its image.
        place: among the findings of the image.
        group: one of :data:`GROUPS`.
        weight: what it is ordered by within the group, in [0, 1].
    """

    index: int
    place: int
    group: str
    weight: float


def looks_at(record: AuditRecord) -> Iterator[Look]:
    """What of an image is worth a look at all; each finding in one group."""
    for place, one in enumerate(record.findings):
        group = _group(one)
        if group is not None:
            yield Look(record.index, place, group, _weight(one, group, record))


def in_turn(looks: Iterable[Look]) -> list[Look]:
    """The most worth first, by :data:`RULE`."""
    by_group: dict[str, list[Look]] = {group: [] for group in GROUPS}
    for one in looks:
        by_group[one.group].append(one)
    turns = [
        (turn, GROUPS.index(group), one)
        for group, ones in by_group.items()
        for turn, one in enumerate(
            sorted(ones, key=lambda one: (-one.weight, one.index, one.place))
        )
    ]
    return [one for _, _, one in sorted(turns, key=lambda turn: turn[:2])]


def _group(one: Finding) -> str | None:
    if one.support is not None and one.support.on_context:
        return "leans on context"
    return one.kind if one.kind in GROUPS else None


def _weight(one: Finding, group: str, record: AuditRecord) -> float:
    if group == "leans on context" and one.support is not None:
        return min(one.support.without, 1.0)
    if group == "missed":
        x1, y1, x2, y2 = one.box
        return min((x2 - x1) * (y2 - y1) / max(record.height * record.width, 1), 1.0)
    return one.score or 0.0
