"""What an audit says as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from captum_ssgc.benchmark.auditing.records import AuditRecord
from captum_ssgc.benchmark.auditing.shares import (
    FALSE_ALARMS,
    MECHANISMS,
    OBJECTS,
    VERDICTS,
    Share,
)
from captum_ssgc.benchmark.auditing.summary import AuditSummary, ClassAudit
from captum_ssgc.benchmark.auditing.worth import RULE
from captum_ssgc.benchmark.record_files import Index
from captum_ssgc.report import PackedPage, render

LISTED = 24
NAMED = 3

MEANINGS = {
    "found": "a detection of its class at its place",
    "wrong class": "a detection at the place of an object of another class",
    "badly placed": "a detection of its class that is off: too small, too large, or beside it",
    "missed": "no detection of it",
    "background": "a detection where nothing is annotated",
    "both": "of the wrong class and badly placed",
    "duplicate": "another detection of an object that was found",
    "suppressed": "its candidate was good; a stronger detection suppressed it",
    "another class wins": "its candidate has a higher score for another class",
    "under the threshold": "its candidate is in place, and its score too low",
    "badly placed candidate": "no candidate fits the object well enough",
    "no candidate": "the detector proposes nothing there at all",
    "covered by another object's detection": "its only candidate is another object's detection",
    "dropped": "the detector's own threshold or limit on detections left it out",
    "object": "the box alone suffices, and without it the score falls",
    "object with surroundings": "the score falls without the box, and with the box alone, too",
    "surroundings": "the score stays when the box is removed",
    "neighbour": "the same, and the map lies on other annotated objects",
    "cannot say": "the map is empty, or contradicts the scores",
}


@dataclass(frozen=True)
class Line:
    """One row of a small table: what, what that means, how many."""

    name: str
    meaning: str
    share: Share


def page(
    summary: AuditSummary, index: Index[AuditRecord], examples: Mapping[int, PackedPage]
) -> str:
    """The whole page.

    Args:
        summary: of the run.
        index: of its records.
        examples: images of the page by their index, those most worth a look first.
    """
    description, settings = summary.description, summary.settings
    places = {number: place for place, number in enumerate(examples)}
    return render(
        "audit.html.jinja",
        title="Why is the detector wrong?",
        model=description["model"],
        data={"file": "", **description["data"]},
        counts=summary.counts,
        lead=lead(summary),
        notices=_notices(summary),
        tables=_tables(summary.all),
        classes=summary.classes,
        kinds=OBJECTS,
        alarms=FALSE_ALARMS,
        mechanisms=[name for name in MECHANISMS if _any(summary.all.mechanisms, name)],
        looks=_looks(summary, index, places),
        more_looks=max(len(summary.worth_a_look) - LISTED, 0),
        rule=RULE,
        settings=settings,
        labels=summary.labels,
        failures=[f"{name}: {why}" for name, why in summary.failures],
        left_out=summary.left_out,
        problems=[f"{name}: {why}" for name, why in summary.problems],
        with_maps=any(one.in_box for one in summary.classes),
        with_masks=any(one.in_mask for one in summary.classes),
        ignored=summary.ignored,
        details=[
            (f"{part}.{name}", value)
            for part in ("settings", "data", "model", "versions")
            for name, value in description[part].items()
            if name != "left_out"
        ]
        + [("device", description["device"])],
        index=[one.known for one in examples.values()],
        contents=[one.content for one in examples.values()],
    )


def percent(share: Share) -> str:
    """The interval of a share."""
    return f"{100 * share.low:.0f} to {100 * share.high:.0f} %"


def _tables(one: ClassAudit) -> list[tuple[str, list[Line]]]:
    """The four small tables; those without a case are left out."""
    groups = (
        ("Annotated objects", one.objects, OBJECTS),
        ("Why objects were not found", one.mechanisms, MECHANISMS),
        ("Detections that belong to no object", one.false_alarms, FALSE_ALARMS),
        ("What detections rest on", one.verdicts, VERDICTS),
    )
    tables = []
    for title, shares, items in groups:
        lines = [
            Line(name, _meaning(name, shares is one.mechanisms), shares[name])
            for name in items
            if _any(shares, name)
        ]
        if lines:
            tables.append((title, lines))
    return tables


def _meaning(name: str, of_mechanism: bool) -> str:
    if of_mechanism and name == "badly placed":
        name = "badly placed candidate"
    return MEANINGS[name]


def _any(shares: Mapping[str, Share], name: str) -> bool:
    return name in shares and shares[name].count > 0


def lead(summary: AuditSummary) -> list[str]:
    """The result in a few sentences."""
    one = summary.all
    sentences = []
    if one.object_count:
        count = int(one.objects["found"].count)
        text = f"{count} of {_many(one.object_count, 'annotated object')} were found."
        if one.mechanisms:
            most = max(one.mechanisms.items(), key=lambda item: item[1].count)
            meaning = _meaning(most[0], True)
            text += (
                f" What was not found failed most often because of this: {most[0]} "
                f"({int(most[1].count)} of {most[1].total}), {meaning}."
            )
        if not count and one.detection_count:
            text += (
                " Where a detector finds other things but none of these, images, boxes or classes "
                "are often not those that were annotated."
            )
        sentences.append(text)
    if one.detection_count:
        false = sum(int(share.count) for share in one.false_alarms.values())
        sentences.append(
            f"{false} of {_many(one.detection_count, 'detection')} belong to no object."
        )
    sentences.append(_on_context(summary))
    return sentences


def _on_context(summary: AuditSummary) -> str:
    context = summary.all.on_context
    if context is None:
        return "Nothing can be said of what detections rest on."
    tried = _many(context.total, "detection")
    if not context.count:
        return (
            f"None of the {tried} that were tried rests on its surroundings or on a neighbour "
            f"(95 % interval: {percent(context)})."
        )
    leaning = [one for one in summary.classes if one.leans][:NAMED]
    names = ", ".join(
        f"{one.name} ({int(share.count)} of {share.total})"
        for one in leaning
        if (share := one.on_context) is not None
    )
    return (
        f"{int(context.count)} of {tried} that were tried rest on their surroundings or on a "
        f"neighbour (95 % interval: {percent(context)}), most of all {names}."
    )


def _notices(summary: AuditSummary) -> list[str]:
    counts, data = summary.counts, summary.description["data"]
    notices = []
    if not summary.complete:
        notices.append(f"Not finished: {counts['images']} of {data['images']} images are done.")
    if counts["failed"]:
        notices.append(f"{counts['failed']} images could not be audited; they are listed below.")
    if counts["unknown_class"]:
        notices.append(
            f"{counts['unknown_class']} annotations are of classes that the detector does not "
            "know; they are left out, so that a detection there counts as one of something else."
        )
    return notices


def _looks(
    summary: AuditSummary, index: Index[AuditRecord], places: Mapping[int, int]
) -> list[dict[str, str]]:
    """The most worth a look, with links to those whose image is on the page."""
    listed = summary.worth_a_look[:LISTED]
    records = {number: index.record(number) for number in {look.index for look in listed}}
    looks = []
    for look in listed:
        record = records[look.index]
        one = record.findings[look.place]
        on_page = look.index in places
        looks.append(
            {
                "image": record.name,
                "link": f"#box-{places[look.index]}-{look.place}" if on_page else "",
                "label": one.label,
                "words": one.words.removeprefix(f"{one.label}: "),
                "rests_on": "" if one.support is None else one.support.words,
            }
        )
    return looks


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
