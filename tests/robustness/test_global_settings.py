"""Everything works, and gives the same, whatever is set for all of PyTorch."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path
from types import FrameType

import matplotlib as mpl
import pytest
import torch
from robustness.global_settings import each_setting, each_telling_setting, same
from robustness.interrupting import OURS
from robustness.subjects import CALLS, Subject
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors

import captum_ssgc as ssgc
from captum_ssgc import metrics, visualization
from captum_ssgc.attr import METHODS

mpl.use("agg")
pytestmark = pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")


@each_setting
def test_calls(setting, own):
    expected = {name: own.calls()[name]() for name in CALLS}
    with setting():
        for name in CALLS:
            same(own.calls()[name](), expected[name])


def of_every_method(subject: Subject) -> list[Tensor]:
    options = {
        "d-rise": {"n_masks": 3, "generator": torch.Generator().manual_seed(0)},
        "refined-cam": {"forwards": 10},
    }
    found = ssgc.explain(
        subject.detector,
        subject.image,
        "all",
        score_threshold=0.1,
        top_k=2,
        method_options=options,
    )
    assert len(found) == 2 * len(METHODS)
    return [entry.heat_map for entry in found]


@each_telling_setting
def test_every_method(setting, own):
    expected = of_every_method(own)
    with setting():
        found = of_every_method(own)
    for one, other in zip(found, expected, strict=True):
        same(one, other)


def of_every_metric(subject: Subject) -> list[Tensor]:
    detector, image, found = subject.detector, subject.image, subject.detections
    height, width = image.shape[-2:]
    ramp = torch.arange(len(found) * height * width, device="cpu", dtype=torch.float32)
    maps = ramp.sin().reshape(len(found), height, width)
    masks = maps > 0.3
    rows = torch.arange(len(found), device="cpu")
    values = [
        metrics.pointing_game(maps, boxes=found.boxes).values,
        metrics.energy_pointing_game(maps, boxes=found.boxes).values,
        metrics.energy_pointing_game(maps, masks=masks).values,
        metrics.evidence_energy(maps, masks).values,
        metrics.compactness(maps, found.boxes).values,
        metrics.object_discrimination_index(maps, rows, boxes=found.boxes).values,
        metrics.rank_correlation(maps, maps.cos()).values,
        metrics.structural_similarity(maps, maps.cos()).values,
        metrics.deletion_images(image, found, maps, steps=(1, 5)),
        metrics.insertion_images(image, found, maps, steps=(1, 5)),
    ]
    for baseline in ("zero", "mean", "blur", "noise", 0.5, (0.1, 0.2, 0.3)):
        for match in ("candidate", "iou"):
            settings = metrics.CurveSettings(steps=3, baseline=baseline, match=match, budget="box")
            results = metrics.deletion_insertion(detector, image, found, {"a": maps}, settings)
            for curves in (*results["a"].deletion.values(), *results["a"].insertion.values()):
                values += [curves.scores, curves.area, curves.fractions]
    for one in metrics.reliance(detector, image, found, maps, masks=masks):
        figures = [one.score, *one.alone.values(), *one.without.values(), one.energy_in_mask]
        figures += [one.energy_in_box, one.energy_on_others, one.area_in_box, one.area_on_others]
        values.append(torch.tensor(figures, dtype=torch.float32, device="cpu"))
    sets = metrics.minimal_sets(detector, image, found, maps, patches=2, forwards=8)
    values += [one for one in vars(sets).values() if isinstance(one, Tensor)]

    def explained(wrapper: ssgc.InstanceScoreWrapper) -> Tensor:
        layer = wrapper.detector.layer_for(found, 0)
        return ssgc.ODAM(wrapper, layer).attribute_instances(image, [0])

    forgetting = metrics.parameter_randomisation(detector, image, found[:1], explained)
    return [*values, forgetting.rank_correlation, forgetting.ssim, forgetting.valid]


@each_telling_setting
def test_every_metric(setting, own):
    expected = of_every_metric(own)
    with setting():
        found = of_every_metric(own)
    for one, other in zip(found, expected, strict=True):
        same(one, other)


def of_the_geometry() -> list[Tensor]:
    geometry = ssgc.ImageGeometry((30, 41), (32, 48), (32 / 30, 43 / 41), (0.0, 2.0))
    maps = torch.arange(2 * 4 * 6, device="cpu", dtype=torch.float32).sin().reshape(2, 1, 4, 6)
    boxes = torch.tensor([[0.0, 0, 20, 10], [5, 5, 6, 6]], device="cpu", dtype=torch.float32)
    mask = torch.zeros(1, 1, 30, 41, device="cpu", dtype=torch.float32)
    mask[..., 3:17, 5:30] = 1.0
    return [
        *(geometry.grid_to_image(maps, mode) for mode in ("nearest", "bilinear", "bicubic")),
        geometry.boxes_to_canvas(boxes),
        geometry.boxes_to_image(boxes),
        geometry.boxes_to_grid(boxes, (4, 6)).float(),
        geometry.mask_to_grid(mask, (4, 6)).float(),
    ]


@each_setting
def test_geometry(setting):
    from captum_ssgc import _resampling

    expected = of_the_geometry()
    _resampling.taps.cache_clear()
    with setting():
        found = of_the_geometry()
    for one, other in zip(found, expected, strict=True):
        same(one, other)


def pictures_of(subject: Subject) -> None:
    found = ssgc.explain(subject.detector, subject.image, score_threshold=0.1, top_k=2)
    import matplotlib.pyplot as plt

    for figure in (
        visualization.overview(subject.image, found),
        visualization.comparison_grid(subject.image, [[entry] for entry in found]),
    ):
        figure.set_dpi(figure.dpi / 4)  # the same lines of code, fewer pixels
        figure.canvas.draw()
        plt.close(figure)


@each_telling_setting
def test_pictures(setting, own):
    with setting():
        pictures_of(own)


FAMILIES = [
    ("demo", "faster-rcnn"),
    ("torchvision", "retinanet"),
    ("transformers", "detr"),
    ("ultralytics", "yolov8n"),
]
FEW_CALLS = ("explain", "attribute", "wrapper")


def is_passed_on(frame: FrameType) -> bool:
    """PyTorch itself, or a mode of ours that lets a vendor's call through."""
    inside = f"{os.sep}torch{os.sep}" in frame.f_code.co_filename
    return inside or frame.f_code.co_name == "__torch_function__"


