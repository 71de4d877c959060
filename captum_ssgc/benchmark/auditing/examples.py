"""The images of the page, with the maps that answer what is asked of each box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from captum_ssgc.benchmark.auditing.image_audit import ImageAudit
from captum_ssgc.benchmark.auditing.records import AuditRecord, Finding
from captum_ssgc.benchmark.auditing.summary import AuditSummary
from captum_ssgc.benchmark.page_store import open_pictures, store_page, stored_page
from captum_ssgc.benchmark.record_files import Index
from captum_ssgc.benchmark.sources import Case, Source
from captum_ssgc.composites import Composite, composite_name
from captum_ssgc.detections import Detections
from captum_ssgc.metrics.object_reliance import in_words
from captum_ssgc.report import PackedPage, ViewerEntry, ViewerPage

QUESTIONS = {
    "for": "for its class",
    "against": "against its class",
    "contrast": "for the class that won",
    "edge": "the edge that is off",
}


def images_worth_a_look(summary: AuditSummary, most: int) -> list[int]:
    """The first ``most`` images of what is worth a look."""
    return list(dict.fromkeys(look.index for look in summary.worth_a_look))[:most]


def make_examples(
    images: Sequence[int],
    index: Index[AuditRecord],
    audit: ImageAudit,
    source: Source,
    folder: Path,
    composite: Composite | None,
) -> None:
    """Pack the images that are not in ``folder`` yet; their maps are made again.

    Raises:
        OSError, ValueError: if a file cannot be written, or an image no longer be read.
    """
    open_pictures(folder, composite, composite_name(audit.detector.channels, composite))
    for number in images:
        path = example_path(folder, number)
        if not path.exists():
            page = _page(index.record(number), source.load(number), audit)
            store_page(path, replace(page, composite=composite))


def read_examples(images: Sequence[int], folder: Path) -> dict[int, PackedPage]:
    """Those of the images that are in ``folder``, by index."""
    pages = {number: stored_page(example_path(folder, number)) for number in images}
    return {number: page for number, page in pages.items() if page is not None}


def example_path(folder: Path, number: int) -> Path:
    """Where the page of an image is."""
    return folder / f"{number}.json"


def _page(record: AuditRecord, case: Case, audit: ImageAudit) -> ViewerPage:
    method = audit.settings.method
    maps: list[Mapping[str, Tensor]] = [{} for _ in record.findings]
    if method is not None:
        diagnoses = audit.diagnoses(case, method)
        maps = [one.maps for one in diagnoses]
        right = [
            (place, one.detection)
            for place, one in enumerate(diagnoses)
            if one.kind in ("found", "ignored") and one.detection is not None
        ]
        if right:
            detections = Detections.cat([one for _, one in right]).to(audit.device)
            made = audit.maps(case, detections, "logit")
            for row, (place, _) in enumerate(right if made is not None else ()):
                maps[place] = {} if made is None else {"for": made[row]}
    entries = [
        _entry(one, {(method or "", QUESTIONS[name]): each for name, each in own.items()})
        for one, own in zip(record.findings, maps, strict=True)
    ]
    return ViewerPage(record.name, case.image, entries)


def _entry(one: Finding, maps: Mapping[tuple[str, str], Tensor]) -> ViewerEntry:
    facts = {"Diagnosis": one.words.removeprefix(f"{one.label}: ")}
    if one.support is not None:
        facts["Tried"] = one.support.words
    own = one.detected_box if one.detected_box is not None else one.box
    others = {
        "annotated": one.box if one.row is not None else None,
        "best candidate": one.candidate_box,
        f"won: {one.by_label}": one.by_box,
    }
    return ViewerEntry(
        box=own,
        label=one.label,
        maps=maps,
        score=one.score,
        kind=one.kind,
        verdict="" if one.support is None else in_words(one.support.verdict),
        facts=facts,
        other_boxes={name: box for name, box in others.items() if box is not None and box != own},
    )
