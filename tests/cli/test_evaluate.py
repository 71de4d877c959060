from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from captum_ssgc import demo


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    from PIL import Image

    pixels = (demo.scene(3).image * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "scene.png")
    return tmp_path / "scene.png"


def test_the_table_the_curves_and_the_record(
    run: Callable[..., Any], scene: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ("--model", "demo", "--method", "odam,ssgrad-cam++", "--top-k", "1", "-o", out)
    outcome = run("evaluate", scene, *options)
    assert outcome.code == 0
    assert "Del s1  Del s2  Ins s1  Ins s2" in outcome.out
    record = json.loads((out / "scene_evaluation" / "scene_evaluation.json").read_text())
    assert [one["method"] for one in record["maps"]] == ["odam", "ssgrad-cam++"]
    for one in record["maps"]:
        assert 0.0 <= one["Del s1"] < one["Ins s1"]
        assert one["P"] == 1.0
        assert 0.5 < one["eP"] <= 1.0
    assert (out / "scene_evaluation" / "scene_evaluation_curves.png").stat().st_size > 5000


def test_nothing_detected_and_bad_files(
    run: Callable[..., Any], scene: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    outcome = run("evaluate", scene, "--model", "demo", "--score-threshold", "1", "-o", out)
    assert outcome.code == 1
    assert "the highest score is" in outcome.err
    outcome = run("evaluate", tmp_path / "none.png", "--model", "demo", "-o", out)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "does not exist" in outcome.err