class Constructors(TorchFunctionMode):
    """Notes where this package makes a tensor and does not say on which device."""

    def __init__(self) -> None:
        super().__init__()
        self.places: set[str] = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in _device_constructors() and kwargs.get("device") is None:
            frame = sys._getframe(1)
            while is_passed_on(frame):
                frame = frame.f_back
            if frame.f_code.co_filename.startswith(OURS):
                self.places.add(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        return func(*args, **kwargs)


def test_every_constructor_in_the_package_says_on_which_device():
    """Also in lines that no other test of this module comes by."""
    names = {constructor.__name__ for constructor in _device_constructors()}
    silent = []
    for file in Path(OURS[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("torch."):
                given = {keyword.arg for keyword in node.keywords}
                if ast.unparse(node.func).removeprefix("torch.") in names and "device" not in given:
                    silent.append(f"{file}:{node.lineno}")
    assert len(names) > 20
    assert silent == []


@pytest.mark.slow
@pytest.mark.parametrize(("vendor", "name"), FAMILIES, ids=[name for _, name in FAMILIES])
def test_every_tensor_says_on_which_device(vendor, name, families):
    """Where a vendor's own code cannot do with another default device."""
    subject = families(vendor, name)
    with Constructors() as made:
        for call in subject.calls().values():
            call()
        of_every_method(subject)
        of_every_metric(subject)
    assert made.places == set()


@pytest.mark.slow
@each_setting
@pytest.mark.parametrize(("vendor", "name"), FAMILIES, ids=[name for _, name in FAMILIES])
def test_families(vendor, name, setting, families):
    subject = families(vendor, name)
    expected = {call: subject.calls()[call]() for call in FEW_CALLS}
    with setting():
        try:
            subject.model(*vendors_own(vendor, subject))
        except Exception:
            pytest.skip("the vendor's own forward fails with this setting")
        for call in FEW_CALLS:
            same(subject.calls()[call](), expected[call])


def vendors_own(vendor: str, subject: Subject) -> tuple[object]:
    """What the vendor's forward takes."""
    images = torch.rand(1, 3, 128, 128, device="cpu", dtype=torch.float32)
    return (list(images),) if vendor in ("torchvision", "demo") else (images,)
