from __future__ import annotations

import json

import pytest

from captum_ssgc.benchmark import BenchmarkError, BenchmarkSettings
from captum_ssgc.benchmark.run_folder import RunFolder, differences, write_whole


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


DESCRIPTION = {
    "task": "benchmark",
    "settings": BenchmarkSettings().as_json(),
    "data": {"kind": "x", "images": 3, "left_out": [], "ignored_annotations": {}},
    "model": {"name": "x"},
    "device": "cpu",
    "versions": {},
}


@pytest.mark.parametrize("part", [part for part in DESCRIPTION if part != "task"])
@pytest.mark.parametrize("value", [None, 7, [], {"methods": ["cam"], "images": "3"}], ids=repr)
def test_a_description_that_was_changed_is_refused(tmp_path, part, value):
    RunFolder(tmp_path).claim(DESCRIPTION)
    RunFolder(tmp_path).check_description("benchmark", BenchmarkSettings.from_json)
    value = 7 if part == "versions" else value
    (tmp_path / "run.json").write_text(json.dumps(DESCRIPTION | {part: value}))
    with pytest.raises(BenchmarkError, match=r"run\.json does not describe a run \("):
        RunFolder(tmp_path).check_description("benchmark", BenchmarkSettings.from_json)


def test_a_run_of_another_task_is_refused(tmp_path):
    folder = RunFolder(tmp_path)
    folder.claim(DESCRIPTION)
    message = r'holds a run of "benchmark", not of "audit": use another folder'
    with pytest.raises(BenchmarkError, match=message):
        folder.claim(DESCRIPTION | {"task": "audit"})
    with pytest.raises(BenchmarkError, match=message):
        folder.check_description("audit", BenchmarkSettings.from_json)


def test_runs_that_differ_have_other_fingerprints(tmp_path):
    prints = set()
    for number, device in enumerate(("cpu", "cuda")):
        folder = RunFolder(tmp_path / str(number))
        folder.claim(DESCRIPTION | {"device": device})
        prints.add(folder.fingerprint())
    assert len(prints) == 2


def test_a_link_is_replaced_and_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (tmp_path / "table.csv").symlink_to(outside)
    write_whole(tmp_path / "table.csv", b"new")
    assert outside.read_text() == "mine"
    assert (tmp_path / "table.csv").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "table.csv"]


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "table.csv", b"new")
    assert list(tmp_path.iterdir()) == []
