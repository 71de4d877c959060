from __future__ import annotations

import errno
import hashlib
import json
import os
from collections import Counter
from dataclasses import replace

import pytest

from captum_ssgc.benchmark import BenchmarkError
from captum_ssgc.benchmark.record_files import open_writer, read_index
from captum_ssgc.benchmark.records import (
    CurveSum,
    DamagedRecordError,
    DetectionRecord,
    ImageRecord,
    as_line,
    from_line,
)

RUN = "a run"


def image(index, name="a.jpg", **changes):
    return ImageRecord(index, str(index), name, **changes)


FULL = ImageRecord(
    index=3,
    key="7",
    name="é.jpg",
    file="abc",
    reported=5,
    above=4,
    annotations=3,
    crowd=2,
    unknown_class=1,
    labels="by name",
    detections=(
        DetectionRecord("cat", 0.75, (1.0, 2.0, 3.0, 4.5), 2),
        DetectionRecord("dog", 1.0, (0.0,) * 4, None),
    ),
    values={"odam": {"p_b": (1.0, None), "zero": (0.0, 0.25)}},
    curves={"odam": {"del_s1": CurveSum(2, (1.0, 0.5))}},
    seconds={"odam": 0.125},
    small_maps={"d-rise": ("x", "y")},
    problems=("annotations[3]: why",),
    total_seconds=2.5,
)


def write(folder, *records, rank=0, run=RUN):
    with open_writer(folder, rank, run) as writer:
        for record in records:
            writer.append(record)


def read(folder, run=RUN):
    index = read_index(folder, run, ImageRecord)
    return list(index.records()), index.damaged.total()


def test_records_come_back_in_the_order_of_the_images(tmp_path):
    write(tmp_path, image(4), FULL, image(0, "é"))
    write(tmp_path, image(2), rank=1)
    assert read(tmp_path) == ([image(0, "é"), image(2), FULL, image(4)], 0)


def test_nothing_stored_is_nothing(tmp_path):
    assert read(tmp_path) == ([], 0)


LINE = as_line(image(1), RUN)


def test_a_line_cut_off_anywhere_counts_as_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    path = tmp_path / "rank-0000.jsonl"
    for length in range(len(LINE)):
        path.unlink(missing_ok=True)
        write(tmp_path, image(0))
        with path.open("ab") as stream:
            stream.write(LINE[:length])
        assert read(tmp_path) == ([image(0)], int(length > 0))
        write(tmp_path, image(1, "b"))
        assert read(tmp_path) == ([image(0), image(1, "b")], int(length > 0))


def test_a_line_that_lacks_only_its_end_counts(tmp_path):
    (tmp_path / "rank-0000.jsonl").write_bytes(LINE)
    write(tmp_path, image(2))
    assert read(tmp_path) == ([image(1), image(2)], 0)


@pytest.mark.parametrize(
    "damage",
    [b"\x00" * 40, b"\xff\xfe", b"[1]", b'{"index":1}', b"null", b"[" * 100_000, b'{"schema":2}'],
    ids=["zeros", "bytes", "list", "old", "null", "deep", "schema only"],
)
def test_damage_in_the_middle_costs_one_line(tmp_path, damage):
    lines = [as_line(image(0), RUN), damage, LINE]
    (tmp_path / "rank-0000.jsonl").write_bytes(b"\n".join([*lines, b""]))
    assert read(tmp_path) == ([image(0), image(1)], 1)


def test_every_changed_byte_is_noticed():
    whole = as_line(FULL, RUN)
    assert from_line(whole, RUN, ImageRecord) == FULL
    for place in range(len(whole)):
        changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        with pytest.raises(DamagedRecordError):
            from_line(changed, RUN, ImageRecord)


