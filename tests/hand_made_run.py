"""A run that was never made: its description, its records and its examples, by hand."""

from __future__ import annotations

from captum_ssgc.benchmark import BenchmarkSettings
from captum_ssgc.benchmark.examples import Example
from captum_ssgc.benchmark.records import DetectionRecord, ImageRecord

METHODS = ("odam", "ssgrad-cam", "ssgrad-cam++")
FLOORS = ("noise", "centre")
EVIL = "<b>\"'&"


def description(images=5):
    settings = BenchmarkSettings(
        methods=METHODS, metrics=("energy-pointing-game", "deletion-insertion"), floors=FLOORS
    )
    return {
        "settings": settings.as_json(),
        "data": {
            "kind": "COCO format", "file": f"{EVIL}.json", "sha256": "abc", "images": images,
            "left_out": [], "ignored_annotations": {"no box": 3},
        },
        "model": {"name": f"{EVIL} model", "layers": ["a", "b"]},
        "device": "cpu",
        "versions": {"torch": "2"},
    }  # fmt: skip


def record(index, *energies, matched=True):
    """An image with one detection, whose maps have these energies in the box."""
    rows = dict(zip((*METHODS, *FLOORS), energies, strict=True))
    return ImageRecord(
        index, str(index), f"{index}{EVIL}.jpg", reported=4, above=3, annotations=5, crowd=1,
        unknown_class=2, labels="by name",
        detections=(DetectionRecord(f"cat{EVIL}", 0.9, (0.0,) * 4, 0 if matched else None),),
        values={
            row: {"zero": (0.0,), "ep_b": (one,), "ep_m": (None,), "del_s1": (1.0 - one,)}
            for row, one in rows.items()
        },
        seconds=dict.fromkeys(METHODS, 0.5), problems=(f"mask {EVIL}",), total_seconds=90.0,
    )  # fmt: skip


def records():
    return [
        record(0, 0.8, 0.1, 0.9, 0.2, 0.3),
        record(1, 0.7, 0.2, 0.8, 0.2, 0.3),
        record(2, 0.9, 0.1, 0.7, 0.2, 0.3, matched=False),
        ImageRecord(3, "3", f"{EVIL}.png", failed=f"why {EVIL}"),
    ]


def examples():
    return [
        Example(row, kind, f"{EVIL}.jpg", f"dog{EVIL}", 0.75, {"ep_b": 0.5, "zero": 0.0}, jpeg)
        for row in METHODS[:2]
        for kind, jpeg in (("best", b"a picture"), ("worst", None))
    ]
