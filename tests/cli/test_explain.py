from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import captum_ssgc as ssgc
from captum_ssgc import explanation
from captum_ssgc._warnings import warn_user
from captum_ssgc.cli import minimal

LABELS = "__background__\nant\nbee\n"


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / f"{folder.name}.json").read_text(encoding="utf-8"))


def test_writes_pictures_and_record_and_prints_them(
    explain_in_full: Callable[..., Any], photo: Path, tmp_path: Path, small_model: nn.Module
) -> None:
    labels = tmp_path / "names.txt"
    labels.write_text(LABELS)
    outcome = explain_in_full(photo, "-o", tmp_path / "out", "--labels", labels)
    assert outcome.code == 0
    assert outcome.err == ""

    folder = tmp_path / "out" / "cat"
    written = record(folder)
    small_model.roi_heads.score_thresh = 0.0
    expected = ssgc.explain(small_model, photo, score_threshold=0.0, top_k=2)
    assert len(written["detections"]) == len(expected) == 2
    rows = {
        int(line.split()[0]): line
        for line in outcome.out.splitlines()
        if line.split()[:1] and line.split()[0].isdecimal()
    }
    for entry, one in zip(written["detections"], expected):
        assert entry["score"] == one.score
        assert entry["box"] == one.box.tolist()
        assert entry["label"] == LABELS.split()[one.label_index]
        (drawn,) = entry["maps"]
        assert drawn["layer"] == one.layer
        assert drawn["method"] == "ssgrad-cam++"
        x1, y1, x2, y2 = one.box.round().int().tolist()
        inside = float(one.heat_map[y1:y2, x1:x2].sum() / one.heat_map.sum())
        assert drawn["energy_in_box"] == pytest.approx(inside, rel=1e-5)
        assert drawn["maximum"] == pytest.approx(float(one.heat_map.max()))
        line = rows[entry["number"]]
        assert line.split()[1:3] == [entry["label"], f"{one.score:.3f}"]
        assert f"{100 * inside:.1f} %" in line
        assert one.layer in line
    assert {path.name for path in folder.iterdir()} == {*written["files"], "cat.json"}
    assert [written["width"], written["height"]] == [64, 48]
    for name in written["files"]:
        with Image.open(folder / name) as picture:
            assert picture.format == "PNG"
            assert 800 <= picture.width <= 1600
            assert np.asarray(picture.convert("L")).std() > 5
    assert str(folder / "cat_overview.png") in outcome.out


def test_several_methods_give_a_comparison_too(
    explain: Callable[..., Any], photo: Path, tmp_path: Path
) -> None:
    outcome = explain(photo, "-o", tmp_path, "--method", "odam,ssgrad-cam++", "--output", "logit")
    assert outcome.code == 0
    written = record(tmp_path / "cat")
    assert "cat_comparison.png" in written["files"]
    assert written["output"] == "logit"
    for entry in written["detections"]:
        assert [drawn["method"] for drawn in entry["maps"]] == ["odam", "ssgrad-cam++"]
        assert len({drawn["file"] for drawn in entry["maps"]}) == 2
    assert outcome.out.count("odam") >= 2


@pytest.mark.slow
def test_all_methods_begin_with_the_default(
    explain: Callable[..., Any], photo: Path, tmp_path: Path
) -> None:
    arguments = ("--method", "all", "--masks", "4", "--option", "forwards=4", "--top-k", "1")
    assert explain(photo, *arguments, "-o", tmp_path).code == 0
    (entry,) = record(tmp_path / "cat")["detections"]
    methods = [drawn["method"] for drawn in entry["maps"]]
    assert methods[0] == "ssgrad-cam++"
    assert sorted(methods) == sorted(ssgc.attr.METHODS)
    layers = {drawn["method"]: drawn["layer"] for drawn in entry["maps"]}
    assert layers["d-rise"] is None


def test_chosen_layers_are_used(explain: Callable[..., Any], photo: Path, tmp_path: Path) -> None:
    layers = "backbone.fpn.layer_blocks.0,backbone.fpn.layer_blocks.1"
    assert explain(photo, "--layer", layers, "--top-k", "1", "-o", tmp_path).code == 0
    (drawn,) = record(tmp_path / "cat")["detections"][0]["maps"]
    assert drawn["layer"] == layers.replace(",", ", ")


