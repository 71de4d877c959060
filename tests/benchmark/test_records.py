from __future__ import annotations

import errno
import os

import pytest

from captum_ssgc.benchmark import BenchmarkError
from captum_ssgc.benchmark.records import open_writer, read_index
from captum_ssgc.benchmark.run_folder import RunFolder, differences


def write(folder, *records, rank=0):
    with open_writer(folder, rank) as writer:
        for record in records:
            writer.append(record)


def read(folder):
    index = read_index(folder)
    return list(index.records()), index.damaged


def test_records_come_back_in_the_order_of_the_images(tmp_path):
    write(tmp_path, {"index": 4}, {"index": 0, "name": "é"})
    write(tmp_path, {"index": 2}, rank=1)
    assert read(tmp_path) == ([{"index": 0, "name": "é"}, {"index": 2}, {"index": 4}], 0)


def test_nothing_stored_is_nothing(tmp_path):
    assert read(tmp_path) == ([], 0)


LINE = b'{"index":1,"value":2}'


@pytest.mark.parametrize("length", range(len(LINE)))
def test_a_line_cut_off_anywhere_counts_as_not_written(tmp_path, length):
    write(tmp_path, {"index": 0})
    file = tmp_path / "rank-0000.jsonl"
    with file.open("ab") as stream:
        stream.write(LINE[:length])
    assert read(tmp_path) == ([{"index": 0}], int(length > 0))
    write(tmp_path, {"index": 1, "value": 3})
    assert read(tmp_path) == ([{"index": 0}, {"index": 1, "value": 3}], int(length > 0))


def test_a_line_that_lacks_only_its_end_counts(tmp_path):
    (tmp_path / "rank-0000.jsonl").write_bytes(LINE)
    write(tmp_path, {"index": 2})
    assert read(tmp_path) == ([{"index": 1, "value": 2}, {"index": 2}], 0)


@pytest.mark.parametrize("damage", [b"\x00" * 40, b"\xff\xfe", b"[1]", b'{"value":1}', b"null"])
def test_damage_in_the_middle_costs_one_line(tmp_path, damage):
    (tmp_path / "rank-0000.jsonl").write_bytes(b'{"index":0}\n' + damage + b"\n" + LINE + b"\n")
    assert read(tmp_path) == ([{"index": 0}, {"index": 1, "value": 2}], 1)


def test_an_image_counts_once(tmp_path):
    failed = {"index": 0, "failed": "why"}
    write(tmp_path, failed, {"index": 0, "value": 1}, {"index": 0, "value": 2})
    write(tmp_path, failed, {"index": 1, "failed": "a"}, {"index": 1, "failed": "b"}, rank=1)
    assert read(tmp_path)[0] == [{"index": 0, "value": 1}, {"index": 1, "failed": "a"}]


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    real = os.write

    def full(descriptor, content):
        if len(content) > 3:
            return real(descriptor, content[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    with open_writer(tmp_path, 0) as writer:
        writer.append({"index": 0})
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            writer.append({"index": 1, "value": "long enough to be cut"})
        monkeypatch.undo()
        assert (tmp_path / "rank-0000.jsonl").read_bytes() == b'{"index":0}\n'
        writer.append({"index": 2})
    assert read(tmp_path) == ([{"index": 0}, {"index": 2}], 0)


def test_every_record_reaches_the_disk(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    write(tmp_path, {"index": 0}, {"index": 1})
    assert synced == [12, 24]


def test_two_processes_do_not_write_the_same_file(tmp_path):
    with open_writer(tmp_path, 0):
        with pytest.raises(BenchmarkError, match="another process is writing"):
            write(tmp_path, {"index": 0})
        write(tmp_path, {"index": 1}, rank=1)
    write(tmp_path, {"index": 0})
    assert len(read(tmp_path)[0]) == 2


def test_the_first_process_claims_the_folder_and_the_others_agree(tmp_path):
    folder = RunFolder(tmp_path / "a" / "run")
    for _ in range(2):
        folder.claim({"settings": {"seed": 0, "grid": (3, 4)}})
    assert folder.description() == {"settings": {"seed": 0, "grid": [3, 4]}}
    assert sorted(path.name for path in folder.root.iterdir()) == ["results", "run.json"]


def test_another_run_is_refused_with_all_differences(tmp_path):
    folder = RunFolder(tmp_path)
    folder.claim({"settings": {"seed": 0, "layer": None}, "device": "cpu"})
    with pytest.raises(BenchmarkError) as error:
        folder.claim({"settings": {"seed": 1, "layer": ["a"]}, "device": "cpu", "data": "x"})
    text = str(error.value)
    assert "settings.seed is 0 there and 1 here" in text
    assert 'settings.layer is null there and ["a"] here' in text
    assert 'data is null there and "x" here' in text
    assert "device" not in text


def test_equal_values_do_not_differ():
    assert differences({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "holds no run"), ("{", "cannot be read"), ("[]", "does not describe a run")],
)
def test_a_folder_without_a_run_is_said_to_be_one(tmp_path, content, message):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(BenchmarkError, match=message):
        RunFolder(tmp_path).description()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchmarkError, match=r"file/run cannot be used for results"):
        RunFolder(tmp_path / "file" / "run").claim({})
