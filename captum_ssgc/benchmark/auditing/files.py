"""What an audit found out, as CSV and as JSON in the manner of COCO."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from captum_ssgc.benchmark.auditing.records import AuditRecord, Finding
from captum_ssgc.benchmark.auditing.shares import (
    FALSE_ALARMS,
    MECHANISMS,
    OBJECTS,
    VERDICTS,
    Share,
)
from captum_ssgc.benchmark.auditing.summary import AuditSummary, ClassAudit

_DIGITS = 6
_GROUPS = (
    ("objects", OBJECTS),
    ("mechanisms", MECHANISMS),
    ("false_alarms", FALSE_ALARMS),
    ("verdicts", VERDICTS),
)


def classes_csv(summary: AuditSummary) -> str:
    """One line for each share of each class, and of all together (class empty)."""
    head = ("class", "group", "item", "count", "total", "share", "low", "high")
    return _csv(head, (line for one in (summary.all, *summary.classes) for line in _shares(one)))


def findings_csv(summary: AuditSummary, records: Iterable[AuditRecord]) -> str:
    """One line for each object, and each detection that belongs to none."""
    ranks = _ranks(summary)
    names = ("worth_a_look", "image", *_fields(None, ""))
    lines = (
        [ranks.get((record.index, place), ""), record.name, *_fields(one, "").values()]
        for record in records
        for place, one in enumerate(record.findings)
    )
    return _csv(names, lines)


def coco_json(summary: AuditSummary, records: Iterable[AuditRecord]) -> str:
    """Images, categories and annotations as COCO has them, with what was found out beside it.

    ``detections`` are COCO's results; each finding is in one of the two lists: objects in
    ``annotations``, with their detection where they have one, and what belongs to none in
    ``detections``.
    """
    ranks = _ranks(summary)
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    categories: dict[int, str] = {}
    for record in records:
        image = int(record.key) if record.key.isdecimal() else record.key
        images.append(
            {"id": image, "file_name": record.name, "height": record.height, "width": record.width}
            | ({"failed": record.failed} if record.failed else {})
        )
        for place, one in enumerate(record.findings):
            for category, name in _categories(one):
                categories[category] = name
            known = {
                "image_id": image,
                "category_id": one.category,
                "bbox": _xywh(one.box),
                "worth_a_look": ranks.get((record.index, place)),
                **_fields(one, None),
            }
            if one.row is None:
                others.append(known)
            else:
                area = known["bbox"][2] * known["bbox"][3]
                crowd = int(one.kind == "ignored")
                objects.append({"id": len(objects) + 1, **known, "area": area, "iscrowd": crowd})
    content = {
        "info": {"description": "audit of a detector", **summary.description},
        "images": images,
        "categories": [{"id": number, "name": name} for number, name in sorted(categories.items())],
        "annotations": objects,
        "detections": others,
    }
    return json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n"


def _categories(one: Finding) -> Iterator[tuple[int, str]]:
    if one.category is not None:
        yield one.category, one.label
    if one.detected_category is not None and one.detected_as is not None:
        yield one.detected_category, one.detected_as


def _fields(one: Finding | None, missing: Any) -> dict[str, Any]:
    """What is known of a finding, by the names of the columns; ``None`` gives the names alone."""
    boxes = {"box": 4, "detected_box": 4}
    fields: dict[str, Any] = {}
    support = None if one is None else one.support
    for name in _FINDING:
        value = None if one is None else getattr(one, name)
        if name in boxes and missing is not None:
            corners = value or (missing,) * boxes[name]
            fields |= dict(zip((f"{name}_{edge}" for edge in _EDGES), corners, strict=True))
        elif name != "box":  # "bbox", in JSON
            fields[name] = missing if value is None else value
    for name in _SUPPORT:
        value = None if support is None else getattr(support, name)
        fields[name] = missing if value is None else value
    fields["rests_on"] = missing if support is None else support.words
    return fields


_EDGES = ("x1", "y1", "x2", "y2")
_FINDING = (
    *("kind", "label", "box", "row", "detection", "score", "detected_as", "detected_box", "iou"),
    *("mistaken_for", "edge", "edge_off_by", "mechanism", "candidate_score", "candidate_iou"),
    *("under_threshold_by", "by_label", "by_score", "words"),
)
_SUPPORT = (
    *("verdict", "alone", "without", "energy_in_box", "energy_in_mask", "energy_on_others"),
)


def _shares(one: ClassAudit) -> Iterator[list[Any]]:
    for group, items in _GROUPS:
        shares = getattr(one, group)
        for item in items:
            if item in shares:
                yield [one.name, group, item, *_share(shares[item])]
    for group in ("beyond_object", "on_context", "left_without", "in_box", "in_mask"):
        share = getattr(one, group)
        if share is not None:
            yield [one.name, group, "", *_share(share)]


def _share(share: Share) -> list[Any]:
    numbers = (share.count, share.total, share.share, share.low, share.high)
    return [f"{number:.{_DIGITS}g}" for number in numbers]


def _ranks(summary: AuditSummary) -> dict[tuple[int, int], int]:
    return {
        (look.index, look.place): rank for rank, look in enumerate(summary.worth_a_look, start=1)
    }


def _xywh(box: tuple[float, ...]) -> list[float]:
    x1, y1, x2, y2 = box
    return [x1, y1, x2 - x1, y2 - y1]


def _csv(head: Iterable[str], lines: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(lines)
    return text.getvalue()
