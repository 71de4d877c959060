from __future__ import annotations

import json

import pytest

from captum_ssgc.cli import data_runs, main


@pytest.fixture
def command(tmp_path, tiny, own_data, monkeypatch):
    """The command with the detector of ``tiny_run``."""
    monkeypatch.setattr(data_runs, "load_detector", lambda choice: tiny.tiny_detector())

    def run(*further, data=str(own_data)):
        return main(["audit", "--data", data, "-o", str(tmp_path / "run"), *further])

    return run


def test_an_audit_of_a_file(command, capsys, tmp_path):
    assert command("--fills", "zero", "--limit", "3", "--examples", "1") == 0
    shown = capsys.readouterr()
    assert "annotated objects were found" in shown.out
    assert "on context" in shown.out
    assert "images are taken from" not in shown.err
    folder = tmp_path / "run"
    assert {path.name for path in folder.iterdir()} == {
        *("run.json", "results", "examples", "audit.html", "audit.json"),
        *("classes.csv", "findings.csv"),
    }  # fmt: skip
    assert json.loads((folder / "run.json").read_text())["task"] == "audit"
    assert command("--report-only") == 0
    assert command("--fills", "mean") == 2
    assert 'settings.fills is ["zero"] there and ["mean"] here' in capsys.readouterr().err


def test_where_the_images_are_is_said(command, capsys, own_data, tmp_path):
    (tmp_path / "annotations").mkdir()
    file = own_data.rename(tmp_path / "annotations" / "instances.json")
    assert command("--fills", "zero", "--limit", "1", data=str(file)) == 0
    assert f"the images are taken from {tmp_path / 'data'} (--images)" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["audit", "benchmark"])
def test_data_are_checked_before_a_model_is_loaded(name, tmp_path, capsys, monkeypatch, own_data):
    def load(choice):
        raise AssertionError("a model is loaded")

    monkeypatch.setattr(data_runs, "load_detector", load)
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    assert main([name, "--data", str(broken), "-o", str(tmp_path / "run")]) == 2
    assert "broken.json is not valid JSON" in capsys.readouterr().err
    (tmp_path / "far" / "away").mkdir(parents=True)
    file = own_data.rename(tmp_path / "far" / "away" / "instances.json")
    assert main([name, "--data", str(file), "-o", str(tmp_path / "run")]) == 2
    assert "such as image_000.png, were not found; looked in" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--examples", "-1"), "--examples: expected a number of at least 0"),
        (("--method", "d-rise"), "cannot tell what speaks for"),
        (("--without", "2"), "without: expected a number in [0, 1]"),
        (("--layer", "nowhere"), "no layer 'nowhere'"),
        (
            ("--data", "synthetic:1", "--images", "x"),
            "--images: for a JSON file; the images of syn",
        ),
    ],
)
def test_bad_options_are_named(command, capsys, tmp_path, options, message):
    assert command(*options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_classes_that_are_not_known_and_lines_that_are_damaged_are_said(
    command, capsys, own_data, tmp_path
):
    content = json.loads(own_data.read_text())
    [violet] = [one for one in content["categories"] if one["name"] == "blue"]
    violet["name"] = "violet"
    own_data.write_text(json.dumps(content))
    count = sum(
        one["category_id"] == violet["id"] and not one.get("iscrowd")
        for one in content["annotations"]
    )
    assert command("--fills", "zero", "--method", "none") == 0
    said = f"{count} of {len(content['annotations'])} annotations are of classes that the detector"
    shown = capsys.readouterr().err
    assert said in shown
    assert "damaged" not in shown
    [file] = (tmp_path / "run" / "results").glob("*.jsonl")
    file.write_bytes(b"{}\n" + file.read_bytes()[:-9])
    assert command("--report-only") == 0
    assert "2 stored lines are damaged or of another run" in capsys.readouterr().err


def test_nothing_that_is_annotated_is_found(command, capsys, own_data):
    content = json.loads(own_data.read_text())
    for one in content["annotations"]:
        one["bbox"] = [value / 3 for value in one["bbox"]]
    own_data.write_text(json.dumps(content))
    assert command("--fills", "zero", "--method", "none") == 0
    assert "none of these, images, boxes or classes are often not those" in capsys.readouterr().out


def test_no_data_is_a_usage_error(capsys, tmp_path):
    assert main(["audit", "-o", str(tmp_path)]) == 2
    assert "--data is needed" in capsys.readouterr().err


@pytest.mark.slow
def test_scenes_and_the_detector_in_the_box(capsys, tmp_path):
    """Nothing is accused."""
    assert main(["audit", "--data", "synthetic:3", "-o", str(tmp_path)]) == 0
    assert "rests on its surroundings or on a neighbour" in capsys.readouterr().out
    content = json.loads((tmp_path / "audit.json").read_text())
    verdicts = {one["verdict"] for one in content["annotations"] + content["detections"]}
    assert verdicts <= {"object", "object with surroundings", None}
