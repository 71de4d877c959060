"""Damaged and hostile files: an image, names or a record, or one line that names the file."""

from __future__ import annotations

import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from robustness.children import in_child
from robustness.outcomes import Outcomes

from captum_ssgc.benchmark.records import (
    CurveSum,
    DamagedRecordError,
    DetectionRecord,
    ImageRecord,
    as_line,
    from_line,
)
from captum_ssgc.images import load_image
from captum_ssgc.label_names import fit_label_names

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's limits"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]
FEW, MANY = 20, 1500
each_size = pytest.mark.parametrize(
    "count", [FEW, pytest.param(MANY, marks=pytest.mark.slow)], ids=["few", "many"]
)


def mutated(content: bytes, drawn: random.Random) -> bytes:
    """Bytes changed, cut, repeated, moved in or put in place of others."""
    changed = bytearray(content)
    for _ in range(drawn.choice((1, 1, 2, 5, 20))):
        at = drawn.randrange(len(changed) + 1)
        early = drawn.randrange(min(64, len(changed)) + 1)  # headers are what readers trust
        at, kind = drawn.choice((at, early)), drawn.randrange(5)
        if kind == 0 and at < len(changed):
            changed[at] = drawn.choice((0, 1, 0x7F, 0x80, 0xFF, drawn.randrange(256)))
        elif kind == 1:
            del changed[at : at + drawn.choice((1, 4, 100))]
        elif kind == 2:
            changed[at:at] = drawn.randbytes(drawn.choice((1, 4, 30)))
        elif kind == 3:
            changed[at : at + 4] = drawn.choice((b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\xff" * 4))
        elif drawn.random() < 0.3:
            del changed[at:]
    return bytes(changed)


def pictures() -> dict[str, bytes]:
    """A small one of each kind that Pillow writes here."""
    shades = np.random.default_rng(0).integers(0, 256, (14, 18, 4), dtype=np.uint8)
    kinds = {"PNG": "RGBA", "JPEG": "RGB", "GIF": "P", "BMP": "RGB", "TIFF": "CMYK", "WEBP": "RGB"}
    kinds |= {"PPM": "L", "TGA": "RGB", "ICO": "RGBA", "DDS": "RGBA", "JPEG2000": "RGB"}
    kinds |= {"PCX": "RGB", "SGI": "RGB", "AVIF": "RGB", "ICNS": "RGBA", "MPO": "RGB"}
    found = {}
    for kind, mode in kinds.items():
        file = io.BytesIO()
        try:
            Image.fromarray(shades).convert(mode).save(file, kind)
        except (KeyError, OSError, ValueError):
            continue
        found[kind] = file.getvalue()
    deep = io.BytesIO()
    Image.fromarray(shades[..., 0].astype(np.uint16) * 200).save(deep, "PNG")
    return found | {"PNG of 16 bits": deep.getvalue()}


def try_files(
    folder: Path,
    name: str,
    samples: list[bytes],
    read: Callable[[Path], Any],
    count: int,
    named: tuple[str, ...],
) -> dict[str, Any]:
    drawn, outcomes = random.Random(0), Outcomes()
    path = folder / name
    for number in range(count):
        path.write_bytes(mutated(samples[number % len(samples)], drawn))
        outcomes.of(lambda: read(path), named, number)
    return {"counts": dict(outcomes.counts), "wrong": outcomes.wrong[:20]}


def judge(answer: dict[str, Any], count: int) -> None:
    print(answer["counts"])
    assert answer["wrong"] == []
    assert answer["counts"].get("error", 0) > count / 10
    assert answer["counts"].get("result", 0) + answer["counts"]["error"] == count


@each_size
def test_images(count, tmp_path):
    def work() -> dict[str, Any]:
        samples = list(pictures().values())
        assert len(samples) > 8
        return try_files(
            tmp_path, "a picture.png", samples, load_image, 4 * count, ("a picture.png",)
        )

    judge(in_child(work), 4 * count)


NAMES = {
    "names.json": json.dumps({"0": "person", "1": "ä car", "2": "dog"}).encode(),
    "list.json": json.dumps(["person", "car", "dog"]).encode(),
    "names.yaml": "names:\n  0: person\n  1: 'ä car'\n  2: [dog]\nother: &x {a: *x}\n".encode(),
    "names.yml": b"names: [person, car, dog]\n",
    "names.txt": "person\nä car\ndog\n".encode(),
}


@each_size
@pytest.mark.parametrize("name", NAMES)
def test_label_files(name, count, tmp_path):
    def work() -> dict[str, Any]:
        return try_files(
            tmp_path,
            name,
            [NAMES[name]],
            lambda path: fit_label_names(str(path), 3),
            count,
            ("label_names",),
        )

    answer = in_child(work)
    print(answer["counts"])
    assert answer["wrong"] == []


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")

    def work() -> dict[str, Any]:
        outcomes = Outcomes()
        for path in (tmp_path / "pipe.png", Path("/dev/zero"), Path("/dev/stdin"), tmp_path):
            outcomes.of(lambda path=path: load_image(path), (str(path),), path)
            outcomes.of(lambda path=path: fit_label_names(str(path), 3), (str(path),), path)
        return {"counts": dict(outcomes.counts), "wrong": outcomes.wrong}

    answer = in_child(work)
    assert answer == {"counts": {"error": 8}, "wrong": []}


def test_a_picture_of_too_many_pixels_takes_no_memory(tmp_path):
    Image.new("1", (9000, 9000)).save(tmp_path / "large.png")

    def work() -> str:
        try:
            load_image(tmp_path / "large.png")
        except ValueError as error:
            return str(error)
        return ""

    assert "expected at most" in in_child(work, memory=200 << 20)


FULL = ImageRecord(
    index=3,
    key="7",
    name="é.jpg",
    file="abc",
    reported=5,
    detections=(DetectionRecord("cat", 0.75, (1.0, 2.0, 3.0, 4.5), 2),),
    values={"odam": {"p_b": (1.0,), "zero": (None,)}},
    curves={"odam": {"del_s1": CurveSum(2, (1.0, 0.5))}},
    seconds={"odam": 0.125},
    problems=("annotations[3]: why",),
)


@each_size
def test_records(count):
    """A changed line is recognised, unless the change has no meaning."""
    line, drawn, damaged = as_line(FULL, "run"), random.Random(0), 0
    lines: set[int] = set()
    for _ in range(4 * count):
        changed = mutated(line, drawn)
        try:
            record = from_line(changed, "run", ImageRecord)
        except DamagedRecordError as error:
            damaged += 1
            lines.add(str(error).count("\n"))
        else:
            assert record == FULL
    assert damaged > count
    assert lines == {0}