def signed(fields):
    """A line with a checksum that fits, whatever it says."""
    text = RUN + json.dumps(fields, separators=(",", ":"))
    checksum = hashlib.sha256(text.encode()).hexdigest()[:16]
    return json.dumps(
        {"schema": ImageRecord.schema, "run": RUN, "checksum": checksum} | fields
    ).encode()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("index",), "3", r"record\.index: expected a whole number, got '3'"),
        (("index",), True, r"record\.index: expected a whole number"),
        (("index",), -1, "an index of at least 0"),
        (("name",), None, r"record\.name: expected a text"),
        (("total_seconds",), float("nan"), r"record\.total_seconds: expected a finite number"),
        (("detections",), {}, r"record\.detections: expected a list"),
        (("detections", 1, "score"), None, r"record\.detections\[1\]\.score: expected a finite"),
        (("detections", 1, "box"), [1.0], "boxes of four numbers"),
        (("detections", 0), 5, r"record\.detections\[0\]: expected an object, got 5"),
        (("values", "odam", "p_b"), [1.0], "one value for each of 2 detections, got 1"),
        (("values", "odam"), [], r"record\.values\.odam: expected an object"),
        (("values", "odam", "p_b", 0), "1", r"record\.values\.odam\.p_b\[0\]: expected a finite"),
        (("curves", "odam", "del_s1", "sum"), 1, r"del_s1\.sum: expected a list"),
        (("small_maps", "d-rise"), [], "one value for each of 2 detections"),
        (("further",), 1, "further does not fit"),
    ],
)
def test_a_record_of_another_shape_is_refused_with_its_place(path, value, message):
    content = json.loads(as_line(FULL, RUN))
    for name in ("schema", "run", "checksum"):
        del content[name]
    assert from_line(signed(content), RUN, ImageRecord) == FULL
    part = content
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    with pytest.raises(DamagedRecordError, match=message):
        from_line(signed(content), RUN, ImageRecord)


def test_records_of_another_run_do_not_count(tmp_path):
    write(tmp_path, image(0), run="another run")
    write(tmp_path, image(1))
    assert read_index(tmp_path, RUN, ImageRecord).damaged == Counter({"written by another run": 1})
    assert read(tmp_path) == ([image(1)], 1)


def test_an_image_counts_once(tmp_path):
    failed = image(0, failed="why")
    write(tmp_path, failed, image(0, "b"), image(0, "c"))
    write(tmp_path, failed, image(1, failed="a"), image(1, failed="b"), rank=1)
    assert read(tmp_path)[0] == [image(0, "b"), image(1, failed="a")]


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    real = os.write

    def full(descriptor, content):
        if len(content) > 3:
            return real(descriptor, content[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    with open_writer(tmp_path, 0, RUN) as writer:
        writer.append(image(0))
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            writer.append(image(1))
        monkeypatch.undo()
        assert (tmp_path / "rank-0000.jsonl").read_bytes() == as_line(image(0), RUN) + b"\n"
        writer.append(image(2))
    assert read(tmp_path) == ([image(0), image(2)], 0)


def test_every_record_reaches_the_disk(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    write(tmp_path, image(0), image(1))
    length = len(LINE) + 1
    assert synced == [length, 2 * length]


def test_two_processes_do_not_write_the_same_file(tmp_path):
    with open_writer(tmp_path, 0, RUN):
        with pytest.raises(BenchmarkError, match="another process is writing"):
            write(tmp_path, image(0))
        write(tmp_path, image(1), rank=1)
    write(tmp_path, image(0))
    assert len(read(tmp_path)[0]) == 2


def test_a_link_in_the_place_of_results_is_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "rank-0000.jsonl").symlink_to(outside)
    with pytest.raises(BenchmarkError, match="cannot be written"):
        write(folder, image(0))
    assert outside.read_text() == "mine"


def test_numbers_that_json_lacks_are_never_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"), open_writer(tmp_path, 0, RUN) as writer:
        writer.append(replace(FULL, total_seconds=float("nan")))
    assert read(tmp_path) == ([], 0)
