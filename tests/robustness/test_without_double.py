"""On a device without double precision, as Apple's, everything is as it is on the host."""

from __future__ import annotations

import copy

import pytest
import torch
from benchmark.tiny_run import means_of, settings, tiny_detector, write_data
from detectors.conftest import SLOW, VENDORS
from elsewhere import Elsewhere, There
from robustness.subjects import CALLS, Subject
from robustness.test_global_settings import of_every_metric

import captum_ssgc as ssgc
from captum_ssgc import metrics
from captum_ssgc.attr import METHODS
from captum_ssgc.benchmark import run_benchmark


def sent(subject: Subject, device: torch.device) -> Subject:
    """A copy."""
    detector = copy.deepcopy(subject.detector)
    detector.model.to(device)
    found = subject.detections.to(device)
    wrapper = ssgc.InstanceScoreWrapper(detector, found)
    layer = detector.layer_for(found, 0)
    return Subject(detector, subject.image.to(device), found, wrapper, layer)


@pytest.mark.parametrize("name", CALLS)
def test_a_call(name, own):
    expected = own.calls()[name]().detach()
    with Elsewhere(double=False) as device:
        found = sent(own, device).calls()[name]().detach()
    scale = float(expected.abs().max())
    torch.testing.assert_close(found.cpu(), expected, rtol=0.0, atol=1e-5 * scale)


def explained(subject: Subject, methods: list[str]) -> list[ssgc.Explanation]:
    return ssgc.explain(subject.detector, subject.image, methods, score_threshold=0.0, top_k=3)


FEW = [
    ("demo", "demo"),
    ("torchvision", "retinanet"),
    ("transformers", "detr"),
    ("ultralytics", "yolo11n"),
    ("ultralytics", "yolov8n-obb"),
]
# The vendor's forward makes its places in double precision.
THEIR_OWN_DOUBLE = ("rt-detr", "rt-detr-v2", "d-fine", "deim-v2")
ALL = [(vendor, name) for part in (VENDORS, SLOW) for vendor in part for name in part[vendor]]
FAMILIES = [
    *FEW,
    *(pytest.param(one, marks=pytest.mark.slow) for one in ALL if one not in FEW),
]


@pytest.mark.filterwarnings("ignore:.*all-zero map")
@pytest.mark.parametrize("family", FAMILIES, ids=lambda one: "-".join(one))
def test_a_vendors_model(family, families):
    subject = families(*family)
    methods = [name for name in METHODS if METHODS[name].gradient_based]
    expected = explained(subject, methods)
    with Elsewhere(double=family[1] in THEIR_OWN_DOUBLE) as device:
        found = explained(sent(subject, device), methods)
        assert isinstance(found[0].heat_map, There)
        maps = [one.heat_map.cpu() for one in found]
    for one, ours, theirs in zip(maps, found, expected, strict=True):
        assert (ours.method, ours.label) == (theirs.method, theirs.label)
        scale = float(theirs.heat_map.max())
        torch.testing.assert_close(one, theirs.heat_map, rtol=0.0, atol=1e-3 * scale)


@pytest.mark.slow
def test_every_metric(own):
    expected = of_every_metric(own)
    with Elsewhere(double=False) as device:
        found = of_every_metric(sent(own, device))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.detach().cpu(), other, equal_nan=True)


def test_metrics_of_maps(own):
    boxes = torch.tensor([[1.0, 2, 9, 12], [4, 4, 15, 15]])
    maps = torch.rand(2, 16, 16, generator=torch.Generator().manual_seed(0))
    masks = maps > 0.5
    calls = {
        "pointing": lambda a, b, m: metrics.pointing_game(a, boxes=b),
        "energy": lambda a, b, m: metrics.energy_pointing_game(a, boxes=b),
        "energy in masks": lambda a, b, m: metrics.energy_pointing_game(a, masks=m),
        "ranks": lambda a, b, m: metrics.rank_correlation(a, a.flip(-1)),
        "similarity": lambda a, b, m: metrics.structural_similarity(a, a.flip(-1)),
    }
    for name, call in calls.items():
        expected = call(maps, boxes, masks).values
        with Elsewhere(double=False) as device:
            found = call(maps.to(device), boxes.to(device), masks.to(device)).values.cpu()
        torch.testing.assert_close(found, expected, msg=name)


def test_boxes_pictures_and_tables(own, tmp_path):
    with Elsewhere(double=False) as device:
        subject = sent(own, device)
        boxes, labels = subject.detections.boxes, subject.detections.labels
        found = ssgc.explain(subject.detector, subject.image, boxes=boxes, labels=labels)
        found.overview().savefig(tmp_path / "it.png")
        found.save_html(tmp_path / "it.html")
    assert (tmp_path / "it.html").stat().st_size > 1000


def test_a_benchmark(tmp_path):
    data = write_data(tmp_path, 2)
    chosen = settings(metrics=("all", "infidelity"), drise_masks=8, perturbed_images=2)
    tables = []
    for name in ("host", "elsewhere"):
        detector = tiny_detector()
        if name == "host":
            summary = run_benchmark(detector, data, tmp_path / name, chosen)
        else:
            with Elsewhere(double=False) as device:
                detector.model.to(device)
                summary = run_benchmark(detector, data, tmp_path / name, chosen)
        tables.append(means_of(summary))
    assert tables[1] == pytest.approx(tables[0], rel=1e-4, abs=1e-5)


def test_what_comes_in_double_precision(own):
    """Images, boxes, masks and maps of NumPy and others."""
    image, boxes, labels = own.image.double(), own.detections.boxes, own.detections.labels
    known = {"boxes": boxes.double().numpy(), "labels": labels.numpy()}
    curves = metrics.CurveSettings(steps=2, patches=4)
    with Elsewhere(double=False) as device:
        there = sent(own, device)
        cam = ssgc.SSGradCAMPlusPlus(there.wrapper, there.layer)
        found = [
            ssgc.explain(there.detector, image, score_threshold=0.0),
            ssgc.explain(there.detector, image, "refined-cam", score_threshold=0.0, top_k=1),
            ssgc.explain(there.detector, image, **known),
            ssgc.diagnose(there.detector, image, boxes.double().numpy(), labels.tolist()),
        ]
        for size in ((8, 8), (16, 16)):
            mask = torch.ones(1, 1, *size, dtype=torch.float64)
            assert cam.attribute(there.image, target=0, mask=mask).cpu().max() > 0
        measured = metrics.deletion_insertion(
            *(there.detector, there.image, own.detections),
            {"a": own.image[:, 0].double().expand(len(boxes), -1, -1)},
            curves,
        )["a"]
    assert all(len(one) for one in found)
    assert measured.deletion["s1"].scores.cpu().isfinite().all()
