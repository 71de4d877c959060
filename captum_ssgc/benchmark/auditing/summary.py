"""From the records of all images to what an audit says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from captum_ssgc.benchmark.auditing.records import AuditRecord
from captum_ssgc.benchmark.auditing.settings import AuditSettings
from captum_ssgc.benchmark.auditing.shares import Key, Share, ShareTally
from captum_ssgc.benchmark.auditing.worth import Look, in_turn, looks_at
from captum_ssgc.benchmark.described import Described


@dataclass(frozen=True)
class ClassAudit:
    """What was found out about one class, or about all of them.

    Args:
        name: of the class; empty for all of them.
        objects: by kind, of the annotated objects of the class.
        mechanisms: why objects were not found, of those that were not.
        false_alarms: by kind, detections that belong to no object, of the detections of the class.
        verdicts: what detections of the class rest on, of those that were tried.
        on_context: those that rest on the surroundings or a neighbour, of those of which something
            can be said; ``None`` where there is none.
        left_without: mean share of the score that is left without the box.
        beyond_object: those for which the object alone is not enough: ``on_context``, and those
            that rest on the object with its surroundings, of the same.
        in_box: mean share of the maps' energy in the box of the detection.
        in_mask: mean share of it in the annotated mask, of those whose object has one.
    """

    name: str
    objects: Mapping[str, Share]
    mechanisms: Mapping[str, Share]
    false_alarms: Mapping[str, Share]
    verdicts: Mapping[str, Share]
    on_context: Share | None
    left_without: Share | None
    beyond_object: Share | None = None
    in_box: Share | None = None
    in_mask: Share | None = None

    @property
    def object_count(self) -> int:
        """Number of annotated objects."""
        return _total(self.objects)

    @property
    def detection_count(self) -> int:
        """Number of detections."""
        return _total(self.false_alarms)

    @property
    def leans(self) -> bool:
        """Whether any detection rests on what is around."""
        return self.on_context is not None and self.on_context.count > 0


@dataclass(frozen=True)
class AuditSummary(Described):
    """The result of an audit.

    Args:
        all: what holds for all classes together.
        classes: those with an object or a detection, the one that leans most on context first: by
            the lower end of the interval of ``beyond_object``, then of ``on_context``, then by
            ``left_without``.
        worth_a_look: objects and detections, the most worth first.
        counts: of ``images``, those that ``failed``, ``annotations``, ``crowd`` and
            ``unknown_class``.
        failures: name of the image and reason, for every image that could not be audited.
        problems: name of the image and what could not be used of its annotations.
        labels: how categories and labels were brought together.
        damaged: number of stored lines that were no record of this run.
        seconds: spent on all images by all processes together.
        complete: whether every image is done.
        description: what was audited, with which settings; see the run's ``run.json``.
    """

    all: ClassAudit
    classes: tuple[ClassAudit, ...]
    worth_a_look: tuple[Look, ...]
    counts: Counter[str]
    failures: tuple[tuple[str, str], ...]
    problems: tuple[tuple[str, str], ...]
    labels: tuple[str, ...]
    damaged: int
    seconds: float
    complete: bool
    description: dict[str, Any] = field(repr=False)

    @property
    def settings(self) -> AuditSettings:
        """What was looked at."""
        return AuditSettings.from_json(self.description["settings"])

    def of(self, name: str) -> ClassAudit:
        """What was found out about a class.

        Raises:
            KeyError: if it has neither objects nor detections.
        """
        known = {one.name: one for one in self.classes}
        if name not in known:
            raise KeyError(f"expected one of {', '.join(known) or 'none'}, got {name!r}.")
        return known[name]


def summarise(
    records: Iterable[AuditRecord], description: dict[str, Any], damaged: int = 0
) -> AuditSummary:
    """The summary of a run.

    Args:
        records: of the images, in their order; they are read once and not kept.
        description: of the run.
        damaged: number of lines that could not be read.
    """
    settings = AuditSettings.from_json(description["settings"])
    tally, counts, looks = ShareTally(), Counter[str](), list[Look]()
    failures: list[tuple[str, str]] = []
    problems: list[tuple[str, str]] = []
    labels: set[str] = set()
    seconds = 0.0
    for record in records:
        counts["images"] += 1
        if record.failed:
            counts["failed"] += 1
            failures.append((record.name, record.failed))
            continue
        for key in ("annotations", "crowd", "unknown_class"):
            counts[key] += getattr(record, key)
        labels.add(record.labels)
        problems += [(record.name, problem) for problem in record.problems]
        seconds += record.total_seconds
        tally.add(record)
        looks += looks_at(record)
    shares = tally.shares(settings.seed)
    names = sorted({name for name, _, _ in shares if name is not None})
    classes = sorted((_class(name, shares) for name in names), key=_least_on_context)
    return AuditSummary(
        all=_class(None, shares),
        classes=tuple(classes),
        worth_a_look=tuple(in_turn(looks)),
        counts=counts,
        failures=tuple(failures),
        problems=tuple(problems),
        labels=tuple(sorted(labels)),
        damaged=damaged,
        seconds=seconds,
        complete=counts["images"] == description["data"]["images"],
        description=description,
    )


def _class(name: str | None, shares: Mapping[Key, Share]) -> ClassAudit:
    def group(wanted: str) -> dict[str, Share]:
        return {
            item: share
            for (owner, of, item), share in shares.items()
            if owner == name and of == wanted
        }

    return ClassAudit(
        name=name or "",
        objects=group("objects"),
        mechanisms=group("mechanisms"),
        false_alarms=group("false alarms"),
        verdicts=group("verdicts"),
        on_context=shares.get((name, "context", "context")),
        left_without=shares.get((name, "left", "left")),
        beyond_object=shares.get((name, "beyond", "beyond")),
        in_box=shares.get((name, "in box", "in box")),
        in_mask=shares.get((name, "in mask", "in mask")),
    )


def _least_on_context(one: ClassAudit) -> tuple[float, float, float, float, str]:
    beyond, context, left = one.beyond_object, one.on_context, one.left_without
    return (
        0.0 if beyond is None else -beyond.low,
        0.0 if context is None else -context.low,
        0.0 if context is None else -context.share,
        0.0 if left is None else -left.share,
        one.name,
    )


def _total(group: Mapping[str, Share]) -> int:
    return next(iter(group.values())).total if group else 0
