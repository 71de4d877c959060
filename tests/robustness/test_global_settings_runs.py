"""Data sets, diagnoses, pages and whole benchmarks give the same whatever is set for PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from benchmark.tiny_run import means_of, settings, tiny_detector, write_data
from robustness.global_settings import SETTINGS, each_setting, same
from robustness.subjects import Subject
from torch import Tensor

import captum_ssgc as ssgc
from captum_ssgc.benchmark import run_benchmark
from captum_ssgc.benchmark.columns import METRICS
from captum_ssgc.data import CocoDataset, SceneDataset
from captum_ssgc.report.viewer import explained_page, viewer_html

pytestmark = pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")


def of_the_data(file: Path) -> list[Tensor]:
    found: list[Tensor] = []
    for scene in SceneDataset(3, 1, (64, 64)):
        found += [scene.image, scene.boxes, scene.labels, scene.masks, scene.emblem_masks]
    data = CocoDataset(file)
    for image in (data[place] for place in range(len(data))):
        found += [image.load(), image.boxes, image.category_ids, image.crowd]
        found += [image.mask(row, image.size) for row in range(len(image.boxes))]
    return found


@each_setting
def test_data_sets(setting, tmp_path):
    file = write_data(tmp_path, 3)
    expected = of_the_data(file)
    assert len(expected) > 20
    with setting():
        found = of_the_data(file)
    for one, other in zip(found, expected, strict=True):
        same(one, other)


def of_diagnoses(subject: Subject) -> list[Tensor]:
    boxes = torch.tensor([[0.0, 0, 8, 8], [3, 2, 15, 15]], device="cpu", dtype=torch.float32)
    found = ssgc.diagnose(subject.detector, subject.image, boxes, [0, 1], method="odam")
    return [heat_map for one in found for heat_map in one.maps.values()]


@each_setting
def test_diagnoses(setting, own):
    expected = of_diagnoses(own)
    assert expected
    with setting():
        found = of_diagnoses(own)
    for one, other in zip(found, expected, strict=True):
        same(one, other)


@each_setting
def test_a_page(setting, own):
    def page() -> str:
        found = ssgc.explain(own.detector, own.image, score_threshold=0.1, top_k=2)
        return viewer_html([explained_page("photo", own.image, found)])

    expected = page()
    with setting():
        assert page() == expected


def of_a_run(detector: ssgc.Detector, data: Path, folder: Path) -> dict[tuple[str, str], Any]:
    chosen = settings(
        metrics=METRICS,
        floors=("noise", "box", "centre"),
        drise_masks=4,
        perturbed_images=2,
    )
    return means_of(run_benchmark(detector, data, folder, chosen, limit=2))


@pytest.mark.parametrize(
    "setting",
    [
        pytest.param(setting, marks=[] if "meta" in name else pytest.mark.slow)
        for name, setting in SETTINGS.items()
    ],
    ids=SETTINGS,
)
def test_a_benchmark(setting, tmp_path):
    data, detector = write_data(tmp_path, 2), tiny_detector()
    expected = of_a_run(detector, data, tmp_path / "as usual")
    with setting():
        found = of_a_run(detector, data, tmp_path / "otherwise")
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)
