"""``explain --reliance`` and contrasts."""

from __future__ import annotations

import json
import re

import pytest
import torch

import captum_ssgc as ssgc
from captum_ssgc.metrics import reliance

LABELS = "__background__\nant\nbee\n"


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text(LABELS)
    return path


def record(folder):
    return json.loads((folder / "cat" / "cat.json").read_text(encoding="utf-8"))


def test_what_detections_rest_on_is_printed_and_written(explain, photo, tmp_path, small_model):
    out = tmp_path / "out"
    outcome = explain(photo, "-o", out, "--reliance", "--html", "--top-k", "1")
    assert outcome.code == 0
    small_model.roi_heads.score_thresh = 0.0
    detector = ssgc.wrap_detector(small_model)
    image = ssgc.load_image(photo)
    found = ssgc.explain(detector, image, score_threshold=0.0, top_k=1)
    expected = reliance(
        detector,
        image,
        detector.detect(image)[0][[one.index for one in found]],
        torch.stack([one.heat_map for one in found]),
    )
    entries = record(out)["detections"]
    text = (out / "heat_maps.html").read_text(encoding="utf-8")
    [page] = json.loads(re.search(r'id="index"[^>]*>(.*?)</script>', text, re.DOTALL)[1])
    for entry, shown, one in zip(entries, page["entries"], expected, strict=True):
        assert entry["rests_on"]["words"] == str(one)
        assert entry["rests_on"]["verdict"] == one.verdict
        assert entry["rests_on"]["without"] == pytest.approx(dict(one.without))
        assert entry["rests_on"]["energy_in_box"] == pytest.approx(one.energy_in_box)
        assert f"  {entry['number']} {entry['label']} {one}" in outcome.out.splitlines()
        assert shown["verdict"] == one.words
        assert ["Tried", str(one)] in shown["facts"]


@pytest.mark.slow
def test_a_map_of_an_edge_does_not_say_what_a_score_rests_on(explain, photo, tmp_path):
    assert explain(photo, "-o", tmp_path / "out", "--reliance", "--output", "left").code == 0
    for one in record(tmp_path / "out")["detections"]:
        assert one["rests_on"]["energy_in_box"] is None


@pytest.mark.parametrize(
    "given",
    [
        ("--output", "contrast:ant"),
        pytest.param(("--option", "output=contrast:1"), marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_a_contrast_is_a_text(explain, photo, tmp_path, small_model, labels, given):
    outcome = explain(photo, "-o", tmp_path / "out", "--labels", labels, *given)
    assert outcome.code == 0
    assert all("rests_on" not in one for one in record(tmp_path / "out")["detections"])
    small_model.roi_heads.score_thresh = 0.0
    expected = ssgc.explain(small_model, photo, score_threshold=0.0, top_k=2, output=("logit", 1))
    assert float(expected[0].heat_map.max()) > 0.0
    for entry, one in zip(record(tmp_path / "out")["detections"], expected, strict=True):
        assert entry["maps"][0]["maximum"] == pytest.approx(float(one.heat_map.max()), rel=1e-4)


def test_a_class_that_does_not_exist_is_named_once(explain, photo, tmp_path, labels):
    outcome = explain(photo, "-o", tmp_path / "out", "--labels", labels, "--output", "contrast:be")
    assert outcome.code == 2
    assert len(outcome.lines) == 1
    assert "--output: the detector knows no 'be'; expected one of __background__, ant, bee; " in (
        outcome.err
    )
    assert "did you mean bee?" in outcome.err


def test_what_is_no_output_is_said(explain, photo, tmp_path):
    outcome = explain(photo, "-o", tmp_path / "out", "--output", "contrast:")
    assert outcome.code == 2
    assert "--output: expected contrast:NAME" in outcome.err