def test_images_of_one_name_do_not_overwrite_one_another(
    explain: Callable[..., Any], photo: Path, tmp_path: Path
) -> None:
    other = tmp_path / "more" / "cat.png"
    other.parent.mkdir()
    Image.new("RGB", (64, 48), "teal").save(other)
    third = Path(shutil.copy(photo, tmp_path / "Cat.bmp"))
    assert explain(photo, other, third, "--top-k", "1", "-o", tmp_path / "out").code == 0
    folders = sorted(path.name.lower() for path in (tmp_path / "out").iterdir())
    assert folders == ["cat", "cat-2", "cat-3"]
    sources = {record(path)["image"] for path in (tmp_path / "out").iterdir()}
    assert sources == {str(photo), str(other), str(third)}


def test_one_bad_image_does_not_stop_the_others(
    explain: Callable[..., Any], photo: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("no image")
    cut = tmp_path / "cut.png"
    cut.write_bytes(photo.read_bytes()[:2000])
    missing = tmp_path / "missing.png"
    outcome = explain(missing, text, cut, photo, "--top-k", "1", "-o", tmp_path / "out")
    assert outcome.code == 2
    assert len(outcome.lines) == 3
    for line, path in zip(outcome.lines, (missing, text, cut)):
        assert line.startswith("captum-ssgc: error: ")
        assert str(path) in line
    assert (tmp_path / "out" / "cat" / "cat.json").exists()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        pytest.param(ZeroDivisionError("x"), marks=pytest.mark.slow),
        pytest.param(AssertionError(), marks=pytest.mark.slow),
    ],
    ids=repr,
)
def test_nothing_that_goes_wrong_with_one_image_stops_the_others(
    explain: Callable[..., Any],
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    bad = Path(shutil.copy(photo, tmp_path / "bad.png"))
    real = ssgc.load_image

    def load(path: Path, *further: Any) -> Any:
        if path == bad:
            raise error
        return real(path, *further)

    monkeypatch.setattr("captum_ssgc.images.load_image", load)
    outcome = explain(bad, photo, "--top-k", "1", "-o", tmp_path / "out")
    assert outcome.code == 2
    (line,) = outcome.lines
    assert line.startswith(f"captum-ssgc: error: {bad}: ")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cat"]


def test_a_full_disk_leaves_no_folder_behind(
    explain: Callable[..., Any], photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("captum_ssgc.cli.folders.ResultFolder.add_record", full)
    outcome = explain(photo, "--top-k", "1", "-o", tmp_path / "out")
    assert outcome.code == 2
    (line,) = outcome.lines
    assert "No space left on device" in line
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_and_a_pattern(explain: Callable[..., Any], photo: Path, tmp_path: Path) -> None:
    shutil.copy(photo, photo.with_name("dog.png"))
    (photo.parent / "notes.txt").write_text("no image")
    empty = tmp_path / "empty"
    empty.mkdir()
    given = (photo.parent, empty, tmp_path / "*" / "d*.png")
    outcome = explain(*given, "--top-k", "1", "-o", tmp_path / "out")
    assert outcome.code == 2
    assert outcome.lines == [f"captum-ssgc: error: {empty}: the folder holds no image file"]
    folders = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert folders == ["cat", "dog", "dog-2"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("x" * 250, marks=pytest.mark.slow),
        "é" * 120,
        pytest.param("cost_$5_{x}", marks=pytest.mark.slow),
        pytest.param(os.fsdecode(b"caf\xe9\xff"), marks=pytest.mark.slow),
        pytest.param("\x1b[31mred\n", marks=pytest.mark.slow),
        pytest.param("nul", marks=pytest.mark.slow),
    ],
    ids=["long", "bytes", "formula", "no text", "escapes", "device"],
)
def test_odd_names_of_files_and_classes(
    explain: Callable[..., Any], photo: Path, tmp_path: Path, name: str
) -> None:
    odd = photo.rename(photo.with_name(f"{name}.png"))
    labels = tmp_path / "names.json"
    labels.write_text(
        json.dumps(["background", "\x1b[2Jan\ud800t" + "ü" * 200, "$x_{\n" + "b" * 300])
    )
    outcome = explain(odd, "-o", tmp_path / "out", "--labels", labels, "--methods", "odam,grad-cam")
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    assert "\x1b" not in outcome.out
    (folder,) = (tmp_path / "out").iterdir()
    assert len(list(folder.iterdir())) == 7
    written = record(folder)
    assert written["image"] == str(odd)


def test_options_reach_the_maps(
    explain: Callable[..., Any], photo: Path, tmp_path: Path, small_model: nn.Module
) -> None:
    chosen = ("--method", "odam,grad-cam", "--top-k", "1")
    arguments = (*chosen, "--option", "smoothing=1", "--mask", "none")
    assert explain(photo, *arguments, "-o", tmp_path).code == 0
    small_model.roi_heads.score_thresh = 0.0
    options = {"odam": {"smoothing": 1}}
    expected = ssgc.explain(
        small_model, photo, ["odam"], score_threshold=0.0, top_k=1, method_options=options
    )
    plain = ssgc.explain(small_model, photo, ["odam"], score_threshold=0.0, top_k=1)
    found = record(tmp_path / "cat")["detections"]
    for entry, one, other in zip(found, expected, plain, strict=True):
        first, second = entry["maps"]
        assert first["options"] == {"smoothing": 1}
        assert second["options"] == {}
        assert first["maximum"] == pytest.approx(float(one.heat_map.max()))
        assert first["maximum"] != pytest.approx(float(other.heat_map.max()))


def test_nothing_detected_says_how_close_it_was(
    explain: Callable[..., Any], photo: Path, tmp_path: Path, small_model: nn.Module
) -> None:
    with torch.no_grad():
        highest = float(small_model([ssgc.load_image(photo)[0]])[0]["scores"].max())
    outcome = explain(photo, "--score-threshold", "1", "-o", tmp_path / "out")
    assert outcome.code == 1
    assert len(outcome.lines) == 1
    assert str(photo) in outcome.err
    assert f"the highest score is {highest:.3f}" in outcome.err
    assert outcome.out == ""
    assert list((tmp_path / "out").iterdir()) == []


def test_the_exit_code_is_the_worst(
    explain: Callable[..., Any], photo: Path, tmp_path: Path
) -> None:
    outcome = explain(photo, tmp_path / "none.png", "--score-threshold", "1", "-o", tmp_path)
    assert outcome.code == 2
    assert len(outcome.lines) == 2


def test_an_all_zero_map_is_a_warning_line_not_a_failure(
    explain: Callable[..., Any], photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = explanation.explain

    def emptied(*args: Any, **options: Any) -> Any:
        warn_user("all-zero map")
        warnings.warn("somebody else's", UserWarning, stacklevel=1)
        found = real(*args, **options)
        return found.with_entries(replace(one, heat_map=0 * one.heat_map) for one in found)

    monkeypatch.setattr(explanation, "explain", emptied)
    outcome = explain(photo, "--top-k", "1", "-o", tmp_path)
    assert outcome.code == 0
    assert outcome.lines == [f"captum-ssgc: warning: {photo}: all-zero map"]
    (drawn,) = record(tmp_path / "cat")["detections"][0]["maps"]
    assert drawn["energy_in_box"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--layer", "backbone.nope"), "no layer 'backbone.nope'"),
        (("--method", "grad-cam,oddam"), "--method: expected one of .*ssgrad-cam.*'oddam'"),
        (("--method", ","), "--method: expected at least one"),
        (("--methods", "gradcam"), "got 'gradcam'; did you mean grad-cam?"),
        (("--method", "odam,odam[smoothing=1]"), "--method: every method once here"),
        (("--option", "smoothing"), "expected NAME=VALUE"),
        (("--option", "grid=4x4"), "--option grid: no chosen method takes it"),
        (("--option", "smoothing=-1"), r"--option ssgrad-cam\+\+.smoothing: expected a width"),
        (("--method", "odam[smoothing=nan]"), "--option odam.smoothing: expected a width"),
        (("-o", ""), "-o/--output-dir: expected a name, got ''"),
        (("--checkpoint", " "), "--checkpoint: expected a name, got ' '"),
        (("--canvas", "64"), "--canvas: for exported files"),
        (("--mask", "circle"), "--mask: expected region, box, mask or none, got 'circle'"),
        (("--method", "odam[output=none]"), "--option odam.output: expected a text, got None"),
        (("--option", "odam.output=up", "--method", "odam"), "--option odam.output: expected one"),
        (("--method", "all[smoothing=1]"), "got 'all' with smoothing=1; .* --option smoothing=1"),
        (("--output", "middle"), "--output: expected one of score, logit, left"),
        (("--device", "warp"), "--device warp cannot be used here"),
        (("--device", "hpu"), "--device hpu cannot be used here"),
        (("--device", "meta"), "--device meta cannot be used here"),
        (("--device", "cpu:-1"), "--device cpu:-1 cannot be used here"),
        (("--top-k", "0"), "--top-k: expected a whole number"),
        (("--max-detections", "0"), "--max-detections: expected a whole number"),
        (("--score-above", "x"), "--score-above: expected a number from 0 to 1, got x"),
        (("--score-threshold", "50"), "--score-threshold: expected a number from 0 to 1, got 50"),
        (("--weights", "none"), "--weights and --checkpoint exclude each other"),
        (("--labels", "no_such_file.txt"), "--labels no_such_file.txt cannot be read"),
        (("--labels", "/dev/zero"), "--labels /dev/zero cannot be read"),
        (("--labels", "."), r"--labels \. cannot be read"),
        (("-o", "x" * 300), "-o x+ cannot be used: .*too long"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_wrong_options_are_one_clear_line(
    explain: Callable[..., Any],
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = explain(photo, "-o", tmp_path / "out", *arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    (line,) = outcome.lines
    assert "error: " in line
    assert re.search(message, line)


def test_a_folder_that_cannot_be_made(explain: Callable[..., Any], photo: Path) -> None:
    outcome = explain(photo, "-o", photo / "out")
    assert outcome.code == 2
    (line,) = outcome.lines
    assert f"-o {photo / 'out'} cannot be used" in line


def test_traceback_on_request(explain: Callable[..., Any], photo: Path, tmp_path: Path) -> None:
    outcome = explain(photo, "-o", tmp_path, "--layer", "nope", "--traceback")
    assert outcome.code == 2
    assert outcome.err.startswith("Traceback")
    assert outcome.lines[-1].startswith("captum-ssgc: error: ")


def test_real_photo_with_yolox(run: Callable[..., Any], shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    content = json.loads((shared_data / "coco_val_50" / "instances.json").read_text())
    categories = sorted(content["categories"], key=lambda category: category["id"])
    names = tmp_path / "coco.json"
    names.write_text(json.dumps([category["name"] for category in categories]))
    outcome = run(
        "explain",
        shared_data / "coco_val_50" / "images" / "000000423617.jpg",
        *("--model", f"onnx:{shared_data / 'yolox_nano_coco.onnx'}"),
        *("--labels", names, "--top-k", "2", "-o", tmp_path),
    )
    assert outcome.code == 0
    assert outcome.err == ""
    found = record(tmp_path / "000000423617")["detections"]
    assert [entry["label"] for entry in found] == ["car", "bus"]
    assert all(entry["maps"][0]["energy_in_box"] > 0.8 for entry in found)


@pytest.mark.slow
def test_minimal_draws_and_records_the_smallest_sets(
    explain: Callable[..., Any], photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = partial(minimal.minimal_sets, forwards=4)
    monkeypatch.setattr(minimal, "minimal_sets", few)
    arguments = ("--method", "odam,ssgrad-cam++", "--top-k", "1", "--minimal", "-o", tmp_path)
    assert explain(photo, *arguments).code == 0
    assert (tmp_path / "cat" / "cat_minimal.png").is_file()
    for entry in record(tmp_path / "cat")["detections"]:
        found = entry["minimal"]
        assert 0 < found["is_enough"]["area"] <= 1
        assert found["is_enough"]["score"] >= 0.5 * entry["score"] - 1e-4
        assert set(found["is_lost_without"]) == {"area", "score"}
