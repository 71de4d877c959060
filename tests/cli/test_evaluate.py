from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.cli.map_quality import measure_maps
from captum_ssgc.cli.quality_figure import quality_figure
from captum_ssgc.explanations import Explanation


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


@pytest.mark.slow
def test_odd_names_of_files_and_classes(
    run: Callable[..., Any], scene: Path, tmp_path: Path
) -> None:
    odd = scene.rename(tmp_path / ("cost_$5_$6_" + "x" * 120 + ".png"))
    names = tmp_path / "names.txt"
    names.write_text("\n".join("${name}_{" for name in demo.CLASS_NAMES))
    out = tmp_path / "out"
    options = ("--model", "demo", "--labels", names, "--top-k", "1", "--batch-size", "64")
    outcome = run("evaluate", odd, *options, "-o", out)
    assert outcome.code == 0, outcome.err
    assert len(list(out.glob("*/*_curves.png"))) == 1


@pytest.mark.slow
def test_curves_that_cannot_be_divided_are_null_and_a_dash(
    run: Callable[..., Any], scene: Path, tmp_path: Path
) -> None:
    """No candidate above 0.05 is where a detection of 0.01 is."""
    out = tmp_path / "out"
    torch.manual_seed(0)
    model = ("--model", "fasterrcnn_mobilenet_v3_large_320_fpn", "--weights", "none")
    options = (*model, "--score-threshold", "0", "--preset", "odam", "--top-k", "2", "-o", out)
    outcome = run("evaluate", scene, *options)
    assert outcome.code == 0, outcome.err
    assert "cannot be divided" in outcome.out
    content = (out / "scene_evaluation" / "scene_evaluation.json").read_text()
    assert "NaN" not in content
    record = json.loads(content)["maps"][0]
    assert record["score"] < 0.05
    assert record["Del s1"] is None
    assert record["Ins s1"] == 0.0


@pytest.fixture
def left_half() -> tuple[ssgc.Detector, torch.Tensor, list[Explanation]]:
    """A detector of the brightness at the left, a map that says so, and one that is empty."""

    def detect(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        boxes = torch.tensor([[[0.0, 0.0, 4.0, 6.0]]]).expand(len(images), 1, 4)
        return boxes, images[..., :4].mean((1, 2, 3)).reshape(-1, 1, 1)

    left = torch.zeros(6, 8)
    left[:, :4] = 1.0
    found = [
        Explanation(0, "x", 0, 0.5, torch.tensor([0.0, 0.0, 4.0, 6.0]), heat_map, name, "")
        for name, heat_map in (("left", left), ("none", torch.zeros(6, 8)))
    ]
    return ssgc.wrap_detector(detect), torch.full((1, 3, 6, 8), 0.5), found


def test_an_empty_map_is_marked_and_has_the_worst_figures(left_half: Any) -> None:
    evaluation = measure_maps(*left_half, "yamauchi2024", batch_size=4)
    whole, empty = evaluation.records
    assert (whole["empty"], empty["empty"]) == (False, True)
    assert (empty["Del s1"], empty["Ins s1"], empty["P"], empty["eP"]) == (1.0, 0.0, 0.0, 0.0)
    assert whole["Del s1"] < 0.3
    assert whole["Ins s1"] > 0.7


@pytest.mark.parametrize(("preset", "score"), [("yamauchi2024", "s1"), ("drise", "s2")])
def test_the_picture_shows_the_score_of_the_preset(left_half: Any, preset: str, score: str) -> None:
    evaluation = measure_maps(*left_half, preset, batch_size=64)
    figure = quality_figure("a.png", evaluation, preset)
    for ax, kind in zip(figure.axes, ("deletion", "insertion")):
        assert ax.get_title(loc="left").lower().startswith(f"{kind} ({score}, ")
        (drawn,) = [line for line in ax.get_lines() if line.get_label().startswith("left")]
        measured = getattr(evaluation.curves["left"], kind)[score].scores[0]
        torch.testing.assert_close(torch.tensor(drawn.get_ydata()), measured.double())
        assert len(ax.child_axes) == 3


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
