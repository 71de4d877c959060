"""On a GPU: the same results, no waiting per detection, commands and benchmarks."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import pytest
import torch
from benchmark.tiny_run import means_of, settings, tiny_detector, write_data
from robustness.subjects import CALLS, Subject

import captum_ssgc as ssgc
from captum_ssgc.benchmark import run_benchmark
from captum_ssgc.cli import main

pytestmark = pytest.mark.gpu


def moved(subject: Subject, device: torch.device) -> Subject:
    """The same candidates, on a device."""
    detector = copy.deepcopy(subject.detector)
    detector.model.to(device)
    found = subject.detections.to(device)
    wrapper = ssgc.InstanceScoreWrapper(detector, found)
    layer = detector.layer_for(found, 0)
    return Subject(detector, subject.image.to(device), found, wrapper, layer)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", ["own", "demo_subject"])
def test_a_call_gives_what_it_gives_on_a_cpu(name, kind, request, accelerator):
    subject = request.getfixturevalue(kind)
    expected = subject.calls()[name]()
    found = moved(subject, accelerator).calls()[name]()
    scale = float(expected.detach().abs().max())
    torch.testing.assert_close(found.detach().cpu(), expected.detach(), rtol=0.0, atol=2e-3 * scale)


def test_an_image_of_the_host_is_explained_there(demo_subject, accelerator):
    subject = moved(demo_subject, accelerator)
    here = ssgc.explain(subject.detector, demo_subject.image, top_k=2)
    there = ssgc.explain(subject.detector, subject.image, top_k=2)
    for one, other in zip(here, there, strict=True):
        assert one.heat_map.device.type == accelerator.type
        torch.testing.assert_close(one.heat_map, other.heat_map)
    assert here.overview() is not None


def waits_in(call) -> int:
    """How often the host waited, as CUDA itself says."""
    call()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            call()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("called a synchronizing" in str(one.message) for one in caught)


def test_more_detections_do_not_wait_more_often(accelerator, faster_rcnn, image):
    if accelerator.type != "cuda":
        pytest.skip("only CUDA says when the host waits")
    detector = ssgc.wrap_detector(copy.deepcopy(faster_rcnn).to(accelerator))
    found = detector.detect(image.to(accelerator))[0]
    many = found[found.levels == found.levels[0]]
    few = many[:1]
    assert len(many) > 2
    counts = []
    for chosen in (few, many):
        wrapper = ssgc.InstanceScoreWrapper(detector, chosen)
        cam = ssgc.SSGradCAMPlusPlus(wrapper, detector.level_layers())
        counts.append(waits_in(partial(cam.attribute_instances, image.to(accelerator))))
    assert counts[0] == counts[1]


def test_a_benchmark_gives_what_it_gives_on_a_cpu(tmp_path, accelerator):
    data = write_data(tmp_path, 3)
    chosen = settings(metrics="all", drise_masks=16, perturbed_images=2)
    tables = []
    for device in ("cpu", accelerator):
        detector = tiny_detector()
        detector.model.to(device)
        summary = run_benchmark(detector, data, tmp_path / str(device).replace(":", ""), chosen)
        tables.append(means_of(summary))
    assert tables[1] == pytest.approx(tables[0], rel=1e-3, abs=1e-3)


def test_commands(tmp_path, accelerator):
    device = ["--device", accelerator.type]
    assert main(["demo", *device, "-o", str(tmp_path / "demo")]) == 0
    run = ["benchmark", "--data", "synthetic:2", "--model", "demo", *device, "--masks", "8"]
    assert main([*run, "--top-k", "1", "-o", str(tmp_path / "run")]) == 0
    assert "SSGrad-CAM++" in (tmp_path / "run" / "table.md").read_text()


def test_processes_share_a_gpu(tmp_path, accelerator):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m"]
    command += ["captum_ssgc", "benchmark", "--data", "synthetic:4", "--model", "demo"]
    command += ["--methods", "odam", "--metrics", "pointing-game", "-o", str(tmp_path / "run")]
    command += ["--device", accelerator.type]
    places = [str(Path(ssgc.__file__).parents[1]), *filter(None, sys.path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    stored = json.loads((tmp_path / "run" / "run.json").read_text())
    assert stored["device"].startswith(accelerator.type)
